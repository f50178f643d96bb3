//! Hosts of this machine, as programs without a lab file have them.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xenrt::local_libvirt::LocalLibvirtProvider;
use xenrt_core::conformance::{Suite, Verdict};
use xenrt_core::lab::{HostDemand, LabProvider as _};
use xenrt_core::model::{GuestSpec, VifSpec};

/// Some of everything: name spaces are between the host and this process in all of it.
const CHECKS: [&str; 8] = [
    "host.inventory",
    "shell.many_at_once",
    "shell.file_is_replaced",
    "network.uplink",
    "power.start_paused_then_unpause",
    "power.host_reboot",
    "devices.attach_disk",
    "migration.leaves_source",
];

fn demands(count: usize) -> Vec<HostDemand> {
    (0..count).map(|n| HostDemand { name: n.to_string(), ..HostDemand::default() }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_this_machine_conform() {
    let lab = LocalLibvirtProvider::new();
    let mut hosts = lab.acquire(&demands(2), &|_| {}).await.unwrap().into_iter();
    let host = hosts.next().unwrap();
    let folder = std::path::PathBuf::from(host.entry().work_folder.clone());
    let folder = folder.parent().unwrap();
    let suite = Suite::new(host).second_host(hosts.next().unwrap());
    let suite = CHECKS.iter().fold(suite, |suite, check| suite.filter(*check));
    let profile = suite.run().await;
    assert_eq!((profile.red().count(), profile.left.len()), (0, 0), "{profile}");
    let absent: Vec<_> = profile
        .checks
        .iter()
        .filter(|check| matches!(check.verdict, Verdict::AbilityAbsent(_)))
        .map(|check| check.name.as_str())
        .collect();
    // Its kernel is that of the machine that the tests run on.
    assert_eq!(absent, ["power.host_reboot"], "{profile}");
    let evidence = tempfile::tempdir().unwrap();
    lab.collect_evidence(evidence.path()).await.unwrap();
    assert!(evidence.path().join("qemuhost2-libvirtd.log").exists());
    lab.release().await.unwrap();
    assert!(!folder.exists(), "{}", folder.display());
    assert_eq!(processes_of(&folder.display().to_string()), Vec::<String>::new());
}

/// The command lines of processes that have this text in them.
fn processes_of(text: &str) -> Vec<String> {
    let lines = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|process| {
        let line = std::fs::read(process.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run, and killed, by `hosts_of_this_machine_end_with_their_program`"]
async fn until_killed() {
    let lab = LocalLibvirtProvider::new();
    let host = lab.acquire(&demands(1), &|_| {}).await.unwrap().remove(0);
    let name = format!("until-killed-{}", std::process::id());
    let spec = GuestSpec::new(name).image("tiny").vif(VifSpec::on_default());
    host.create_guest(&spec).await.unwrap().start().await.unwrap();
    println!("\nup in {}", host.entry().work_folder);
    std::future::pending::<()>().await;
}

#[test]
fn hosts_of_this_machine_end_with_their_program() {
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "local::until_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines().map_while(Result::ok);
    let work = lines.find_map(|line| line.strip_prefix("up in ").map(str::to_owned));
    let work = work.expect("it ended before its guest was up");
    let folder = work.strip_suffix("/work").unwrap();
    let guest = format!("guest=until-killed-{}", program.id());
    assert_eq!(processes_of(&guest).len(), 1, "{:?}", processes_of("qemu-system"));
    // With no chance to clean up.
    program.kill().unwrap();
    program.wait().unwrap();
    let killed = Instant::now();
    let left = || [processes_of(folder), processes_of(&guest)].concat();
    while !left().is_empty() || std::path::Path::new(folder).exists() {
        let left = left();
        assert!(killed.elapsed() < Duration::from_secs(30), "{folder} is there, and {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
