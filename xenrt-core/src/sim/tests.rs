use std::sync::Arc;
use std::time::Duration;

use super::{
    Defect, Fault, Lie, SimAnswer, SimCall, SimLab, SimTiming, SimToolstack, virtual_time,
};
use crate::lab::{LabFile, LabFileProvider, LabProvider};
use crate::model::{
    Ability, DiskSpec, Guest, GuestAction, GuestSpec, Memory, NetworkSpec, PowerState, Scope,
    ShutdownMode, SnapshotKind, VifSpec,
};
use crate::remote::{Command, RemoteError, ShellExt};
use crate::{Error, ToolstackErrorKind};

fn slow_lab() -> SimLab {
    SimLab::builder().timing(SimTiming::realistic()).seed(3).build()
}

#[tokio::test(start_paused = true)]
async fn a_guest_lives_through_every_verb() {
    let lab = slow_lab();
    let before = lab.everything().await;
    let host = lab.host(0);
    let spec = GuestSpec::new("web")
        .image("debian")
        .vcpus(1)
        .max_vcpus(4)
        .max_memory(Memory::mib(512))
        .vif(VifSpec::on_default());
    let guest = host.create_guest(&spec).await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    guest.set_vcpus(3).await.unwrap();
    guest.set_memory(Memory::mib(512)).await.unwrap();
    let disk = guest.attach_disk(DiskSpec::new(Memory::gib(1))).await.unwrap();
    let vif = guest.attach_vif(VifSpec::on_default()).await.unwrap();
    guest.check().await.unwrap();
    guest.pause().await.unwrap();
    assert!(!guest.is_reachable().await);
    guest.unpause().await.unwrap();
    let shell = guest.shell().await.unwrap();
    shell.write_file("/tmp/kept", b"kept", 0o600).await.unwrap();
    guest.suspend().await.unwrap();
    guest.resume().await.unwrap();
    guest.migrate(&lab.host(1)).await.unwrap();
    assert_eq!(guest.host().name(), "h1");
    guest.save("/tmp/web.save").await.unwrap();
    guest.restore("/tmp/web.save").await.unwrap();
    assert_eq!(shell.read_text("/tmp/kept").await.unwrap(), "kept");
    guest.reboot(ShutdownMode::Clean).await.unwrap();
    assert!(shell.read_file("/tmp/kept").await.is_err(), "/tmp is in memory");
    guest.reboot(ShutdownMode::Hard).await.unwrap();
    guest.detach_vif(vif.mac).await.unwrap();
    guest.detach_disk(&disk.device).await.unwrap();
    guest.rename("www").await.unwrap();
    guest.check().await.unwrap();
    assert_eq!(shell.text(&Command::new("hostname")).await.unwrap(), "www");
    guest.shutdown(ShutdownMode::Clean).await.unwrap();
    guest.delete().await.unwrap();
    assert_eq!(lab.everything().await.added_since(&before), Vec::<String>::new());
    assert_eq!(lab.unknown_commands(), []);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_lab() {
    async fn story(seed: u64) -> Vec<String> {
        let lab = SimLab::builder().seed(seed).timing(SimTiming::realistic()).build();
        lab.inject(Fault::refuse(ToolstackErrorKind::Other).verb("start").chance(0.5));
        let mut told = Vec::new();
        for number in 0..20 {
            let spec =
                GuestSpec::new(format!("g{number}")).image("tiny").vif(VifSpec::on_default());
            let guest = lab.host(number % 2).create_guest(&spec).await.unwrap();
            let started = guest.start().await.is_ok();
            told.push(format!("{} {:?} {started}", guest.uuid(), guest.view().await.unwrap().vifs));
        }
        told
    }
    assert_eq!(story(1).await, story(1).await);
    assert_ne!(story(1).await, story(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_matchable_and_does_nothing() {
    let lab = slow_lab();
    let host = lab.host(0);
    let fault = lab.inject(Fault::refuse(ToolstackErrorKind::OutOfMemory).verb("start").nth(1));
    let guest = host.create_guest(&GuestSpec::new("g").image("tiny")).await.unwrap();
    let error = guest.start().await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::OutOfMemory));
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
    guest.start().await.unwrap();
    assert_eq!(lab.hits(fault), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hang_ends_with_the_deadline_of_the_call() {
    let lab = slow_lab();
    let host = lab.host(0);
    let guest = host.create_basic_guest("g", "tiny").await.unwrap();
    lab.inject(Fault::hang().verb("suspend"));
    let started = tokio::time::Instant::now();
    let error = guest.suspend().await.unwrap_err();
    assert!(matches!(error, Error::Remote(RemoteError::Deadline { .. })), "{error}");
    let waited = started.elapsed();
    let deadline = host.entry().deadlines.suspend;
    assert!(waited >= deadline && waited < deadline + Duration::from_secs(1), "{waited:?}");
    guest.check().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_comes_back() {
    let lab = slow_lab();
    let host = lab.host(0);
    let guest = host.create_basic_guest("g", "tiny").await.unwrap();
    let away = Duration::from_secs(40);
    lab.inject(Fault::lose_connection(away).verb("pause").nth(1));
    let error = guest.pause().await.unwrap_err();
    assert!(matches!(&error, Error::Remote(error) if error.is_connection()), "{error}");
    assert!(!host.is_reachable().await && !guest.is_reachable().await);
    host.wait_until_up().await.unwrap();
    guest.check().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_be_lost_after_the_deed() {
    let lab = slow_lab();
    let guest = lab.host(0).create_basic_guest("g", "tiny").await.unwrap();
    lab.inject(Fault::lose_answer().verb("pause"));
    assert!(guest.pause().await.is_err());
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Paused);
}

#[tokio::test(start_paused = true)]
async fn each_view_can_lie_alone_and_the_check_tells_which_does() {
    let lab = slow_lab();
    let guest = lab.host(0).create_basic_guest("g", "tiny").await.unwrap();
    let lies = [
        (Fault::lie(Lie::Power(PowerState::Paused)).call(SimCall::View), "power state (toolstack)"),
        (Fault::lie(Lie::Vcpus(7)).call(SimCall::Domain), "vCPUs (hypervisor)"),
        (Fault::lie(Lie::NoVifs).call(SimCall::View), "VIFs (toolstack)"),
        (Fault::lie(Lie::NoDomain).call(SimCall::Domain), "domain (hypervisor)"),
    ];
    for (lie, told) in lies {
        let lie = lab.inject(lie);
        let error = guest.check().await.unwrap_err().to_string();
        assert!(error.contains(told) && error.matches("expected").count() == 1, "{error}");
        lab.lift(lie);
        guest.check().await.unwrap();
    }
    lab.inject(Fault::ignore().verb("pause"));
    let error = guest.pause().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn guests_crash_and_hosts_reboot() {
    let lab = slow_lab();
    let host = lab.host(0);
    let guest = host.create_basic_guest("g", "tiny").await.unwrap();
    lab.crash_guest("h0", "g").unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Crashed);
    assert!(guest.console_text().await.unwrap().contains("Kernel panic"));
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    let started = tokio::time::Instant::now();
    host.reboot().await.unwrap();
    assert!(started.elapsed() >= SimTiming::realistic().host_boot);
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
    assert!(lab.crash_guest("h9", "g").is_err());
}

#[tokio::test(start_paused = true)]
async fn shells_know_a_few_commands_learn_others_and_record_the_rest() {
    let lab = slow_lab();
    let host = lab.host(0);
    let dom0 = host.dom0();
    lab.answer(|place, line| {
        (place.guest.is_none() && line == "iperf -s").then(|| SimAnswer::text("9 Gbit/s\n"))
    });
    assert_eq!(dom0.text(&Command::new("iperf").arg("-s")).await.unwrap(), "9 Gbit/s");
    let line = "echo 'a b' >/tmp/x && cat /tmp/x; false || echo c >&2; exit 3";
    let output = dom0.execute(&Command::shell_line(line)).await.unwrap();
    assert_eq!((output.text(), output.error_text()), ("a b\n".into(), "c\n".into()));
    assert_eq!(output.status.to_string(), "exit status 3");
    let error = dom0.run(&Command::new("frobnicate").arg("x y")).await.unwrap_err();
    assert!(matches!(error, RemoteError::NoSuchProgram { .. }), "{error}");
    assert_eq!(lab.unknown_commands()[0].command, "frobnicate 'x y'");
    let sleeper = dom0.start(&Command::new("sleep").arg("500")).await.unwrap();
    assert!(host.inventory().await.unwrap().objects[0].ends_with("sleep 500"));
    sleeper.stop().await.unwrap();
    assert!(host.inventory().await.unwrap().objects.is_empty());
    let late =
        dom0.execute(&Command::new("sleep").arg("60").deadline(Duration::from_secs(5))).await;
    assert!(matches!(late, Err(RemoteError::Deadline { .. })));
}

#[tokio::test(start_paused = true)]
async fn refusals_leave_nothing() {
    let lab = slow_lab();
    let host = lab.host(0);
    let before = lab.everything().await;
    let spec = |name: &str| GuestSpec::new(name).image("debian");
    let missing = spec("a").disk(DiskSpec::new(Memory::mib(1))).disk(DiskSpec::copy_of("/no/file"));
    let error = host.define_guest(&missing).await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::MissingFile));
    assert_eq!(lab.everything().await, before);
    let large = host.define_guest(&spec("large").memory(Memory::gib(65))).await.unwrap();
    let error = large.start().await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::OutOfMemory));
    assert_eq!(host.domains().await.unwrap().len(), 1);
    let error = large.request(&GuestAction::Pause).await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::BadState));
    large.delete().await.unwrap();
    assert_eq!(lab.everything().await, before);
}

