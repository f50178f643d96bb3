//! One real guest from its definition to its end.

use std::time::Duration;

use xenrt_core::Error;
use xenrt_core::model::{DiskSpec, Guest, GuestSpec, Memory, PowerState, ShutdownMode, VifSpec};
use xenrt_core::remote::{Command, ShellExt as _, Wait, wait_until};
use xenrt_libvirt::{BlockJobStatus, DomainEvent, LibvirtHost};

use crate::world::World;

/// What changes with each boot.
async fn boot_id(guest: &dyn Guest) -> String {
    let read = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
    guest.shell().await.unwrap().text(&read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `a_guest_lives_on_qemu` in name spaces of its own"]
async fn inside() {
    let world = World::new();
    let host = world.connect().await;
    let before = host.inventory().await.unwrap();
    let info = host.info().await.unwrap();
    assert!(info.hypervisor.starts_with("QEMU ") && info.free_memory < info.memory, "{info:?}");

    let spec = GuestSpec::new("it's \"tiny\" <1>")
        .image("tiny")
        .max_vcpus(2)
        .disk(DiskSpec::new(Memory::mib(8)))
        .vif(VifSpec::on_default());
    let guest = host.create_guest(&spec).await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    guest.check().await.unwrap();
    let inside = guest.inside().await.unwrap();
    assert_eq!(inside.disks, ["vda"]);
    let first = boot_id(guest.as_ref()).await;
    let shell = guest.shell().await.unwrap();
    shell.write_file("/dev/shm/kept", b"in memory", 0o600).await.unwrap();
    eprintln!("it is up");

    let picture = guest.screenshot().await.unwrap().unwrap();
    let mut png = png::Decoder::new(std::io::Cursor::new(&picture)).read_info().unwrap();
    let mut pixels = vec![0; png.output_buffer_size().unwrap()];
    let info = png.next_frame(&mut pixels).unwrap();
    assert!(info.width >= 320 && info.height >= 200, "{info:?}");
    // Its firmware wrote something.
    assert!(pixels.iter().any(|byte| *byte > 100) && pixels.contains(&0), "nothing is on it");
    let own = LibvirtHost::of(host.as_ref()).unwrap();
    let mut console = own.open_console(guest.as_ref()).await.unwrap();
    let soon = Duration::from_secs(30);
    let say = Command::shell_line("echo it was said >/dev/ttyS0");
    shell.run(&say).await.unwrap();
    assert!(console.read_until("was said", soon).await.unwrap().contains("it was said"));
    // The terminal of the guest shows what is typed.
    console.write(b"and typed", soon).await.unwrap();
    console.read_until("and typed", soon).await.unwrap();
    let second = own.open_console(guest.as_ref()).await.unwrap_err();
    assert!(second.to_string().contains("console"), "{second}");
    let nothing = console.read_until("no such text", Duration::from_millis(200)).await;
    assert!(matches!(nothing, Err(Error::Timeout { .. })), "{nothing:?}");
    drop(console);
    eprintln!("it was seen and heard");

    let mut events = own.events();
    let copy = format!("{}/copy.raw", host.entry().work_folder);
    let begin = Command::new("virsh").args(["-c", "qemu:///system", "blockcopy", "--domain"]);
    let begin = begin.arg(guest.uuid().to_string()).args(["--path", "vda", "--dest", &copy]);
    let begin = begin.args(["--transient-job", "--wait", "--finish"]);
    host.dom0().run(&begin.deadline(soon)).await.unwrap();
    let told = async {
        loop {
            if let DomainEvent::BlockJob { disk, status, .. } = events.recv().await.unwrap()
                && status == BlockJobStatus::Ready
            {
                return disk;
            }
        }
    };
    assert_eq!(tokio::time::timeout(soon, told).await.unwrap(), "vda");
    host.dom0().run(&Command::new("rm").arg(&copy)).await.unwrap();
    eprintln!("its disk was copied");

    guest.pause().await.unwrap();
    guest.check().await.unwrap();
    guest.unpause().await.unwrap();
    guest.suspend().await.unwrap();
    assert_eq!(guest.domain().await.unwrap(), None);
    guest.check().await.unwrap();
    guest.resume().await.unwrap();
    guest.check().await.unwrap();
    eprintln!("it was paused and suspended");

    let file = format!("{}/saved", host.entry().work_folder);
    guest.save(&file).await.unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
    guest.restore(&file).await.unwrap();
    host.dom0().run(&Command::new("rm").arg(&file)).await.unwrap();
    let kept = guest.shell().await.unwrap().read_text("/dev/shm/kept").await.unwrap();
    assert_eq!((kept.as_str(), boot_id(guest.as_ref()).await), ("in memory", first.clone()));
    eprintln!("it was saved");

    let disk = guest.attach_disk(DiskSpec::new(Memory::mib(4))).await.unwrap();
    assert_eq!(disk.device, "vdb");
    let vif = guest.attach_vif(VifSpec::on_default()).await.unwrap();
    assert_eq!(vif.index, 1);
    guest.detach_vif(vif.mac).await.unwrap();
    guest.detach_disk("vdb").await.unwrap();
    assert!(!std::path::Path::new(&disk.path).exists());
    guest.set_vcpus(2).await.unwrap();
    guest.check().await.unwrap();
    eprintln!("its devices came and went");

    guest.reboot(ShutdownMode::Hard).await.unwrap();
    let second = boot_id(guest.as_ref()).await;
    assert_ne!(second, first);
    assert_eq!(guest.inside().await.unwrap().vcpus, 2, "the next boot has them too");
    guest.check().await.unwrap();
    let console = guest.console_text().await.unwrap();
    assert!(console.contains("xenrt-guest"), "{console}");
    eprintln!("it was reset");

    // It reboots by itself, which is told.
    let mut events = LibvirtHost::of(host.as_ref()).unwrap().events();
    let in_guest = |verb: &str| Command::new(verb).deadline(Duration::from_secs(20));
    // The guest may be gone before it answers.
    let _ = guest.shell().await.unwrap().execute(&in_guest("reboot")).await;
    let told =
        async { while !matches!(events.recv().await.unwrap(), DomainEvent::Reboot { .. }) {} };
    tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
    guest.shell().await.unwrap().reset().await;
    guest.wait_until_reachable().await.unwrap();
    assert_ne!(boot_id(guest.as_ref()).await, second);
    eprintln!("it rebooted");

    guest.set_memory(Memory::mib(96)).await.unwrap();
    guest.check().await.unwrap();
    own.set_memory_stats_period(guest.as_ref(), Duration::from_secs(1)).await.unwrap();
    let told = wait_until("the balloon to tell", || async {
        let stats = own.memory_stats(guest.as_ref()).await?;
        Ok(if stats.told.is_some() {
            Wait::Done(stats)
        } else {
            Wait::NotYet(format!("{stats:?}"))
        })
    });
    let stats = told.within(Duration::from_secs(30)).await.unwrap();
    assert_eq!(stats.balloon, Some(Memory::mib(96)));
    let (available, unused) = (stats.available.unwrap(), stats.unused.unwrap());
    assert!(unused < available && available <= Memory::mib(96), "{stats:?}");
    let _ = guest.shell().await.unwrap().execute(&in_guest("poweroff")).await;
    guest.wait_for_state(PowerState::Halted, guest.deadlines().state).await.unwrap();
    guest.expectation().update(|expected| {
        expected.power = PowerState::Halted;
        expected.reachable = false;
    });
    guest.check().await.unwrap();
    guest.delete().await.unwrap();
    assert_eq!(host.inventory().await.unwrap().added_since(&before), Vec::<String>::new());
}
