//! Snapshots and checkpoints that libvirt keeps in the images of QEMU.

use xenrt_core::model::{DiskSpec, Guest, GuestSpec, Memory, PowerState, VifSpec};
use xenrt_core::remote::{Command, ShellExt as _};
use xenrt_core::{Error, ToolstackErrorKind};
use xenrt_libvirt::xml::PoolSource;
use xenrt_libvirt::{LibvirtHost, SnapshotForm, VolumeFormat};

use crate::world::World;

/// What stands at the beginning of the guest's disk.
async fn on_disk(guest: &dyn Guest) -> String {
    let read = Command::shell_line("dd if=/dev/vda bs=5 count=1 2>/dev/null");
    guest.shell().await.unwrap().text(&read).await.unwrap()
}

async fn put_on_disk(guest: &dyn Guest, five: &str) {
    let write = format!("echo -n {five} | dd of=/dev/vda conv=notrunc,fsync 2>/dev/null");
    guest.shell().await.unwrap().run(&Command::shell_line(&write)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `libvirt_keeps_snapshots_in_images` in name spaces of its own"]
async fn inside() {
    let world = World::new();
    let host = world.connect().await;
    let own = LibvirtHost::of(host.as_ref()).unwrap();
    let folder = PoolSource::Folder(world.folder().join("pool").display().to_string());
    own.create_pool("images", &folder).await.unwrap();
    let (size, format) = (Memory::mib(64), VolumeFormat::Qcow2);
    let volume = own.create_volume("images", "it's.qcow2", size, format).await.unwrap();
    assert_eq!(volume.capacity, size);
    let spec = GuestSpec::new("kept inside")
        .image("tiny")
        .disk(DiskSpec::existing(volume.path.clone()))
        .vif(VifSpec::on_default());
    let guest = host.create_guest(&spec).await.unwrap();
    let guest = guest.as_ref();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    guest.check().await.unwrap();
    let bytes = Command::new("cat").arg("/sys/class/block/vda/size");
    let sectors = guest.shell().await.unwrap().text(&bytes).await.unwrap();
    assert_eq!(sectors.trim(), "131072", "the guest sees the image as if it were raw");

    put_on_disk(guest, "first").await;
    guest.shell().await.unwrap().write_file("/dev/shm/kept", b"then", 0o600).await.unwrap();
    let taken = own.take_native_snapshot(guest, "whole", &SnapshotForm::Internal).await.unwrap();
    assert_eq!((taken.state.as_str(), taken.external), ("running", false));
    eprintln!("an internal snapshot was taken");
    put_on_disk(guest, "later").await;
    guest.shell().await.unwrap().write_file("/dev/shm/kept", b"since", 0o600).await.unwrap();
    own.revert_to_native_snapshot(guest, "whole").await.unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Running);
    guest.wait_until_reachable().await.unwrap();
    let kept = guest.shell().await.unwrap().read_text("/dev/shm/kept").await.unwrap();
    assert_eq!((kept.as_str(), on_disk(guest).await.as_str()), ("then", "first"));
    own.remove_native_snapshot(guest, "whole").await.unwrap();
    assert_eq!(own.native_snapshots(guest).await.unwrap(), []);
    eprintln!("it was reverted to");

    own.create_checkpoint(guest, "one").await.unwrap();
    put_on_disk(guest, "third").await;
    own.create_checkpoint(guest, "two").await.unwrap();
    assert_eq!(own.checkpoints(guest).await.unwrap(), ["one", "two"]);
    for name in ["one", "two"] {
        own.remove_checkpoint(guest, name).await.unwrap();
    }
    eprintln!("checkpoints came and went");

    let disks = SnapshotForm::External { memory: None };
    let taken = own.take_native_snapshot(guest, "beside", &disks).await.unwrap();
    assert_eq!((taken.state.as_str(), taken.external), ("disk-snapshot", true));
    put_on_disk(guest, "new!!").await;
    assert_eq!(on_disk(guest).await, "new!!");
    let moved = guest.view().await.unwrap().disks.remove(0).path;
    assert_ne!(moved, volume.path, "what is written goes to the image of the snapshot");
    // libvirt before 9.9 goes back to none that is external, and says so.
    match own.revert_to_native_snapshot(guest, "beside").await {
        Ok(()) => {}
        Err(error) => {
            let kind = error.toolstack_kind();
            assert_eq!(kind, Some(ToolstackErrorKind::NotSupported), "{error}");
            assert_eq!(on_disk(guest).await, "new!!");
        }
    }
    guest.ensure_deleted().await.unwrap();
    own.remove_volume("images", "it's.qcow2").await.unwrap();
    let gone = own.remove_volume("images", "it's.qcow2").await.unwrap_err();
    assert!(matches!(gone, Error::Toolstack { .. }), "{gone:?}");
    own.remove_pool("images").await.unwrap();
}
