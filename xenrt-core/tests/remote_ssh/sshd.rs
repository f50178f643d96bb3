//! An OpenSSH server of our own: own port, own keys, own configuration, gone with the test.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use xenrt_core::remote::{HostKeyPolicy, SshShell, SshTarget};

const SSHD: &str = "/usr/sbin/sshd";

pub(crate) struct Sshd {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    server: Option<Child>,
}

impl Sshd {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// A server with these lines in its configuration, before the usual ones.
    pub(crate) fn start_with(lines: &str) -> Self {
        assert!(
            Path::new(SSHD).exists(),
            "these tests need OpenSSH's server; install it (Debian: apt-get install openssh-server)"
        );
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for key in ["host_key", "user_key"] {
            make_key(&folder.path().join(key));
        }
        std::fs::copy(at("user_key.pub"), at("authorized_keys")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "{lines}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             MaxStartups 100\nAllowTcpForwarding yes\nSetEnv HOME={}\n",
            at("host_key"),
            at("authorized_keys"),
            // An empty one: a person's shell may do anything when it starts.
            folder.path().display(),
        );
        std::fs::write(at("config"), config).unwrap();
        let mut sshd = Self { folder, port, server: None };
        sshd.know_own_key();
        sshd.begin();
        sshd
    }

    /// Puts the server's key into the file that clients believe.
    fn know_own_key(&self) {
        let key = std::fs::read_to_string(self.path("host_key.pub")).unwrap();
        let mut words = key.split(' ');
        let (kind, key) = (words.next().unwrap(), words.next().unwrap());
        let line = format!("[127.0.0.1]:{} {kind} {key}\n", self.port);
        std::fs::write(self.path("known_hosts"), line).unwrap();
    }

    pub(crate) fn begin(&mut self) {
        // Root's sshd wants an empty folder for its unprivileged half; packages make it at boot.
        let _ = std::fs::create_dir("/run/sshd");
        let log = std::fs::File::create(self.path("log")).unwrap();
        let server = Program::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(self.path("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
        let address = ("127.0.0.1", self.port);
        until("sshd to listen", || TcpStream::connect(address).is_ok());
    }

    /// Ends the server; connections that exist live on.
    pub(crate) fn end(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// The processes that serve a connection each.
    fn serving(&self) -> Vec<u32> {
        let server = self.server.as_ref().unwrap().id();
        let all = processes().into_iter();
        all.filter(|(_, parent)| *parent == server).map(|(pid, _)| pid).collect()
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.serving().len()
    }

    /// Ends the processes that serve the connections that exist.
    pub(crate) fn cut_connections(&self) {
        for pid in self.serving() {
            signal(pid, "KILL");
        }
    }

    pub(crate) fn make_new_host_key(&mut self) {
        self.end();
        make_key(&self.path("host_key"));
        self.begin();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn target(&self) -> SshTarget {
        SshTarget::new(user(), "127.0.0.1")
            .port(self.port)
            .key(self.path("user_key"))
            .host_key(HostKeyPolicy::Strict(self.path("known_hosts")))
    }

    pub(crate) fn shell(&self) -> SshShell {
        SshShell::new(self.target())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name
}

pub(crate) fn make_key(path: &Path) {
    let _ = std::fs::remove_file(path);
    let made = Program::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A number of seconds to sleep that no other test uses, so that its process can be found.
pub(crate) fn unique_sleep() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("sleep 7{:07}.{number:03}", std::process::id())
}

/// Whether a process runs whose whole command line is `line`.
pub(crate) fn runs(line: &str) -> bool {
    let found = Program::new("pgrep").args(["-xf", &line.replace('.', "\\.")]).output().unwrap();
    !found.stdout.is_empty()
}

fn signal(pid: u32, signal: &str) {
    let _ = Program::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
}

/// Waits for something that no call of the shell waits for.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As [`until`], while the tasks of the test go on.
pub(crate) async fn until_async(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All processes of this machine with their parents.
fn processes() -> Vec<(u32, u32)> {
    let listed = Program::new("ps").args(["-eo", "pid=,ppid="]).output().unwrap();
    String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        })
        .collect()
}
