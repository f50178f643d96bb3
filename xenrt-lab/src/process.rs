//! Child processes: who they are, how they are started, how they end.
//!
//! A child that outlives the program that started it is the worst thing a lab can leave behind. Three
//! things stand against it: the kernel kills a child when its parent dies (`setpriv --pdeathsig`), a
//! dropped handle kills its child, and what both missed is found by the next program through the run
//! directory (see [`crate::lab`]).

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::error::{IoContext as _, LabError, Result};

/// A process that cannot be mistaken for another one with the same number: Linux reuses process ids,
/// but not together with a start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// The process id.
    pub(crate) pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks between the boot and the start of the process.
    pub(crate) start: u64,
}

impl ProcessId {
    /// This process.
    pub(crate) fn current() -> Option<Self> {
        Self::of(std::process::id().cast_signed())
    }

    /// The live process with this number. `None` when there is none, or it is a zombie.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, start) = parse_stat(&stat)?;
        (!matches!(state, 'Z' | 'X')).then_some(Self { pid, start })
    }

    /// Whether exactly this process is still alive.
    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Kills exactly this process and waits until it is gone. Nothing happens when it is gone already.
    pub(crate) fn end(self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while self.is_alive() {
            // The process may end between the look and the kill: that is what was wanted.
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
            if Instant::now() > deadline {
                return Err(LabError::Timeout {
                    what: format!("the end of process {}", self.pid),
                    waited: within,
                    last_seen: "alive after SIGKILL".into(),
                });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// State and start time out of a line of `/proc/PID/stat`. The name in parentheses may hold anything,
/// so fields count from the last parenthesis (proc(5)).
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // The state is field 3, the start time field 22.
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

/// The process that has `token` as one of its arguments: finds a child whose number was not written
/// down before its parent died.
pub(crate) fn find_by_argument(token: &str) -> Option<ProcessId> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        let found = arguments.split(|byte| *byte == 0).any(|argument| argument == token.as_bytes());
        if found { ProcessId::of(pid) } else { None }
    })
}

/// Starts children that die with this process.
///
/// The kernel's parent-death signal comes when the *thread* that started a child ends, so one thread
/// that lives as long as this value starts them all. tokio's workers would not do: they come and go.
#[derive(Clone, Debug)]
pub(crate) struct Spawner(mpsc::Sender<(Command, oneshot::Sender<std::io::Result<Child>>)>);

impl Spawner {
    pub(crate) fn new() -> Result<Self> {
        type Job = (Command, oneshot::Sender<std::io::Result<Child>>);
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("xenrt-lab-spawner".into())
            .spawn(move || {
                for (mut command, reply) in jobs {
                    // Whoever asked may have gone; its child must not stay.
                    if let Err(Ok(mut orphan)) = reply.send(command.spawn()) {
                        let _ = orphan.kill();
                        let _ = orphan.wait();
                    }
                }
            })
            .map_err(|source| LabError::Spawn { program: "a thread".into(), source })?;
        Ok(Self(sender))
    }

    /// Starts `program`, set up by `setup`, with its output in `log`. Unless it is `detached`, it gets
    /// `signal` when this process dies.
    pub(crate) async fn spawn(
        &self,
        program: &Path,
        fate: Fate,
        log: &Path,
        setup: impl FnOnce(&mut Command),
    ) -> Result<Guarded> {
        let output = fs::File::create(log).io("create", log)?;
        let errors = output.try_clone().io("open", log)?;
        let mut command = match fate {
            Fate::Detached => Command::new(program),
            Fate::DieWith(signal) => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", signal, "--"]).arg(program);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        // Out of the terminal's group: Ctrl-C is for us, we end our children in order.
        command.process_group(0);
        setup(&mut command);
        let failed = |source| LabError::Spawn { program: program.display().to_string(), source };
        let gone = || failed(std::io::Error::other("the spawner thread is gone"));
        let (reply, answer) = oneshot::channel();
        self.0.send((command, reply)).map_err(|_| gone())?;
        let child = answer.await.map_err(|_| gone())?.map_err(failed)?;
        Ok(Guarded { child, detached: false, _parent: self.clone() })
    }
}

/// What becomes of a child when this process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes on running.
    Detached,
    /// It gets the signal of that name.
    DieWith(&'static str),
}

/// A child that is killed and collected when this is dropped.
#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    detached: bool,
    /// The thread that started the child must not end before it.
    _parent: Spawner,
}

impl Guarded {
    /// Says whether the child is left running on drop.
    pub(crate) fn leave_when(mut self, detached: bool) -> Self {
        self.detached = detached;
        self
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// How the child ended, or `None` while it lives.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Kills the child and collects it. It is gone when this returns.
    pub(crate) fn end(&mut self) {
        if self.exited().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if !self.detached {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse_stat() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 98765 1000 10";
        assert_eq!(parse_stat(stat), Some(('S', 98765)));
        assert_eq!(parse_stat("42 (short) S 1"), None);
    }

    #[test]
    fn a_process_is_not_another_with_the_same_number() {
        let me = ProcessId::current().unwrap();
        assert!(me.is_alive());
        assert!(!ProcessId { start: me.start + 1, ..me }.is_alive());
    }

    #[tokio::test]
    async fn a_dropped_guard_ends_its_child() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let spawner = Spawner::new().unwrap();
        let child = spawner
            .spawn(Path::new("sleep"), Fate::DieWith("KILL"), &log, |sleep| {
                sleep.arg("1000.25");
            })
            .await
            .unwrap();
        let id = ProcessId::of(child.pid()).unwrap();
        // setpriv replaces itself by the program, so the number stays; and the child keeps the thread
        // alive whose end would kill it.
        drop(spawner);
        std::thread::sleep(Duration::from_millis(100));
        assert!(id.is_alive());
        drop(child);
        assert!(!id.is_alive());
    }
}
