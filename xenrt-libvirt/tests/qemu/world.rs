//! Name spaces with a libvirtd in them, and the lab's tiny guest for QEMU.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use xenrt_core::lab::LabFile;
use xenrt_core::model::{Host, Toolstack as _};
use xenrt_core::remote::{SshShell, SshTarget};
use xenrt_lab::{LabOptions, VirtualLab};
use xenrt_libvirt::LibvirtToolstack;

use crate::namespace::NamespaceShell;

/// Names the folder of the test, inside the name spaces alone.
const FOLDER: &str = "XENRT_LIBVIRT_TEST_FOLDER";

/// What stands for the address of the host that is apart.
const APART: &str = "apart.invalid";

/// The bridge of guests.
pub(crate) const BRIDGE: &str = "xrtbr0";

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

/// The kernel and initial ramdisk of the tiny guest, and the key that it lets in.
fn prepare(folder: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let images = runtime.block_on(async {
        VirtualLab::open(LabOptions::default()).await.unwrap().images().await.unwrap()
    });
    let key = xenrt_lab::default_cache_dir().join("keys/id_ed25519");
    std::fs::copy(images.kernel(), folder.join("kernel")).unwrap();
    std::fs::copy(images.boot_kernel(), folder.join("vmlinuz")).unwrap();
    std::fs::copy(images.guest_of_qemu(), folder.join("initrd")).unwrap();
    std::fs::copy(key, folder.join("key")).unwrap();
    // QEMU may be another user, who has to get through to its files.
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(folder.join("key"), mode(0o600)).unwrap();
    std::fs::set_permissions(folder, mode(0o711)).unwrap();
}

/// The folders of libvirt's, each in the place that libvirt has it.
const PLACES: &str = "run:/run lib:/var/lib cache:/var/cache log:/var/log etc:/etc";

/// Which of the daemons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    First,
    /// In a name space of mounts of its own, so that its folders are not those of the first.
    Second,
    /// As the second; what this library makes there is in a folder that the first does not see.
    Apart,
}

