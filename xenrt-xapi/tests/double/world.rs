//! An OpenSSH server of our own whose `xe` is the double.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use xenrt_core::lab::LabFile;
use xenrt_core::model::{Host, Toolstack as _};
use xenrt_core::remote::{Command, HostKeyPolicy, Shell, ShellExt as _, SshShell, SshTarget};
use xenrt_xapi::double::{Double, HOST_VARIABLE, STATE_VARIABLE, World};
use xenrt_xapi::xe::{Login, Xe};
use xenrt_xapi::{XapiHost, XapiToolstack};

const SSHD: &str = "/usr/sbin/sshd";

/// A host: an sshd, an `xe` that is the double, and its world. Gone with the value.
pub(crate) struct Simulated {
    folder: tempfile::TempDir,
    port: u16,
    server: Option<Child>,
    pub(crate) double: Double,
}

/// Whether dom0 has `xl`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Xl {
    There,
    Missing,
}

impl Simulated {
    pub(crate) fn start(world: &World) -> Self {
        Self::start_with(world, Xl::There)
    }

    pub(crate) fn start_with(world: &World, xl: Xl) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let double = Double::create(folder.path().join("world"), world).unwrap();
        Self::start_on(folder, double, xl, "")
    }

    /// The dom0 of another host of the same pool.
    pub(crate) fn start_beside(&self, host: &str) -> Self {
        Self::start_on(tempfile::tempdir().unwrap(), self.double.clone(), Xl::There, host)
    }

    /// The dom0 of the host of this name, where there are several.
    pub(crate) fn start_host(world: &World, host: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let double = Double::create(folder.path().join("world"), world).unwrap();
        Self::start_on(folder, double, Xl::There, host)
    }

    fn start_on(folder: tempfile::TempDir, double: Double, xl: Xl, host: &str) -> Self {
        assert!(
            Path::new(SSHD).exists(),
            "these tests need OpenSSH's server; install it (Debian: apt-get install openssh-server)"
        );
        let at = |name: &str| folder.path().join(name).display().to_string();
        for key in ["host_key", "user_key"] {
            make_key(&folder.path().join(key));
        }
        std::fs::copy(at("user_key.pub"), at("authorized_keys")).unwrap();
        // Root's sshd wants an empty folder for its unprivileged half; packages make it at boot.
        let _ = std::fs::create_dir("/run/sshd");
        std::fs::create_dir(at("bin")).unwrap();
        std::fs::create_dir(at("tmp")).unwrap();
        let program = env!("CARGO_BIN_EXE_xe-double");
        // Nothing that a test asks of this dom0 may reboot the machine that the tests run on.
        for name in ["xe", "systemctl"] {
            std::os::unix::fs::symlink(program, folder.path().join("bin").join(name)).unwrap();
        }
        if xl == Xl::There {
            std::os::unix::fs::symlink(program, at("bin/xl")).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nListenAddress 127.0.0.2\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nMaxStartups 100\n\
             SetEnv HOME={} PATH={}:/usr/bin:/bin TMPDIR={} {STATE_VARIABLE}={} \
             {HOST_VARIABLE}={host:?}\n",
            at("host_key"),
            at("authorized_keys"),
            folder.path().display(),
            at("bin"),
            at("tmp"),
            double.path().display(),
        );
        std::fs::write(at("config"), config).unwrap();
        let key = std::fs::read_to_string(at("host_key.pub")).unwrap();
        std::fs::write(at("known_hosts"), format!("[127.0.0.1]:{port},[127.0.0.2]:{port} {key}"))
            .unwrap();
        let mut host = Self { folder, port, server: None, double };
        host.begin();
        host
    }

    fn begin(&mut self) {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let server = Program::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(self.path("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "sshd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Breaks all connections to it; new ones can be made.
    pub(crate) fn cut_connections(&mut self) {
        let server = self.server.as_ref().unwrap().id().to_string();
        let mut cut = 0;
        for entry in std::fs::read_dir("/proc").unwrap() {
            let folder = entry.unwrap().path();
            let Ok(stat) = std::fs::read_to_string(folder.join("stat")) else { continue };
            // After the name, which is in parentheses: the state, then the parent.
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
            if parent == Some(server.as_str()) {
                let pid = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
                let pid = nix::unistd::Pid::from_raw(pid);
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
                cut += 1;
            }
        }
        assert!(cut > 0, "there are no connections");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn target(&self) -> SshTarget {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        SshTarget::new(user, "127.0.0.1")
            .port(self.port)
            .key(self.path("user_key"))
            .host_key(HostKeyPolicy::Strict(self.path("known_hosts")))
    }

    pub(crate) fn shell(&self) -> Arc<dyn Shell> {
        Arc::new(SshShell::new(self.target()))
    }

    /// The same with a connection already: what is measured then is not how long that takes.
    pub(crate) async fn connected_shell(&self) -> Arc<dyn Shell> {
        let shell = self.shell();
        shell.run(&Command::new("true")).await.unwrap();
        shell
    }

    /// Its `xe`, through ssh.
    pub(crate) fn xe(&self) -> Xe {
        Xe::with_deadline(self.shell(), Login::Local, Duration::from_secs(60))
    }

    /// The lab file that speaks of it; `more` goes into its host.
    pub(crate) fn lab(&self, more: &str) -> LabFile {
        let target = self.target();
        let text = format!(
            "[[host]]\nname = \"sim\"\naddress = \"127.0.0.1\"\nport = {}\nuser = {:?}\nkey = \
             {:?}\nknown_hosts = {:?}\ntoolstack = \"xapi\"\n{more}\n\
             [host.deadlines]\nstate = \"30s\"\nboot = \"30s\"\ncommand = \"30s\"\ndevice = \"20s\"\n\
             suspend = \"30s\"\nmigrate = \"30s\"\n\
             [host.attributes]\nspare_interface = \"eth1\"\n\
             [host.guest_network]\nnetwork = \"xenbr0\"\n\
             [[host.images]]\nname = \"bare\"\naliases = [\"generic-linux\"]\nkinds = [\"hvm\"]\n\
             memory_mib = 512\n\
             [[host.images]]\nname = \"debian\"\nkinds = [\"hvm\"]\ndisk = \"Debian Bookworm 12\"\n\
             memory_mib = 2048\n",
            self.port,
            target.user,
            self.path("user_key"),
            self.path("known_hosts"),
        );
        LabFile::parse(&text, "lab.toml").unwrap()
    }

    pub(crate) async fn connect(&self) -> XapiHost {
        let host = XapiToolstack::new().connect(&self.lab("").hosts[0]).await.unwrap();
        XapiHost::of(host.as_ref()).unwrap()
    }

    /// The host that the lab calls so, as tests hold it.
    pub(crate) async fn connect_as(&self, name: &str) -> Arc<dyn Host> {
        let mut entry = self.lab("").hosts.remove(0);
        entry.name = name.to_owned();
        XapiToolstack::new().connect(&entry).await.unwrap()
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
}

fn make_key(path: &Path) {
    let made = Program::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