#[tokio::test(start_paused = true)]
async fn a_lab_file_can_name_simulated_hosts() {
    let host =
        |name| format!("[[host]]\nname = \"{name}\"\naddress = \"sim\"\ntoolstack = \"sim\"\n");
    let lab = LabFile::parse(&(host("a") + &host("b")), "lab.toml").unwrap();
    let toolstack = SimToolstack::new();
    let provider = LabFileProvider::new(lab, "lab.toml", vec![Arc::new(toolstack.clone())]);
    let demands = vec![Default::default(); 2];
    let hosts = provider.acquire(&demands, &|_| {}).await.unwrap();
    let guest = hosts[0].create_basic_guest("g", "generic-linux").await.unwrap();
    guest.migrate(&hosts[1]).await.unwrap();
    assert_eq!(toolstack.lab().everything().await.objects[0], "b: domain g");
}

#[tokio::test]
async fn networks_come_and_go() {
    let host = SimLab::new().host(0);
    host.create_network(&NetworkSpec::isolated("xrt1")).await.unwrap();
    let twice = host.define_network(&NetworkSpec::isolated("xrt1")).await;
    assert!(matches!(twice, Err(Error::Invalid { .. })));
    let spec = GuestSpec::new("g").image("tiny").vif(VifSpec::on("xrt1"));
    let guest = host.create_guest(&spec).await.unwrap();
    guest.start().await.unwrap();
    let error = host.remove_network("xrt1").await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::BadState));
    guest.ensure_deleted().await.unwrap();
    host.remove_network("xrt1").await.unwrap();
    assert_eq!(host.networks().await.unwrap().len(), 1);
}

