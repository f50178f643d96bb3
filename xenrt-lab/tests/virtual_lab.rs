//! The virtual lab, end to end: it really builds images, boots Xen and starts guests.
//!
//! The tests share the user's cache, so the first run takes some minutes and later ones less than one
//! a test. They run one at a time: every host keeps two emulated CPUs busy.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};
use xenrt_lab::{
    GuestImage, GuestKind, GuestRoot, HostRequest, LIVE_GUEST_ADDRESS, LabOptions, Preparation,
    Progress, Stage, VirtualHost, VirtualLab, guest_images,
};

/// Long enough for anything on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(120);

async fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

async fn open() -> VirtualLab {
    VirtualLab::open(options()).await.expect("the lab opens")
}

fn options() -> LabOptions {
    LabOptions { progress: Progress::new(|event| eprintln!("{event}")), ..LabOptions::default() }
}

fn image(name: &str) -> &'static GuestImage {
    guest_images().iter().find(|image| image.name == name).expect("an image of that name")
}

/// Creates a guest with an address and waits until dom0 can log in to it.
async fn start_guest(
    host: &VirtualHost,
    image: &GuestImage,
    name: &str,
    kind: &str,
    address: Option<&str>,
) -> Duration {
    let began = Instant::now();
    let mut script = String::new();
    let mut disk = String::new();
    if let GuestRoot::Disk { image, .. } = image.root {
        script = format!("cp --sparse=always {image} /var/lib/xen/images/{name}.raw\n");
        disk = format!(
            "disk = [ 'format=raw,vdev=xvda,access=rw,target=/var/lib/xen/images/{name}.raw' ]"
        );
    }
    script += &format!(
        "cat > /etc/xen/{name}.cfg <<CFG
name = '{name}'
type = '{kind}'
kernel = '{}'
ramdisk = '{}'
extra = '{}'
memory = {}
vcpus = 1
maxvcpus = 2
{disk}
vif = [ 'bridge=xenbr0' ]
CFG
xl create /etc/xen/{name}.cfg > /dev/null
tries=0
until grep -q 'xenrt-guest {name} up' /var/log/xen/console/guest-{name}.log; do
    tries=$((tries + 1))
    if [ $tries -gt 400 ]; then tail -n 20 /var/log/xen/console/guest-{name}.log >&2; exit 1; fi
    sleep 0.25
done
sed -n 's/.*xenrt-guest {name} up //p' /var/log/xen/console/guest-{name}.log | tr -d '\\r'
",
        image.kernel,
        image.ramdisk,
        image.command_line(name, address),
        image.memory_mib,
    );
    let address = host.run(&script, 4 * PATIENCE).await.expect("the guest starts");
    let address = address.trim();
    let hostname = log_in(host, address, "hostname").await;
    assert_eq!(hostname, name);
    let took = began.elapsed();
    eprintln!("guest {name} ({kind}) at {address} after {:.1} s", took.as_secs_f32());
    took
}

/// Runs a command in a guest. One login in ten to dropbear ends in "send disconnect: Broken pipe" after
/// the command, so it may be tried again; every retry is told.
async fn log_in(host: &VirtualHost, address: &str, command: &str) -> String {
    let login = format!("ssh root@{address} {command}");
    for _ in 0..5 {
        match host.run(&login, PATIENCE).await {
            Ok(output) => return output.trim().to_owned(),
            Err(error) if error.to_string().contains("Broken pipe") => eprintln!("again: {error}"),
            Err(error) => panic!("dom0 logs in to the guest: {error}"),
        }
    }
    panic!("five logins to {address} in a row broke");
}

#[tokio::test]
async fn images_are_built_once() {
    let _turn = one_at_a_time().await;
    let first = open().await.images().await.expect("the images are built");
    assert!(first.disk().exists() && first.hypervisor().exists());
    let mut options = options();
    options.progress = Progress::new(|event| assert!(event.stage == Stage::Finished, "{event}"));
    let lab = VirtualLab::open(options).await.expect("the lab opens");
    let again = lab.images().await.expect("the images are found");
    assert_eq!(first.key(), again.key());
}

#[tokio::test]
async fn two_hosts_come_back_linked_and_different() {
    let _turn = one_at_a_time().await;
    let lab = open().await;
    let hosts = lab.hosts(&HostRequest::new(2)).await.expect("two hosts");
    for (host, peer) in [(&hosts[0], &hosts[1]), (&hosts[1], &hosts[0])] {
        assert_eq!(host.run("hostname", PATIENCE).await.unwrap().trim(), host.name());
        let ping = format!("ping -c 3 -W 5 {}", peer.link_address());
        host.run(&ping, PATIENCE).await.expect("the peer answers on the cable");
        let login = format!("ssh {} hostname", peer.name());
        assert_eq!(host.run(&login, PATIENCE).await.unwrap().trim(), peer.name());
        let clock: u64 =
            host.run("date +%s", PATIENCE).await.unwrap().trim().parse().expect("seconds");
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(now.abs_diff(clock) < 20, "dom0's clock is {clock}, ours {now}");
    }
    let libvirt = hosts[0].run("virsh -c xen:///system capabilities", PATIENCE).await.unwrap();
    assert!(
        libvirt.contains("<os_type>linux</os_type>") || libvirt.contains("xenpvh"),
        "{libvirt}"
    );
}

