//! Name spaces with a libvirtd in them, and the lab's tiny guest for QEMU.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use xenrt_core::lab::LabFile;
use xenrt_core::model::{Host, Toolstack as _};
use xenrt_lab::{LabOptions, VirtualLab};
use xenrt_libvirt::LibvirtToolstack;

/// Names the folder of the test, inside the name spaces alone.
const FOLDER: &str = "XENRT_LIBVIRT_TEST_FOLDER";

/// The modules of dom0's initial ramdisk that the tiny guest needs under QEMU, in loading order.
const MODULES: [&str; 9] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
];

/// Those of dom0's disk: a balloon, a power button, and a bell that is rung in a panic.
const MORE_MODULES: [&str; 5] = [
    "virtio/virtio_balloon.ko",
    "acpi/button.ko",
    "input/evdev.ko",
    "misc/pvpanic/pvpanic.ko",
    "misc/pvpanic/pvpanic-mmio.ko",
];

/// Runs the ignored test `name` of this program in name spaces of its own.
pub(crate) fn run_inside(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]);
    if !is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    // The first process of a name space has to reap what others leave; a shell does.
    let status = unshare
        .args(["sh", "-c", "\"$0\" \"$@\"; exit $?"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdin(Stdio::null())
        .status()
        .unwrap();
    let log = std::fs::read_to_string(folder.path().join("libvirtd.log")).unwrap_or_default();
    // Interfaces that the name spaces do not have are looked for all the same.
    let log = log.lines().filter(|line| !line.contains("ethtool ioctl"));
    let log = log.collect::<Vec<_>>().join("\n");
    assert!(status.success(), "{name} inside: {status}; the daemon said:\n{log}");
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .map(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
        .unwrap()
}

fn sh(line: &str) {
    let status = Command::new("sh").args(["-ec", line]).status().unwrap();
    assert!(status.success(), "{line}: {status}");
}

/// The kernel and initial ramdisk of the tiny guest, for QEMU: the lab's own boots under Xen, so the
/// modules for QEMU's devices are put behind it (a kernel unpacks one archive after the other). What
/// waits for the power button is there too.
fn prepare(folder: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let images = runtime.block_on(async {
        VirtualLab::open(LabOptions::default()).await.unwrap().images().await.unwrap()
    });
    let (kernel, dom0) = (images.kernel(), images.initrd());
    let tiny = kernel.with_file_name("tiny.initrd");
    let keys = xenrt_lab::default_cache_dir().join("keys/id_ed25519");
    let (modules, more) = (MODULES.join(" "), MORE_MODULES.join(" "));
    let at = folder.display();
    sh(&format!(
        "cd '{at}'; mkdir dom0 tiny more more/mod more/etc
        (cd dom0; cpio -idm --quiet '*mod/*' <'{}')
        (cd tiny; cpio -idm --quiet '*etc/*' <'{}')
        for module in {modules}; do
          cp dom0/mod/$module.ko more/mod/; echo $module.ko >>more/mod/list
        done
        release=$(debugfs -R 'ls -p /lib/modules' '{}' 2>more.log | tr / '\\n' | grep -m 1 '^[0-9].*-')
        for module in {more}; do
          name=$(basename $module)
          debugfs -R \"dump /lib/modules/$release/kernel/drivers/$module more/mod/$name\" '{}' 2>>more.log
          echo $name >>more/mod/list
        done
        mkdir more/bin; printf '%s\n' '#!/bin/sh' \
          'for input in /sys/class/input/event*; do' \
          '  [ \"$(cat $input/device/name)\" = \"Power Button\" ] || continue' \
          '  dd if=/dev/input/${{input##*/}} of=/dev/null bs=24 count=1 && poweroff' \
          'done' 'sleep 1' >more/bin/power-button; chmod 755 more/bin/power-button
        sed s/hvc0/ttyS0/ tiny/etc/inittab >more/etc/inittab
        echo '::respawn:/bin/power-button' >>more/etc/inittab
        sed '/devtmpfs/a mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm' tiny/etc/rc >more/etc/rc
        chmod 755 more/etc/rc
        sed s/hvc0/ttyS0/ tiny/etc/announce >more/etc/announce; chmod 755 more/etc/announce
        (cd more; find . | cpio -o -H newc --quiet) >more.initrd
        cat '{}' more.initrd >initrd
        cp '{}' kernel; cp '{}' key; chmod 600 key; chmod 711 .",
        dom0.display(),
        tiny.display(),
        images.disk().display(),
        images.disk().display(),
        tiny.display(),
        kernel.display(),
        keys.display(),
    ));
}

/// A host that is the name spaces that this process runs in.
pub(crate) struct World {
    folder: PathBuf,
    daemon: Option<Child>,
}

impl World {
    /// The folders, the network and the daemon of the name spaces.
    pub(crate) fn new() -> Self {
        let folder = std::env::var_os(FOLDER).expect("it is run by the test of its name alone");
        let folder = PathBuf::from(folder);
        let at = folder.display();
        sh(&format!(
            "cd '{at}'
            for name in run lib cache log etc; do mkdir -p state/$name; done
            for pair in run:/run lib:/var/lib cache:/var/cache log:/var/log etc:/etc; do
              mkdir -p ${{pair#*:}}/libvirt
              mount --bind state/${{pair%%:*}} ${{pair#*:}}/libvirt
            done
            cp /etc/passwd /etc/group state/
            # The daemon looks for the user of Debian's package, whoever it is told to use.
            for user in libvirt-qemu kvm; do
              grep -q ^$user: state/passwd || echo $user:x:64055:64055::/:/bin/false >>state/passwd
              grep -q ^$user: state/group || echo $user:x:64055: >>state/group
            done
            mount --bind state/passwd /etc/passwd; mount --bind state/group /etc/group
            echo 'auth_unix_rw = \"none\"' >/etc/libvirt/libvirtd.conf
            printf '%s\\n' 'user = \"root\"' 'group = \"root\"' 'security_driver = \"none\"' \
              'stdio_handler = \"file\"' 'namespaces = []' 'cgroup_controllers = []' \
              >/etc/libvirt/qemu.conf
            # That of before shows the interfaces of the name space of before.
            mount -t sysfs sysfs /sys
            ip link set lo up
            ip link add xrtbr0 type bridge; ip addr add 10.99.0.1/24 dev xrtbr0
            ip link set xrtbr0 up"
        ));
        let mut world = Self { folder, daemon: None };
        world.start_daemon();
        world
    }

    /// Starts the daemon, and waits until it listens.
    pub(crate) fn start_daemon(&mut self) {
        let socket = Path::new("/run/libvirt/libvirt-sock");
        let _ = std::fs::remove_file(socket);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("libvirtd.log"))
            .unwrap();
        let daemon = Command::new("libvirtd")
            .args(["--pid-file", "/run/libvirt/libvirtd.pid"])
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        let started = Instant::now();
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "libvirtd does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills the daemon; guests go on.
    pub(crate) fn kill_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    /// The host, as tests hold it.
    pub(crate) async fn connect(&self) -> Arc<dyn Host> {
        let at = self.folder.display();
        let text = format!(
            "[[host]]\nname = \"qemu\"\naddress = \"localhost\"\ntoolstack = \"libvirt\"\n\
             key = \"{at}/key\"\nwork_folder = \"{at}/work\"\n\
             attributes = {{ libvirt_uri = \"qemu:///system\", libvirt_accelerator = \"qemu\" }}\n\
             [host.deadlines]\nstate = \"120s\"\nboot = \"240s\"\ncommand = \"60s\"\n\
             device = \"60s\"\nsuspend = \"240s\"\n\
             [host.guest_network]\nnetwork = \"xrtbr0\"\n\
             pool = {{ first = \"10.99.0.101\", last = \"10.99.0.200\", prefix = 24, \
             gateway = \"10.99.0.1\" }}\n\
             [[host.images]]\nname = \"tiny\"\naliases = [\"generic-linux\"]\nkinds = [\"hvm\"]\n\
             kernel = \"{at}/kernel\"\nramdisk = \"{at}/initrd\"\nmemory_mib = 128\n\
             command_line = \"console=ttyS0 quiet net.ifnames=0 mitigations=off \
             random.trust_cpu=on panic=0 xenrt.name={{name}}\"\n\
             address_command_line = \"xenrt.ip={{address}}/{{prefix}} xenrt.gw={{gateway}}\"\n"
        );
        let entry = LabFile::parse(&text, "lab.toml").unwrap().hosts.remove(0);
        LibvirtToolstack::new().connect(&entry).await.unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_daemon();
    }
}