#[test]
fn hours_pass_in_no_time() {
    let started = std::time::Instant::now();
    let lab = SimLab::builder().defect(Defect::PowerOffIgnored).build();
    let error = virtual_time(async move {
        let guest: Arc<dyn Guest> = lab.host(0).create_basic_guest("g", "tiny").await.unwrap();
        guest.shutdown(ShutdownMode::Hard).await.unwrap_err()
    });
    let Error::Timeout { waited, .. } = error.unwrap() else { panic!("not a timeout") };
    assert!(waited >= Duration::from_secs(300) && started.elapsed() < Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_guest_goes_back_to_what_it_was() {
    let lab = SimLab::new();
    let host = lab.host(0);
    let before = lab.everything().await;
    let scope = Scope::default();
    let guest = host.in_scope(scope.clone()).create_basic_guest("g", "debian").await.unwrap();
    let boot_id = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
    let boot = guest.shell().await.unwrap().text(&boot_id).await.unwrap();
    let snapshots = guest.snapshots().unwrap();

    let disks = snapshots.create("clean", SnapshotKind::Disks).await.unwrap();
    let memory = snapshots.create("clean", SnapshotKind::Memory).await.unwrap();
    assert_eq!(snapshots.list().await.unwrap(), [disks.clone(), memory.clone()]);
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Running);
    guest.attach_disk(DiskSpec::new(Memory::mib(8))).await.unwrap();
    guest.shutdown(ShutdownMode::Clean).await.unwrap();
    let error = snapshots.create("off", SnapshotKind::Memory).await.unwrap_err();
    assert!(matches!(error, Error::WrongState { .. }), "{error}");

    snapshots.revert(&memory).await.unwrap();
    guest.check().await.unwrap();
    guest.resume().await.unwrap();
    assert_eq!(guest.view().await.unwrap().disks.len(), 1, "the disk came after the snapshot");
    assert_eq!(guest.shell().await.unwrap().text(&boot_id).await.unwrap(), boot);

    snapshots.revert(&disks).await.unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
    assert_eq!(snapshots.list().await.unwrap().len(), 2, "a revert removes no snapshot");
    snapshots.delete(&memory).await.unwrap();
    snapshots.delete(&memory).await.unwrap();
    let error = snapshots.revert(&memory).await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::NoSuchObject));

    while let Some(undo) = scope.take_last() {
        undo.run().await.unwrap();
    }
    assert_eq!(lab.everything().await, before);
    assert!(guest.snapshots().unwrap().list().await.is_err(), "its snapshots went with it");
}

