//! Name spaces that stand for a machine.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{BRIDGE, BRIDGE_ADDRESS};
use crate::error::{IoContext as _, LabError, Result};
use crate::wait::{Look, last_lines, wait_until};

/// The first process of a host. It makes folders and the network, says that it has, and waits for
/// the end of its standard input: that comes with the end of the program that made the host, however
/// it ends. A shell that waits also collects the processes whose parents have gone.
const FIRST: &str = include_str!("../../assets/local/first.sh");

/// How long the processes of a host may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// Name spaces of mounts, processes and network, and the process that keeps them.
///
/// All that runs in them is killed by the kernel when this is dropped or its program dies.
#[derive(Debug)]
pub struct Space {
    keeper: Child,
    own_user: bool,
}

impl Space {
    /// Makes name spaces for host `number`, whose files are in `folder`. The network is that of `network`, or a new one
    /// with a bridge for guests.
    ///
    /// # Errors
    /// [`LabError::Command`] with what was said when they cannot be made.
    pub(super) async fn start(
        folder: &Path,
        number: usize,
        network: Option<&Self>,
        within: Duration,
    ) -> Result<Self> {
        let own_user = !nix::unistd::Uid::effective().is_root();
        let own = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let mut command = match network {
            None => {
                let mut command = Command::new("unshare");
                if own_user {
                    command.args(["--user", "--map-root-user"]);
                }
                command.arg("--net");
                command
            }
            Some(other) => {
                let mut words = other.enter(&["--net"]).into_iter();
                let mut command = Command::new(words.next().unwrap_or_default());
                command.args(words).arg("unshare");
                command
            }
        };
        let log = folder.join("host.log");
        let ready = folder.join("ready");
        let output = std::fs::File::create(&log).io("create", &log)?;
        let errors = output.try_clone().io("open", &log)?;
        let script = folder.join("first.sh");
        std::fs::write(&script, FIRST).io("write", &script)?;
        command.args(own).args(["sh", "-eu"]).arg(script).arg(folder);
        command.args([BRIDGE, &format!("{BRIDGE_ADDRESS}/24")]);
        command.arg(if network.is_none() { "new" } else { "shared" });
        command.arg(number.to_string());
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        // Ctrl-C is for us; this ends with us.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let keeper = command
            .spawn()
            .map_err(|source| LabError::Spawn { program: "unshare".into(), source })?;
        let mut space = Self { keeper, own_user };
        wait_until("making name spaces", within, Duration::from_millis(20), || {
            let looked = space.look(&ready, &log);
            async { looked }
        })
        .await?;
        Ok(space)
    }

    fn look(&mut self, ready: &Path, log: &Path) -> Result<Look<()>> {
        let said = || last_lines(&std::fs::read_to_string(log).unwrap_or_default(), 10);
        if ready.exists() {
            return Ok(Look::Done(()));
        }
        match self.keeper.try_wait().io("follow the process of", log)? {
            None => Ok(Look::NotYet(said())),
            Some(status) => Err(LabError::Command {
                what: "making name spaces (unshare)".into(),
                status: status.to_string(),
                output: said(),
            }),
        }
    }

    /// The words before a command that is to run in some of the name spaces: `--mount`, `--net`.
    fn enter(&self, which: &[&str]) -> Vec<String> {
        let target = self.keeper.id().to_string();
        let mut words = vec!["nsenter".to_owned(), "--target".to_owned(), target];
        if self.own_user {
            words.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
        }
        words.extend(which.iter().map(|&word| word.to_owned()));
        words
    }

    /// The words before a command that is to run on the host.
    pub fn on_host(&self) -> Vec<String> {
        // The keeper itself is one process above its children's name space.
        let processes = format!("--pid=/proc/{}/ns/pid_for_children", self.keeper.id());
        self.enter(&["--mount", "--net", &processes, "--"])
    }

    /// The words of a program that connects to `%h` on port `%p` from the host: a `ProxyCommand` of
    /// ssh.
    pub fn proxy(&self) -> Vec<String> {
        let mut words = self.enter(&["--net", "--"]);
        words.extend(["nc", "%h", "%p"].map(str::to_owned));
        words
    }

    /// Where this process finds a file that the host knows by the absolute path `path`.
    pub fn seen_from_here(&self, path: &str) -> String {
        format!("/proc/{}/root{path}", self.keeper.id())
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // The first process in there waits for this.
        drop(self.keeper.stdin.take());
        // The keeper ends when all in there are gone: nobody writes into the folder any more.
        let began = Instant::now();
        while matches!(self.keeper.try_wait(), Ok(None)) && began.elapsed() < ENDING {
            std::thread::sleep(Duration::from_millis(5));
        }
        // One that does not end is killed, and the kernel kills what it kept.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
