//! Remote commands: `SshShell` against the raw native mux, one `ssh` process a command, and
//! paramiko, all with one local sshd.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use xenrt_core::remote::{Command, HostKeyPolicy, ShellExt, SshShell, SshTarget};

use super::{Error, Row, median};

/// Commands of one measurement of a fast side.
const MANY: usize = 800;
/// Commands of one measurement of a side that takes a login for each.
const FEW: usize = 16;

const UNIT: &str = "commands/s";

/// Measures with `lanes` commands at a time.
pub(super) fn run(name: &str, lanes: usize, rounds: usize) -> Result<Vec<Row>, Error> {
    let runtime = tokio::runtime::Runtime::new()?;
    let sshd = Sshd::start()?;
    runtime.block_on(async {
        let ours = SshShell::new(sshd.target());
        let raw = sshd.raw_session().await?;
        let paramiko = Paramiko::start(&sshd);
        let (mut paramiko, mut missing) = match paramiko {
            Ok(paramiko) => (Some(paramiko), None),
            Err(error) => (None, Some(error.to_string())),
        };
        // The first commands log in and fill caches.
        ours_rate(&ours, lanes, 40).await?;
        raw_rate(&raw, lanes, 40).await?;

        let mut figures: [Vec<f64>; 4] = Default::default();
        for round in 0..rounds {
            let [own, peer] = side_by_side(&ours, &raw, lanes).await?;
            figures[0].push(own);
            figures[1].push(peer);
            figures[2].push(process_rate(&sshd, lanes).await?);
            if let Some(peer) = &mut paramiko {
                match peer.rate(lanes) {
                    Ok(rate) => figures[3].push(rate),
                    Err(error) => {
                        missing = Some(error.to_string());
                        paramiko = None;
                    }
                }
            }
            let last = figures.iter().map(|side| side.last().copied().unwrap_or(f64::NAN));
            let last: Vec<String> = last.map(|rate| format!("{rate:.1}")).collect();
            anstream::eprintln!("  round {} of {rounds}: {} {UNIT}", round + 1, last.join(" / "));
        }
        raw.close().await?;

        let own = &figures[0];
        let row = |peer: &str, values: &[f64], note: &str| {
            let whole = values.len() == own.len();
            let ratios = own.iter().zip(values).map(|(own, peer)| own / peer).collect();
            Row {
                name: name.to_owned(),
                unit: UNIT.to_owned(),
                ours: median(own.clone()),
                peer: peer.to_owned(),
                peer_value: whole.then(|| median(values.to_vec())),
                ratio: whole.then(|| median(ratios)),
                note: note.to_owned(),
            }
        };
        let missing = missing.map(|why| format!("not measured: {why}")).unwrap_or_default();
        Ok(vec![
            row("openssh crate, native mux", &figures[1], "the target is 0.95"),
            row("ssh process a command", &figures[2], "a login each"),
            row("paramiko", &figures[3], &missing),
        ])
    })
}

/// Runs `count` commands, `lanes` at a time, and gives commands a second.
async fn rate<F, Fut>(lanes: usize, count: usize, run: F) -> Result<f64, Error>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Vec<u8>, Error>>,
{
    let started = Instant::now();
    let each = count.div_ceil(lanes);
    let lane = || async {
        for _ in 0..each {
            let printed = run().await?;
            if printed != b"ok\n" {
                return Err(Error::from(format!("`echo ok` printed {printed:?}")));
            }
        }
        Ok(())
    };
    try_join_all((0..lanes).map(|_| lane())).await?;
    Ok((each * lanes) as f64 / started.elapsed().as_secs_f64())
}

/// Ours and the raw mux, in short turns: other work on this machine then weighs on both alike, and
/// who comes first changes from turn to turn.
async fn side_by_side(
    ours: &SshShell,
    raw: &openssh::Session,
    lanes: usize,
) -> Result<[f64; 2], Error> {
    const TURNS: usize = 20;
    let count = MANY / TURNS;
    let mut seconds = [0.0, 0.0];
    for turn in 0..TURNS {
        for side in [turn % 2, (turn + 1) % 2] {
            let rate = match side {
                0 => ours_rate(ours, lanes, count).await?,
                _ => raw_rate(raw, lanes, count).await?,
            };
            seconds[side] += 1.0 / rate;
        }
    }
    Ok(seconds.map(|seconds| TURNS as f64 / seconds))
}

async fn ours_rate(shell: &SshShell, lanes: usize, count: usize) -> Result<f64, Error> {
    let command = Command::new("echo").arg("ok");
    rate(lanes, count, || async { Ok(shell.run(&command).await?.stdout) }).await
}

async fn raw_rate(session: &openssh::Session, lanes: usize, count: usize) -> Result<f64, Error> {
    rate(lanes, count, || async { Ok(session.command("echo").arg("ok").output().await?.stdout) })
        .await
}

async fn process_rate(sshd: &Sshd, lanes: usize) -> Result<f64, Error> {
    rate(lanes, FEW, || async {
        let mut ssh = tokio::process::Command::new("ssh");
        ssh.args(sshd.ssh_options()).args(["127.0.0.1", "echo", "ok"]);
        Ok(ssh.stdin(Stdio::null()).stderr(Stdio::inherit()).output().await?.stdout)
    })
    .await
}

