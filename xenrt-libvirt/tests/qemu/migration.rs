//! Guests that move between two daemons while they run.

use xenrt_core::Error;
use xenrt_core::model::{DiskSpec, Guest, GuestSpec, Memory, PowerState, VifSpec};
use xenrt_core::remote::{Command, ShellExt as _};

use crate::world::{Which, World};

/// What changes with each boot.
async fn boot_id(guest: &dyn Guest) -> String {
    let read = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
    guest.shell().await.unwrap().text(&read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `a_guest_moves_while_it_runs` in name spaces of its own"]
async fn inside() {
    let mut world = World::new();
    let (here, there) = (world.connect().await, world.connect_second().await);
    let before = here.inventory().await.unwrap();
    let spec = GuestSpec::new("it's moving")
        .image("tiny")
        .disk(DiskSpec::new(Memory::mib(8)))
        .vif(VifSpec::on_default());
    let guest = here.create_guest(&spec).await.unwrap();
    let halted = guest.migrate(&there).await.unwrap_err();
    assert!(matches!(halted, Error::WrongState { .. }), "{halted:?}");
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    let first = boot_id(guest.as_ref()).await;
    let shell = guest.shell().await.unwrap();
    shell.write_file("/dev/shm/kept", b"in memory", 0o600).await.unwrap();
    let nowhere = guest.migrate(&here).await.unwrap_err();
    assert!(matches!(nowhere, Error::Invalid { .. }), "{nowhere:?}");

    guest.migrate(&there).await.unwrap();
    assert_eq!(guest.host().name(), "qemu2");
    guest.check().await.unwrap();
    let kept = guest.shell().await.unwrap().read_text("/dev/shm/kept").await.unwrap();
    assert_eq!((kept.as_str(), boot_id(guest.as_ref()).await), ("in memory", first.clone()));
    assert!(matches!(here.guest("it's moving").await, Err(Error::NotFound { .. })));
    assert_eq!(there.guest("it's moving").await.unwrap().uuid(), guest.uuid());
    eprintln!("it moved");

    // One that fails leaves it running where it was.
    world.kill_daemon(Which::First);
    let failed = guest.migrate(&here).await.unwrap_err();
    assert!(failed.toolstack_kind().is_some(), "{failed:?}");
    assert_eq!(guest.host().name(), "qemu2");
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Running);
    guest.check().await.unwrap();
    world.start_daemon(Which::First);
    here.wait_until_up().await.unwrap();
    guest.migrate(&here).await.unwrap();
    assert_eq!((guest.host().name(), boot_id(guest.as_ref()).await), ("qemu", first));
    guest.check().await.unwrap();
    eprintln!("it is back");

    // Where its disk is known to the source alone, it stays.
    let own = world.folder().join("own.raw");
    std::fs::write(&own, [0; 4096]).unwrap();
    guest.attach_disk(DiskSpec::existing(own.display().to_string())).await.unwrap();
    let refused = guest.migrate(&there).await.unwrap_err();
    assert!(refused.to_string().contains("own.raw, which only host qemu has"), "{refused}");
    guest.detach_disk("vdb").await.unwrap();

    // A host that does not see the folders of guests: they come there, and leave where they were.
    let apart = world.connect_apart().await;
    let empty = apart.inventory().await.unwrap();
    let refused = guest.migrate(&apart).await.unwrap_err();
    assert!(refused.to_string().contains("vda.raw, which only host qemu has"), "{refused}");
    guest.ensure_deleted().await.unwrap();
    let shared = world.folder().join("shared/disk.raw");
    std::fs::create_dir(world.folder().join("shared")).unwrap();
    std::fs::write(&shared, [0; 1 << 20]).unwrap();
    let spec = GuestSpec::new("moves apart")
        .image("tiny")
        .disk(DiskSpec::existing(shared.display().to_string()))
        .vif(VifSpec::on_default());
    let guest = here.create_guest(&spec).await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    let folder = world.folder().join(format!("work/guests/{}", guest.uuid()));
    assert!(folder.exists());
    guest.migrate(&apart).await.unwrap();
    assert!(!folder.exists());
    guest.check().await.unwrap();
    let address = apart.dom0().read_text(&format!("{}/address", folder.display())).await.unwrap();
    assert_eq!(address.trim(), guest.wait_for_address().await.unwrap().to_string());
    guest.shell().await.unwrap().run(&Command::shell_line("echo apart >/dev/ttyS0")).await.unwrap();
    assert!(guest.console_text().await.unwrap().contains("apart"));
    guest.ensure_deleted().await.unwrap();
    assert_eq!(apart.inventory().await.unwrap().added_since(&empty), Vec::<String>::new());
    assert_eq!(here.inventory().await.unwrap().added_since(&before), Vec::<String>::new());
}