impl Which {
    fn state(self) -> &'static str {
        match self {
            Self::First => "state",
            Self::Second => "state2",
            Self::Apart => "state3",
        }
    }

    /// The lines for a shell that put the folders of this daemon where libvirt has them.
    fn folders(self) -> String {
        // libvirt knows hosts by this, and moves no guest to the host that it is on.
        let uuid = match self {
            Self::First => "5f3bd0a2-0d0e-4f46-8d0c-6d5a1c3f7a01",
            Self::Second => "5f3bd0a2-0d0e-4f46-8d0c-6d5a1c3f7a02",
            Self::Apart => "5f3bd0a2-0d0e-4f46-8d0c-6d5a1c3f7a03",
        };
        let work = match self {
            Self::First | Self::Second => "",
            Self::Apart => "mkdir -p state3/work work; mount --bind state3/work work",
        };
        format!(
            "{work}
            for name in run lib cache log etc; do mkdir -p {state}/$name; done
            for pair in {PLACES}; do
              mkdir -p ${{pair#*:}}/libvirt
              mount --bind {state}/${{pair%%:*}} ${{pair#*:}}/libvirt
            done
            printf '%s\\n' 'auth_unix_rw = \"none\"' 'host_uuid = \"{uuid}\"' \
              >/etc/libvirt/libvirtd.conf
            printf '%s\\n' 'user = \"root\"' 'group = \"root\"' 'security_driver = \"none\"' \
              'stdio_handler = \"file\"' 'namespaces = []' 'cgroup_controllers = []' \
              >/etc/libvirt/qemu.conf",
            state = self.state(),
        )
    }
}

/// One or two hosts that are the name spaces that this process runs in.
pub(crate) struct World {
    folder: PathBuf,
    daemons: Vec<(Which, Child)>,
}

impl World {
    /// The folders, the network and the first daemon of the name spaces.
    pub(crate) fn new() -> Self {
        let folder = std::env::var_os(FOLDER).expect("it is run by the test of its name alone");
        let folder = PathBuf::from(folder);
        let at = folder.display();
        let folders = Which::First.folders();
        sh(&format!(
            "cd '{at}'; {folders}
            cp /etc/passwd /etc/group state/
            # The daemon looks for the user of Debian's package, whoever it is told to use.
            for user in libvirt-qemu kvm; do
              grep -q ^$user: state/passwd || echo $user:x:64055:64055::/:/bin/false >>state/passwd
              grep -q ^$user: state/group || echo $user:x:64055: >>state/group
            done
            mount --bind state/passwd /etc/passwd; mount --bind state/group /etc/group
            # That of before shows the interfaces of the name space of before.
            mount -t sysfs sysfs /sys
            # Terminals have the same numbers in every name space, and libvirt locks them by those.
            mount -t tmpfs locks /var/lock
            ip link set lo up
            ip link add {BRIDGE} type bridge; ip addr add 10.99.0.1/24 dev {BRIDGE}
            ip link set {BRIDGE} up"
        ));
        let mut world = Self { folder, daemons: Vec::new() };
        world.start_daemon(Which::First);
        world
    }

    /// Where files of a test may be.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn socket(&self, which: Which) -> PathBuf {
        self.folder.join(which.state()).join("run/libvirt-sock")
    }

    /// Starts a daemon, and waits until it listens.
    pub(crate) fn start_daemon(&mut self, which: Which) {
        let socket = self.socket(which);
        let _ = std::fs::remove_file(&socket);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("libvirtd.log"))
            .unwrap();
        let line = "exec libvirtd --pid-file /run/libvirt/libvirtd.pid";
        let mut daemon = match which {
            Which::First => Command::new("sh"),
            Which::Second | Which::Apart => Command::new("unshare"),
        };
        let daemon = match which {
            Which::First => daemon.args(["-ec", line]),
            Which::Second | Which::Apart => {
                let line = format!("{}; {line}", which.folders());
                daemon.args(["--mount", "sh", "-ec", &line])
            }
        };
        let daemon = daemon
            .current_dir(&self.folder)
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        self.daemons.push((which, daemon));
        let started = Instant::now();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "libvirtd does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills a daemon; guests go on.
    pub(crate) fn kill_daemon(&mut self, which: Which) {
        for (_, mut daemon) in self.daemons.extract_if(.., |(own, _)| *own == which) {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    /// A lab of both hosts, whether the second has a daemon or not.
    pub(crate) fn lab(&self) -> LabFile {
        let hosts = [self.host(Which::First), self.host(Which::Second)];
        LabFile::parse(&hosts.concat(), "lab.toml").unwrap()
    }

    fn host(&self, which: Which) -> String {
        let at = self.folder.display();
        let socket = self.socket(which);
        let uri = format!("qemu+unix:///system?socket={}", socket.display());
        let (name, own) = match which {
            Which::First => ("qemu", "qemu:///system"),
            Which::Second => ("qemu2", uri.as_str()),
            Which::Apart => ("apart", uri.as_str()),
        };
        // Nothing can be sent to the first (RFC 5737): what comes to it comes through the tunnel.
        let (takes_memory_at, transport) = match which {
            Which::First => ("192.0.2.1", "direct"),
            Which::Second => ("10.99.0.1", "tunnel"),
            Which::Apart => ("10.99.0.1", "direct"),
        };
        let (address, shared) = match which {
            Which::First | Which::Second => ("localhost", format!("{at}/work, {at}/shared")),
            // It is reached by a shell of the test's own.
            Which::Apart => (APART, format!("{at}/shared")),
        };
        format!(
            "[[host]]\nname = \"{name}\"\naddress = \"{address}\"\ntoolstack = \"libvirt\"\n\
             key = \"{at}/key\"\nwork_folder = \"{at}/work\"\n\
             [host.attributes]\nlibvirt_uri = {own:?}\nlibvirt_accelerator = \"qemu\"\n\
             migration_uri = {uri:?}\nmigration_address = {takes_memory_at:?}\n\
             migration_transport = {transport:?}\nshared_folders = {shared:?}\n\
             [host.deadlines]\nstate = \"120s\"\nboot = \"240s\"\ncommand = \"60s\"\n\
             device = \"60s\"\nsuspend = \"240s\"\nmigrate = \"240s\"\n\
             [host.guest_network]\nnetwork = {BRIDGE:?}\n\
             pool = {{ first = \"10.99.0.101\", last = \"10.99.0.200\", prefix = 24, \
             gateway = \"10.99.0.1\" }}\n\
             [[host.images]]\nname = \"tiny\"\naliases = [\"generic-linux\"]\nkinds = [\"hvm\"]\n\
             kernel = \"{at}/kernel\"\nramdisk = \"{at}/initrd\"\nmemory_mib = 128\n\
             command_line = \"console=ttyS0 quiet net.ifnames=0 mitigations=off \
             random.trust_cpu=on panic=0 xenrt.name={{name}}\"\n\
             address_command_line = \"xenrt.ip={{address}}/{{prefix}} xenrt.gw={{gateway}}\"\n"
        )
    }

    /// The first host, as tests hold it.
    pub(crate) async fn connect(&self) -> Arc<dyn Host> {
        LibvirtToolstack::new().connect(&self.lab().hosts[0]).await.unwrap()
    }

    /// The host whose folders the first does not see; its daemon is started.
    pub(crate) async fn connect_apart(&mut self) -> Arc<dyn Host> {
        self.start_daemon(Which::Apart);
        let (_, daemon) = self.daemons.iter().find(|(own, _)| *own == Which::Apart).unwrap();
        let daemon = daemon.id();
        let toolstack = LibvirtToolstack::reaching_by(move |target| {
            if target.host == APART {
                return Arc::new(NamespaceShell::new(daemon));
            }
            // Guests are reached from here.
            Arc::new(SshShell::new(SshTarget { gateways: Vec::new(), ..target }))
        });
        let lab = LabFile::parse(&self.host(Which::Apart), "lab.toml").unwrap();
        toolstack.connect(&lab.hosts[0]).await.unwrap()
    }

    /// The second host; its daemon is started.
    pub(crate) async fn connect_second(&mut self) -> Arc<dyn Host> {
        self.start_daemon(Which::Second);
        LibvirtToolstack::new().connect(&self.lab().hosts[1]).await.unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_daemon(Which::First);
        self.kill_daemon(Which::Second);
        self.kill_daemon(Which::Apart);
    }
}
