//! An OpenSSH server of our own: own port, own keys, own configuration, gone with the test.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use xenrt_core::remote::{HostKeyPolicy, SshShell, SshTarget};

use crate::process::{processes, signal, until};

const SSHD: &str = "/usr/sbin/sshd";

/// An OpenSSH server on the loopback interface that accepts one key of its own.
#[derive(Debug)]
pub struct Sshd {
    folder: tempfile::TempDir,
    /// The port that it listens on.
    pub port: u16,
    server: Option<Child>,
}

impl Sshd {
    /// A server with the usual configuration, listening.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// A server with these lines in its configuration, before the usual ones.
    pub fn start_with(lines: &str) -> Self {
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

    /// Starts the server again after [`end`](Self::end), on the same port.
    pub fn begin(&mut self) {
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
    pub fn end(&mut self) {
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
    pub fn connections(&self) -> usize {
        self.serving().len()
    }

    /// Ends the processes that serve the connections that exist.
    pub fn cut_connections(&self) {
        for pid in self.serving() {
            signal(pid, "KILL");
        }
    }

    /// Gives the server another host key, which nobody knows.
    pub fn make_new_host_key(&mut self) {
        self.end();
        make_key(&self.path("host_key"));
        self.begin();
    }

    /// A file in the server's folder: `user_key`, `known_hosts`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How to get in.
    pub fn target(&self) -> SshTarget {
        SshTarget::new(user(), "127.0.0.1")
            .port(self.port)
            .key(self.path("user_key"))
            .host_key(HostKeyPolicy::Strict(self.path("known_hosts")))
    }

    /// A shell that gets in.
    pub fn shell(&self) -> SshShell {
        SshShell::new(self.target())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.end();
    }
}

/// The user that the tests, and so the server, run as.
pub fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name
}

/// Makes a key pair in `path` and `path.pub`, replacing what is there.
pub fn make_key(path: &Path) {
    let _ = std::fs::remove_file(path);
    let made = Program::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
