//! Ending a program on the far side.
//!
//! ssh has no way to do that: when a channel is closed the program runs on. So every command carries
//! a variable in its environment, `XENRT_COMMAND=key.pid`, where `pid` is the shell that sshd
//! started for it. That costs nothing while all goes well: no process, no file, no byte of output.
//! When a command has to be ended, a second one looks for the variable in `/proc` and learns the
//! pid from it. OpenSSH starts each command in a session of its own (`setsid` in `do_exec_no_pty`),
//! so the pid is that of a process group, which is ended as a whole; daemons that the command put
//! into sessions of their own (an `xl` that watches a domain, a QEMU) live on.
//!
//! Dropbear gives its commands no process group of their own. There every process that carries the
//! variable is ended instead, daemons included.
//!
//! Commands that are [started](super::super::Shell::start) also print that pid first thing, so that
//! they are found even where the program clears its environment.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;

use super::super::process::{Process, Stopper};
use super::super::{Command, Result};
use super::pool::{Pool, Purpose};
use super::session::{self, Sent};

/// What stands before the pid in the first line that a started command prints as errors.
pub(super) const ANNOUNCEMENT: &str = "xenrt-pid ";

/// The line that runs `command` so that it can be found by `key`.
pub(super) fn findable(command: &Command, key: &str) -> String {
    command.to_shell_line_with(&format!("XENRT_COMMAND={key}.$$"))
}

/// As [`findable`], for a command that also announces its pid.
pub(super) fn announced(command: &Command, key: &str) -> String {
    format!("echo {ANNOUNCEMENT}$$ >&2\n{}", findable(command, key))
}

/// Works in dash, bash and busybox: no `kill --`, no `grep -z`, no `ps`. `g` is the group, `a` the
/// announced pid (its session is still open, so it is nobody else's by now), `marked`
/// lists the processes that carry the key in their environment or their command line (a shell that
/// runs the line itself). A zombie counts as ended.
const SCRIPT: &str = r#"
marked() {
  for d in /proc/[0-9]*; do
    { tr '\000' '\n' <"$d/environ"; tr '\000' '\n' <"$d/cmdline"; } 2>/dev/null |
      grep -q "XENRT_COMMAND=$k\\." && echo "${d#/proc/}"
  done 2>/dev/null
}
group() {
  sed -n 's/^[0-9]* (.*) \([A-Za-z]\) [0-9]* \([0-9]*\) .*/\1 \2/p' /proc/[0-9]*/stat 2>/dev/null |
    grep -q "^[^ZX] $g\$"
}
a=$g
[ -n "$g" ] || g=$(cat /proc/[0-9]*/environ 2>/dev/null | tr '\000' '\n' |
  sed -n "s/^XENRT_COMMAND=$k\\.//p" | head -n 1)
[ -n "$g" ] || g=$(marked | head -n 1)
[ -n "$g" ] || exit 0
if group; then
  left() { group; }
  send() { kill "-$1" "-$g" 2>/dev/null; }
else
  left() { grep -q '^[0-9]* (.*) [^ZX] ' "/proc/${a:-0}/stat" 2>/dev/null || [ -n "$(marked)" ]; }
  send() { for p in $a $(marked); do kill "-$1" "$p" 2>/dev/null; done; }
fi
send TERM
n=0
while left; do
  n=$((n + 1))
  [ "$n" -lt "$t" ] || break
  sleep 0.1 2>/dev/null || { sleep 1; n=$((n + 9)); }
done
left && send KILL
true
"#;

fn stop_command(key: &str, leader: Option<u32>) -> Command {
    let leader = leader.map(|pid| pid.to_string()).unwrap_or_default();
    let tenths = Process::GRACE.as_millis() / 100;
    Command::shell_line(format!("k={key} g={leader} t={tenths}{SCRIPT}"))
        .deadline(Process::GRACE + Duration::from_secs(10))
}

/// Ends what runs under `key` and returns when that is done, or cannot be in reasonable time.
pub(super) async fn stop(pool: &Pool, key: &str, leader: Option<u32>) -> Result<()> {
    let command = stop_command(key, leader);
    let line = command.to_shell_line();
    let run = async {
        let sent = Sent::default();
        let mut session =
            session::open(pool, &line, &command, false, Purpose::Reserved, &sent).await?;
        // Nothing is printed; the end of the stream is the end of the command.
        let mut nothing = Vec::new();
        let _ = session.stdout.read_to_end(&mut nothing).await;
        let _ = session.end.wait().await;
        Ok(())
    };
    tokio::time::timeout(command.deadline_value(), run).await.unwrap_or(Ok(()))
}

