//! Storage pools and volumes.

use xenrt_core::model::{DiskSpec, GuestSpec, Memory};
use xenrt_core::{Error, ToolstackErrorKind};
use xenrt_libvirt::LibvirtHost;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn pools_and_volumes_come_and_go() {
    let world = World::new().await;
    let host = LibvirtHost::of(world.host.as_ref()).unwrap();
    let pool = host.create_pool("it's a pool", "/pools/its").await.unwrap();
    assert_eq!((pool.kind.as_str(), pool.path.as_deref()), ("dir", Some("/pools/its")));
    assert!(pool.available <= pool.capacity && pool.capacity > Memory::gib(1));
    assert!(host.pools().await.unwrap().iter().any(|own| own.name == pool.name));
    let twice = host.create_pool("it's a pool", "/pools/other").await;
    assert!(matches!(twice, Err(Error::Invalid { .. })), "{twice:?}");

    let volume = host.create_volume(&pool.name, "a.raw", Memory::mib(64)).await.unwrap();
    assert_eq!((volume.path.as_str(), volume.capacity), ("/pools/its/a.raw", Memory::mib(64)));
    let kind = |error: Error| error.toolstack_kind();
    let twice = host.create_volume(&pool.name, "a.raw", Memory::mib(64)).await.unwrap_err();
    assert_eq!(kind(twice), Some(ToolstackErrorKind::AlreadyExists));
    assert_eq!(host.volumes(&pool.name).await.unwrap(), [volume]);

    host.remove_volume(&pool.name, "a.raw").await.unwrap();
    let gone = host.remove_volume(&pool.name, "a.raw").await.unwrap_err();
    assert_eq!(kind(gone), Some(ToolstackErrorKind::NoSuchObject));
    host.remove_pool(&pool.name).await.unwrap();
    host.remove_pool(&pool.name).await.unwrap();
    let none = host.volumes(&pool.name).await.unwrap_err();
    assert_eq!(kind(none), Some(ToolstackErrorKind::NoSuchObject));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_there_is_not_is_refused() {
    let world = World::new().await;
    let spec = GuestSpec::new("no disk").image("bare").disk(DiskSpec::existing("/no/such.raw"));
    let error = world.host.create_guest(&spec).await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::MissingFile), "{error}");
}