#[tokio::test]
async fn a_toolstack_without_snapshots_says_so() {
    let lab = SimLab::builder().without(Ability::Snapshots, "its disks are raw files").build();
    let guest = lab.host(0).create_guest(&GuestSpec::new("g").image("tiny")).await.unwrap();
    let error = guest.snapshots().unwrap_err().to_string();
    assert!(error.contains("its disks are raw files"), "{error}");
}

/// Writes a text to the beginning of a disk.
async fn put(guest: &dyn Guest, text: &str) {
    let dd = Command::new("dd").args(["of=/dev/xvda", "bs=4096", "conv=notrunc"]).stdin(text);
    guest.shell().await.unwrap().run(&dd).await.unwrap();
}

/// The first bytes of a disk.
async fn get(guest: &dyn Guest) -> String {
    let dd = Command::new("dd").args(["if=/dev/xvda", "bs=3", "count=1"]);
    guest.shell().await.unwrap().text(&dd).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_on_a_disk_goes_with_its_guest_and_back_with_a_snapshot() {
    let lab = SimLab::builder().timing(SimTiming::realistic()).build();
    let host = lab.host(0);
    let spec = GuestSpec::new("g").image("tiny").vif(VifSpec::on_default());
    let spec = spec.disk(DiskSpec::new(Memory::mib(1)));
    let guest = host.create_guest(&spec).await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    put(guest.as_ref(), "one").await;
    let snapshots = guest.snapshots().unwrap();
    let snapshot = snapshots.create("s", SnapshotKind::Disks).await.unwrap();
    put(guest.as_ref(), "two").await;
    guest.migrate(&lab.host(1)).await.unwrap();
    assert_eq!(get(guest.as_ref()).await, "two");
    // What is called done and was not.
    let lost = lab.inject(Fault::ignore().call(SimCall::Inside).command("dd of="));
    put(guest.as_ref(), "six").await;
    assert_eq!((get(guest.as_ref()).await.as_str(), lab.hits(lost)), ("two", 1));
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
    guest.snapshots().unwrap().revert(&snapshot).await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    assert_eq!(get(guest.as_ref()).await, "one");
}

#[tokio::test(start_paused = true)]
async fn clocks_go_and_work_uses_processor_time() {
    let lab = SimLab::builder().timing(SimTiming::realistic()).build();
    let guest = lab.host(0).create_basic_guest("g", "tiny").await.unwrap();
    let shell = guest.shell().await.unwrap();
    let clock = async || -> u64 {
        shell.text(&Command::new("date").arg("+%s")).await.unwrap().parse().unwrap()
    };
    let (before, used) = (clock().await, guest.domain().await.unwrap().unwrap().cpu_seconds);
    let burn = Command::new("timeout").args(["30", "sh", "-c", "while :; do :; done"]);
    assert!(!shell.succeeds(&burn).await.unwrap());
    assert!((30..33).contains(&(clock().await - before)));
    let used = guest.domain().await.unwrap().unwrap().cpu_seconds - used;
    assert!((29.0..32.0).contains(&used), "{used}");
}