/// Ends a command whose caller goes away before it has ended.
#[derive(Debug)]
pub(super) struct StopOnDrop {
    pool: Option<Arc<Pool>>,
    key: String,
    sent: Sent,
}

impl StopOnDrop {
    pub(super) fn new(pool: &Arc<Pool>, key: String) -> Self {
        Self { pool: Some(Arc::clone(pool)), key, sent: Sent::default() }
    }

    /// What it can be found by.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn sent(&self) -> &Sent {
        &self.sent
    }

    /// It has ended by itself, or its end is not ours to make.
    pub(super) fn let_go(&mut self) {
        self.pool = None;
    }

    /// Ends it now.
    pub(super) async fn stop(&self) {
        if let Some(pool) = self.pool.as_ref().filter(|_| self.sent.get()) {
            report(stop(pool, &self.key, None).await, &pool.name);
        }
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let Some(pool) = self.pool.take().filter(|_| self.sent.get()) else { return };
        let key = std::mem::take(&mut self.key);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { report(stop(&pool, &key, None).await, &pool.name) });
        }
    }
}

/// A machine that cannot be reached any more cannot be told to stop anything.
fn report(result: Result<()>, target: &str) {
    if let Err(error) = result {
        tracing::warn!(%target, %error, "a command could not be told to stop");
    }
}

/// Ends a started command.
#[derive(Debug)]
pub(super) struct SshStopper {
    pub(super) pool: Arc<Pool>,
    pub(super) key: String,
}

#[async_trait]
impl Stopper for SshStopper {
    async fn stop(&self, leader: Option<u32>) {
        report(stop(&self.pool, &self.key, leader).await, &self.pool.name);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command as Program, Stdio};

    use super::*;

    /// Shells that are found on far sides; `sh` is what every machine has.
    fn shells() -> Vec<Vec<&'static str>> {
        let known = [vec!["sh"], vec!["bash"], vec!["dash"], vec!["busybox", "sh"]];
        let there = |shell: &Vec<&str>| {
            let mut works = Program::new(shell[0]);
            works.args(&shell[1..]).args(["-c", "true"]).status().is_ok()
        };
        let shells: Vec<_> = known.into_iter().filter(there).collect();
        assert!(!shells.is_empty());
        shells
    }

    fn spawn(shell: &[&str], command: &Command, key: &str, own_group: bool) -> Child {
        let mut program = Program::new(shell[0]);
        program.args(&shell[1..]).arg("-c").arg(findable(command, key)).stdout(Stdio::null());
        if own_group {
            program.process_group(0);
        }
        program.spawn().unwrap()
    }

    /// Runs the stopping script with `shell`, against a command that the same shell runs.
    fn stops(shell: &[&str], line: &str, own_group: bool, announced: bool) {
        let key = format!("test-{}-{}", std::process::id(), rand::random::<u32>());
        let mut child = spawn(shell, &Command::shell_line(line), &key, own_group);
        let mut bystander = spawn(shell, &Command::shell_line(line), "other", true);
        // The first look may come before the shell runs the line.
        let started = std::time::Instant::now();
        let ended = loop {
            let done = Program::new(shell[0])
                .args(&shell[1..])
                .arg("-c")
                .arg(stop_command(&key, announced.then_some(child.id())).to_shell_line())
                .output()
                .unwrap();
            assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{shell:?} {line:?} runs on");
        };
        assert!(!ended.success());
        assert_eq!(bystander.try_wait().unwrap(), None, "another command was ended");
        let group = nix::unistd::Pid::from_raw(bystander.id().cast_signed());
        nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
        bystander.wait().unwrap();
    }

    #[test]
    fn every_shell_can_end_a_group() {
        for shell in shells() {
            stops(&shell, "sleep 43210 & sleep 43210", true, false);
            stops(&shell, "while :; do :; done", true, false);
        }
    }

    #[test]
    fn every_shell_can_end_a_program_without_a_group_of_its_own() {
        for shell in shells() {
            stops(&shell, "sleep 43211", false, false);
            stops(&shell, "exec env -i sleep 43212", false, true);
        }
    }
}