/// An OpenSSH server for the measurement.
pub(super) struct Sshd {
    folder: tempfile::TempDir,
    port: u16,
    user: String,
    server: Child,
}

impl Sshd {
    fn start() -> Result<Self, Error> {
        Self::start_with("")
    }

    /// With more variables, `NAME=value`, in the environment of what it runs.
    pub(super) fn start_with(environment: &str) -> Result<Self, Error> {
        const SSHD: &str = "/usr/sbin/sshd";
        if !Path::new(SSHD).exists() {
            return Err("there is no OpenSSH server to measure with; install it (Debian: apt-get \
                        install openssh-server)"
                .into());
        }
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        for key in ["host_key", "user_key"] {
            let made = Program::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(at(key))
                .status()?;
            if !made.success() {
                return Err("ssh-keygen made no key".into());
            }
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let host_key = std::fs::read_to_string(at("host_key.pub"))?;
        std::fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {host_key}"))?;
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nMaxStartups 100\nMaxSessions 64\nSetEnv HOME={} {environment}\n",
            at("host_key").display(),
            at("user_key.pub").display(),
            // An empty one: what a person's shell does when it starts is not to be measured.
            folder.path().display(),
        );
        std::fs::write(at("config"), config)?;
        // Root's sshd wants an empty folder for its unprivileged half; packages make it at boot.
        let _ = std::fs::create_dir("/run/sshd");
        let server = Program::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(at("config"))
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(at("log"))?)
            .spawn()?;
        let whoami = Program::new("id").arg("-un").output()?;
        let user = String::from_utf8(whoami.stdout)?.trim().to_owned();
        let sshd = Self { folder, port, user, server };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if started.elapsed() > Duration::from_secs(10) {
                let log = std::fs::read_to_string(sshd.path("log")).unwrap_or_default();
                return Err(format!("sshd does not listen after 10 s; it said: {log}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(sshd)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn target(&self) -> SshTarget {
        SshTarget::new(&*self.user, "127.0.0.1")
            .port(self.port)
            .key(self.path("user_key"))
            .host_key(HostKeyPolicy::Strict(self.path("known_hosts")))
    }

    fn ssh_options(&self) -> Vec<String> {
        [
            "-F".to_owned(),
            "none".to_owned(),
            "-i".to_owned(),
            self.path("user_key").display().to_string(),
            "-p".to_owned(),
            self.port.to_string(),
            "-l".to_owned(),
            self.user.clone(),
            format!("-oUserKnownHostsFile={}", self.path("known_hosts").display()),
            "-oBatchMode=yes".to_owned(),
        ]
        .into()
    }

    async fn raw_session(&self) -> Result<openssh::Session, Error> {
        let config = self.path("no_config");
        std::fs::write(&config, "")?;
        let session = openssh::SessionBuilder::default()
            .user(self.user.clone())
            .port(self.port)
            .keyfile(self.path("user_key"))
            .known_hosts_check(openssh::KnownHosts::Strict)
            .user_known_hosts_file(self.path("known_hosts"))
            .config_file(config)
            .control_directory(self.folder.path())
            .connect_mux("127.0.0.1")
            .await?;
        Ok(session)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A Python process that measures paramiko when told to.
struct Paramiko {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Paramiko {
    fn start(sshd: &Sshd) -> Result<Self, Error> {
        let python = installed()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/paramiko_bench.py");
        let mut child = Program::new(python)
            .arg(script)
            .args([&sshd.port.to_string(), &sshd.user])
            .args([sshd.path("user_key"), sshd.path("known_hosts")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the Python process has no pipes".into());
        };
        Ok(Self { child, stdin, stdout: BufReader::new(stdout) })
    }

    fn rate(&mut self, lanes: usize) -> Result<f64, Error> {
        writeln!(self.stdin, "{lanes} {}", MANY / 20)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        line.trim().parse().map_err(|_| format!("it answered {line:?}").into())
    }
}

impl Drop for Paramiko {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python that has paramiko, installed beside the build where need be.
fn installed() -> Result<PathBuf, Error> {
    let target = std::env::current_exe()?;
    let folder = target.ancestors().nth(2).ok_or("the build folder is not known")?;
    let venv = folder.join("bench-python");
    let python = venv.join("bin/python");
    let works = |python: &Path| {
        let mut import = Program::new(python);
        import.args(["-c", "import paramiko"]).stderr(Stdio::null());
        import.status().is_ok_and(|status| status.success())
    };
    if works(&python) {
        return Ok(python);
    }
    anstream::eprintln!("installing paramiko to compare with");
    let quietly = |program: &mut Program| -> Result<(), Error> {
        let output = program.stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(said.trim().lines().next_back().unwrap_or("it failed without a word").into())
    };
    quietly(Program::new("python3").args(["-m", "venv"]).arg(&venv))
        .map_err(|error| format!("no Python environment could be made: {error}"))?;
    quietly(Program::new(&python).args(["-m", "pip", "install", "--quiet", "paramiko"]))
        .map_err(|error| format!("paramiko could not be installed: {error}"))?;
    Ok(python)
}
