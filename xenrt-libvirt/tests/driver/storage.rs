//! Storage pools, volumes, and networks behind the host.

use std::net::Ipv4Addr;

use xenrt_core::model::{DiskSpec, GuestSpec, Memory, VifSpec};
use xenrt_core::{Error, ToolstackErrorKind};
use xenrt_libvirt::xml::{NatNetwork, PoolSource};
use xenrt_libvirt::{LibvirtHost, VolumeFormat};

use crate::world::World;

fn folder(path: &str) -> PoolSource {
    PoolSource::Folder(path.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_and_volumes_come_and_go() {
    let world = World::new().await;
    let host = LibvirtHost::of(world.host.as_ref()).unwrap();
    let pool = host.create_pool("it's a pool", &folder("/pools/its")).await.unwrap();
    assert_eq!((pool.kind.as_str(), pool.path.as_deref()), ("dir", Some("/pools/its")));
    assert!(pool.available <= pool.capacity && pool.capacity > Memory::gib(1));
    assert!(host.pools().await.unwrap().iter().any(|own| own.name == pool.name));
    let twice = host.create_pool("it's a pool", &folder("/pools/other")).await;
    assert!(matches!(twice, Err(Error::Invalid { .. })), "{twice:?}");

    let volume =
        host.create_volume(&pool.name, "a.raw", Memory::mib(64), VolumeFormat::Raw).await.unwrap();
    assert_eq!((volume.path.as_str(), volume.capacity), ("/pools/its/a.raw", Memory::mib(64)));
    let kind = |error: Error| error.toolstack_kind();
    let twice = host
        .create_volume(&pool.name, "a.raw", Memory::mib(64), VolumeFormat::Raw)
        .await
        .unwrap_err();
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

#[tokio::test(flavor = "multi_thread")]
async fn pools_are_of_more_than_folders() {
    let world = World::new().await;
    let host = LibvirtHost::of(world.host.as_ref()).unwrap();
    let text = |text: &str| text.to_owned();
    let sources = [
        ("logical", PoolSource::VolumeGroup { name: text("vg0"), devices: Vec::new() }, "/dev/vg0"),
        (
            "netfs",
            PoolSource::Nfs {
                server: text("filer"),
                export: text("/exports/a"),
                mounted_at: text("/mnt/a"),
            },
            "/mnt/a",
        ),
        (
            "iscsi",
            PoolSource::Iscsi {
                portal: text("10.0.0.1"),
                port: None,
                target: text("iqn.2013-06.com.example:san"),
            },
            "/dev/disk/by-path",
        ),
    ];
    for (kind, source, path) in sources {
        let pool = host.create_pool(kind, &source).await.unwrap();
        assert_eq!((pool.kind.as_str(), pool.path.as_deref()), (kind, Some(path)));
        host.remove_pool(kind).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_can_be_behind_the_host() {
    let world = World::new().await;
    let host = LibvirtHost::of(world.host.as_ref()).unwrap();
    let address = |last| Ipv4Addr::new(10, 7, 0, last);
    let leases = Some((address(10), address(20)));
    let network = NatNetwork { name: "nat0".to_owned(), address: address(1), prefix: 24, leases };
    let made = host.create_nat_network(&network).await.unwrap();
    assert_eq!(made.addresses, [address(1)]);
    assert!(world.host.networks().await.unwrap().contains(&made));
    let spec = GuestSpec::new("behind").image("bare").vif(VifSpec::on("nat0"));
    let guest = world.host.create_guest(&spec).await.unwrap();
    guest.check().await.unwrap();
    guest.delete().await.unwrap();
    for wrong in [
        NatNetwork { prefix: 33, ..network.clone() },
        NatNetwork { name: "a name".to_owned(), ..network.clone() },
        network.clone(),
    ] {
        let refused = host.create_nat_network(&wrong).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{wrong:?}: {refused:?}");
    }
    world.host.remove_network("nat0").await.unwrap();
    assert!(!world.host.networks().await.unwrap().contains(&made));
}
