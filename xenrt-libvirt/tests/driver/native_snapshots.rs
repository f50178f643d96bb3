//! Snapshots and checkpoints that libvirt itself keeps.

use xenrt_core::ToolstackErrorKind;
use xenrt_core::model::{DiskSpec, GuestSpec, Memory, ShutdownMode};
use xenrt_libvirt::{LibvirtHost, SnapshotForm};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn libvirt_keeps_snapshots_of_its_own() {
    let world = World::new().await;
    let host = LibvirtHost::of(world.host.as_ref()).unwrap();
    let spec = GuestSpec::new("it's kept").image("bare");
    let guest = world.host.create_guest(&spec).await.unwrap();
    let guest = guest.as_ref();
    guest.start().await.unwrap();
    let internal = SnapshotForm::Internal;
    let first = host.take_native_snapshot(guest, "a \"name\" <1>", &internal).await.unwrap();
    assert_eq!((first.state.as_str(), first.external, first.current), ("running", false, true));
    let twice = host.take_native_snapshot(guest, &first.name, &internal).await.unwrap_err();
    assert_eq!(twice.toolstack_kind(), Some(ToolstackErrorKind::AlreadyExists), "{twice}");
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
    let second = host.take_native_snapshot(guest, "off", &internal).await.unwrap();
    assert_eq!((second.state.as_str(), second.parent.as_ref()), ("shutoff", Some(&first.name)));
    let listed = host.native_snapshots(guest).await.unwrap();
    assert_eq!(listed.iter().map(|own| &own.name).collect::<Vec<_>>(), [&first.name, "off"]);

    host.revert_to_native_snapshot(guest, &first.name).await.unwrap();
    assert!(guest.power_state().await.unwrap().has_domain());
    host.remove_native_snapshot(guest, &first.name).await.unwrap();
    let gone = host.revert_to_native_snapshot(guest, &first.name).await.unwrap_err();
    assert_eq!(gone.toolstack_kind(), Some(ToolstackErrorKind::NoSuchObject), "{gone}");
    host.remove_native_snapshot(guest, "off").await.unwrap();
    assert_eq!(host.native_snapshots(guest).await.unwrap(), []);
    guest.ensure_deleted().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn libvirt_keeps_checkpoints() {
    let world = World::new().await;
    let host = LibvirtHost::of(world.host.as_ref()).unwrap();
    let spec = GuestSpec::new("checked").image("bare").disk(DiskSpec::new(Memory::mib(8)));
    let guest = world.host.create_guest(&spec).await.unwrap();
    let guest = guest.as_ref();
    guest.start().await.unwrap();
    for name in ["one", "two", "three"] {
        host.create_checkpoint(guest, name).await.unwrap();
    }
    assert_eq!(host.checkpoints(guest).await.unwrap(), ["one", "two", "three"]);
    host.remove_checkpoint(guest, "two").await.unwrap();
    assert_eq!(host.checkpoints(guest).await.unwrap(), ["one", "three"]);
    let gone = host.remove_checkpoint(guest, "two").await.unwrap_err();
    assert_eq!(gone.toolstack_kind(), Some(ToolstackErrorKind::NoSuchObject), "{gone}");
    for name in ["one", "three"] {
        host.remove_checkpoint(guest, name).await.unwrap();
    }
    guest.ensure_deleted().await.unwrap();
}
