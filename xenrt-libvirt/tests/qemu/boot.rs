//! Guests whose firmware finds the kernel on their disk: a BIOS, and UEFI.

use std::path::Path;
use std::process::Command as Program;

use xenrt_core::model::{Boot, DiskSpec, GuestSpec, Memory, ShutdownMode, VifSpec};
use xenrt_core::remote::ShellExt as _;

use crate::world::World;

fn run(program: &mut Program) {
    let output = program.output().unwrap_or_else(|error| panic!("{program:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?}: {errors}");
}

/// Makes a disk that both kinds of firmware boot the tiny guest from: a BIOS by the boot loader in
/// its first sector, UEFI by what its shell is told in `startup.nsh`.
fn make_disk(world: &World, disk: &Path, words: &str) {
    run(Program::new("mkfs.vfat").arg("-C").arg(disk).arg("65536"));
    run(Program::new("syslinux").arg("--install").arg(disk));
    let loader =
        format!("DEFAULT tiny\nLABEL tiny\nKERNEL kernel.efi\nAPPEND initrd=initrd {words}\n");
    let shell = format!("fs0:\\kernel.efi initrd=\\initrd {words}\r\n");
    for (name, text) in [("syslinux.cfg", loader), ("startup.nsh", shell)] {
        let file = world.folder().join(name);
        std::fs::write(&file, text).unwrap();
        run(Program::new("mcopy").arg("-i").arg(disk).arg(file).arg(format!("::{name}")));
    }
    for (name, file) in [("kernel.efi", "vmlinuz"), ("initrd", "initrd")] {
        let file = world.folder().join(file);
        run(Program::new("mcopy").arg("-i").arg(disk).arg(file).arg(format!("::{name}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `firmware_boots_a_disk` in name spaces of its own"]
async fn inside() {
    let world = World::new();
    let host = world.connect().await;
    let before = host.inventory().await.unwrap();
    for (boot, address) in [(Boot::Disk, "10.99.0.150"), (Boot::Uefi, "10.99.0.151")] {
        let name = format!("{boot:?}");
        let disk = world.folder().join(format!("{name}.img"));
        let words = format!(
            "console=ttyS0 quiet net.ifnames=0 mitigations=off random.trust_cpu=on panic=0 \
             xenrt.name={name} xenrt.ip={address}/24 xenrt.gw=10.99.0.1"
        );
        make_disk(&world, &disk, &words);
        let spec = GuestSpec::new(&name)
            .image("tiny")
            .boot(boot.clone())
            // UEFI firmware needs more than the guest does.
            .memory(Memory::mib(512))
            .address(address.parse().unwrap())
            .disk(DiskSpec::copy_of(disk.display().to_string()))
            .vif(VifSpec::on_default());
        let guest = host.create_guest(&spec).await.unwrap();
        guest.start().await.unwrap();
        guest.wait_until_reachable().await.unwrap();
        guest.check().await.unwrap();
        let efi = guest.shell().await.unwrap().exists("/sys/firmware/efi").await.unwrap();
        assert_eq!(efi, boot == Boot::Uefi, "{name}");
        guest.reboot(ShutdownMode::Clean).await.unwrap();
        guest.check().await.unwrap();
        guest.ensure_deleted().await.unwrap();
        eprintln!("{name}: it booted twice");
    }
    assert_eq!(host.inventory().await.unwrap().added_since(&before), Vec::<String>::new());
}