#[tokio::test]
async fn guests_start_and_answer() {
    let _turn = one_at_a_time().await;
    let lab = open().await;
    let host = lab.hosts(&HostRequest::new(1)).await.expect("a host").remove(0);
    start_guest(&host, image("tiny"), "static", "pv", Some("10.0.2.101/24")).await;
    start_guest(&host, image("tiny"), "lease", "pvh", None).await;
    // A CPU that is plugged in comes on line by itself.
    host.run(
        "xl vcpu-set static 2; for i in $(seq 50); do \
         [ \"$(ssh root@10.0.2.101 nproc)\" = 2 ] && exit 0; sleep 0.2; done; exit 1",
        PATIENCE,
    )
    .await
    .expect("the second CPU is on line");
    for name in ["static", "lease"] {
        let gone = format!(
            "xl shutdown -w {name}; for i in $(seq 100); do xl list {name} 2>/dev/null || exit 0; \
             sleep 0.2; done; exit 1"
        );
        host.run(&gone, PATIENCE).await.expect("the guest shuts down cleanly");
    }
    start_guest(&host, image("debian"), "big", "pvh", Some("10.0.2.102/24")).await;
}

#[tokio::test]
async fn a_live_guest_comes_back_with_its_host() {
    let _turn = one_at_a_time().await;
    let lab = open().await;
    let request = HostRequest::new(1).prepared(Preparation::live_guest(GuestKind::Pvh));
    lab.hosts(&request).await.expect("the snapshot is made");
    let began = Instant::now();
    let hosts = lab.hosts(&request).await.expect("a host");
    let restored = began.elapsed();
    assert_eq!(log_in(&hosts[0], LIVE_GUEST_ADDRESS, "hostname").await, "live");
    eprintln!(
        "restored in {:.1} s, guest answered after {:.1} s",
        restored.as_secs_f32(),
        began.elapsed().as_secs_f32()
    );
}

#[tokio::test]
async fn power_can_be_pulled() {
    let _turn = one_at_a_time().await;
    let lab = open().await;
    let hosts = lab.hosts(&HostRequest::new(2)).await.expect("two hosts");
    hosts[1].run("touch /root/before", PATIENCE).await.expect("a file is written");
    hosts[1].power_cycle().await.expect("the host comes back");
    hosts[1].run("test -e /root/before", PATIENCE).await.expect("its disk survived");
    assert_eq!(hosts[1].run("hostname", PATIENCE).await.unwrap().trim(), "xenhost2");
    let ping = format!("ping -c 3 -W 5 {}", hosts[0].link_address());
    hosts[1].run(&ping, PATIENCE).await.expect("the cable is still plugged in");
}

/// The program that `a_killed_owner_leaves_nothing` kills. It is no test of its own.
#[tokio::test]
async fn helper_that_owns_a_host() {
    let Some(run_dir) = std::env::var_os("XENRT_TEST_RUN_DIR") else { return };
    let mut options = options();
    options.run_dir = Some(run_dir.into());
    let lab = VirtualLab::open(options).await.expect("the lab opens");
    let mut request = HostRequest::new(1);
    request.detached = std::env::var_os("XENRT_TEST_DETACHED").is_some();
    let _hosts = lab.hosts(&request).await.expect("a host");
    println!("\nhost is up");
    if !request.detached {
        std::future::pending::<()>().await;
    }
}

fn helper(run_dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command
        .args(["--exact", "helper_that_owns_a_host", "--nocapture"])
        .env("XENRT_TEST_RUN_DIR", run_dir)
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn open_at(run_dir: &Path) -> VirtualLab {
    let mut options = options();
    options.run_dir = Some(run_dir.to_owned());
    VirtualLab::open(options).await.expect("the lab opens")
}

fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn a_killed_owner_leaves_nothing() {
    let _turn = one_at_a_time().await;
    open().await.hosts(&HostRequest::new(1)).await.expect("the snapshot exists");
    let run_dir = tempfile::tempdir().expect("a directory");
    let mut owner = helper(run_dir.path()).spawn().expect("the helper starts");
    let mut lines = BufReader::new(owner.stdout.take().expect("a pipe")).lines();
    while lines.next_line().await.expect("output").expect("the host comes up") != "host is up" {}
    let lab = open_at(run_dir.path()).await;
    let running = lab.running();
    let qemu = running[0].hosts[0].1.expect("its QEMU is alive");
    assert!(running[0].owner_alive && alive(qemu));

    owner.kill().await.expect("SIGKILL");
    // The next program that opens the lab cleans up, whatever the kernel did before it.
    drop(lab);
    let lab = open_at(run_dir.path()).await;
    assert!(!alive(qemu));
    assert!(lab.running().is_empty());
    assert_eq!(std::fs::read_dir(run_dir.path()).expect("readable").count(), 0);
}

#[tokio::test]
async fn a_detached_host_outlives_its_owner_until_it_is_ended() {
    let _turn = one_at_a_time().await;
    open().await.hosts(&HostRequest::new(1)).await.expect("the snapshot exists");
    let run_dir: PathBuf = tempfile::tempdir().expect("a directory").keep();
    // Nobody reads what it prints, and a closed pipe would make it fail.
    let mut owner = helper(&run_dir);
    owner.env("XENRT_TEST_DETACHED", "1").stdout(Stdio::null());
    let status = owner.status().await.expect("the helper ends");
    assert!(status.success());
    let lab = open_at(&run_dir).await;
    let running = lab.running();
    assert!(running[0].detached && !running[0].owner_alive);
    let hosts = lab.attach(&running[0].id).await.expect("a handle");
    assert_eq!(hosts[0].run("hostname", PATIENCE).await.unwrap().trim(), "xenhost1");
    drop(hosts);
    let qemu = lab.running()[0].hosts[0].1.expect("still alive");
    lab.down(&running[0].id).expect("it ends");
    assert!(!alive(qemu) && lab.running().is_empty());
    std::fs::remove_dir_all(&run_dir).expect("removed");
}
