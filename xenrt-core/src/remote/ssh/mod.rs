//! Commands on another machine, through OpenSSH.
//!
//! A login costs a good part of a second, a command through a connection that exists two
//! milliseconds. So there is one `ssh` master process a machine, and each command is one session on
//! it, asked for through the master's control socket without a process here (the *native mux* of
//! the `openssh` project).
//!
//! | file | what |
//! |---|---|
//! | `config` | the ssh configuration for a target and the gateways before it |
//! | `folder` | the private folder for control sockets |
//! | `master` | one connection, from the login to its end |
//! | `pool` | which connection a command takes, and when another one is opened |
//! | `session` | one command line through a connection |
//! | `stop` | ending a program on the far side |
//! | `copy` | files |
//! | `failure` | what it means when ssh cannot connect |

mod config;
mod copy;
mod failure;
mod folder;
mod master;
mod pool;
mod session;
mod stop;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Sender;
use tokio::time::{Instant, timeout_at};

use self::copy::Copy;
use self::pool::{Pool, Purpose};
use self::stop::{ANNOUNCEMENT, SshStopper, StopOnDrop};
use super::command::{Command, Stdin};
use super::process::{Processes, Running};
use super::{ExitStatus, Output, Process, RemoteError, Result, Shell, SshTarget, shorten_middle};
use crate::seconds::Readable;

/// A machine that is reached through ssh.
///
/// * The connection is made by the first call that needs it and shared by all. When it is lost, the
///   commands that were under way fail with [`RemoteError::Disconnected`] and the next call makes a
///   new one. A command that may have been started is never started again. A machine that vanishes
///   without a word is noticed after 15 seconds.
/// * Any number of commands may be under way. The server's limit of sessions a connection
///   (`MaxSessions`) is kept by opening further connections when commands would have to wait long.
/// * A command whose deadline passes, and one whose caller goes away (a future that is dropped), is
///   ended on the far side with everything in its process group. Every command carries the
///   environment variable `XENRT_COMMAND` for that purpose. The login shell there has to be a POSIX
///   shell.
/// * A command has ended when its output has: one that leaves something in the background that
///   holds its output open ends with its deadline, like in `ssh` itself. Redirect the output of what
///   is to stay.
/// * The status of a program that a signal ended is `Signal(None)`, or `Code(128 + signal)` where
///   the shell over there reports it so.
/// * It has to be used within one tokio runtime. The connections end when it is dropped; should this
///   process be killed, they end by themselves a few seconds later.
///
/// Needs the OpenSSH client on this machine (Debian: `openssh-client`).
#[derive(Debug)]
pub struct SshShell {
    pool: Arc<Pool>,
    processes: Processes,
}

impl SshShell {
    /// A shell on `target`. Nothing is connected yet.
    pub fn new(target: SshTarget) -> Self {
        Self { pool: Arc::new(Pool::new(target)), processes: Processes::default() }
    }

    /// Where it leads, and how.
    pub fn ssh_target(&self) -> &SshTarget {
        &self.pool.target
    }

    /// A session that did not come about in time.
    fn no_session(&self, deadline: Duration) -> RemoteError {
        RemoteError::Connect {
            target: self.pool.name.clone(),
            message: format!(
                "no connection within {}; is the machine up, or are all its sessions taken by \
                 commands that run long?",
                Readable(deadline)
            ),
            source: None,
        }
    }

    fn over_deadline(&self, command: &Command, stdout: &[u8], stderr: &[u8]) -> RemoteError {
        let printed = |bytes: &[u8]| {
            command.mask(&shorten_middle(String::from_utf8_lossy(bytes).trim_end(), 2000))
        };
        RemoteError::Deadline {
            target: self.pool.name.clone(),
            command: command.to_string(),
            deadline: command.deadline_value(),
            stdout: printed(stdout),
            stderr: printed(stderr),
        }
    }

    fn copy(&self, from: String, to: String) -> Copy<'_> {
        Copy { pool: &self.pool, from, to }
    }

    fn place(&self, path: &str) -> String {
        format!("{}:{path}", self.pool.name)
    }
}

/// Gives a program its standard input, and returns the pipe where it is to be held until the command
/// has ended. A program that ends without reading it all is in its right.
async fn feed(pipe: Option<Sender>, stdin: &Stdin) -> Option<Sender> {
    let mut pipe = pipe?;
    match stdin {
        Stdin::Empty => None,
        Stdin::Bytes(bytes) => {
            let _ = pipe.write_all(bytes).await;
            None
        }
        Stdin::Held => Some(pipe),
        Stdin::HeldAfter(bytes) => {
            let _ = pipe.write_all(bytes).await;
            Some(pipe)
        }
    }
}

#[async_trait]
impl Shell for SshShell {
    fn target(&self) -> &str {
        &self.pool.name
    }

    async fn execute(&self, command: &Command) -> Result<Output> {
        let started = Instant::now();
        let deadline = started + command.deadline_value();
        let mut guard = StopOnDrop::new(&self.pool, self.pool.next_key());
        let line = stop::findable(command, guard.key());
        let with_stdin = *command.stdin_value() != Stdin::Empty;
        let opening =
            session::open(&self.pool, &line, command, with_stdin, Purpose::Command, guard.sent());
        let session = match timeout_at(deadline, opening).await {
            Ok(session) => session.inspect_err(|_| guard.let_go())?,
            Err(_) if guard.sent().get() => {
                guard.stop().await;
                guard.let_go();
                return Err(self.over_deadline(command, b"", b""));
            }
            Err(_) => return Err(self.no_session(command.deadline_value())),
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let session::Session { stdin, stdout: mut out, stderr: mut err, end } = session;
        let ended = {
            let all = async {
                // The streams of a connection that breaks end; the status says that it broke.
                let _held = tokio::join!(
                    feed(stdin, command.stdin_value()),
                    out.read_to_end(&mut stdout),
                    err.read_to_end(&mut stderr),
                );
                end.wait().await
            };
            timeout_at(deadline, all).await
        };
        match ended {
            Ok(Ok(status)) => {
                guard.let_go();
                Ok(Output { status, stdout, stderr, elapsed: started.elapsed() })
            }
            Ok(Err(message)) => {
                guard.let_go();
                Err(RemoteError::Disconnected {
                    target: self.pool.name.clone(),
                    command: command.to_string(),
                    message,
                })
            }
            Err(_) => {
                guard.stop().await;
                guard.let_go();
                Err(self.over_deadline(command, &stdout, &stderr))
            }
        }
    }

    async fn start(&self, command: &Command) -> Result<Process> {
        let deadline = Instant::now() + command.deadline_value();
        let mut guard = StopOnDrop::new(&self.pool, self.pool.next_key());
        let line = stop::announced(command, guard.key());
        let with_stdin = *command.stdin_value() != Stdin::Empty;
        let opening =
            session::open(&self.pool, &line, command, with_stdin, Purpose::Command, guard.sent());
        let session = match timeout_at(deadline, opening).await {
            Ok(session) => session.inspect_err(|_| guard.let_go())?,
            Err(_) => return Err(self.no_session(command.deadline_value())),
        };
        let input = command.stdin_value().clone();
        let (stdin, end) = (session.stdin, session.end);
        let (keep, held) = tokio::sync::oneshot::channel();
        let stopper = SshStopper { pool: Arc::clone(&self.pool), key: guard.key().to_owned() };
        guard.let_go();
        let process = Running {
            stdout: session.stdout,
            stderr: session.stderr,
            feed: async move {
                // One that has ended already holds nothing.
                let _ = keep.send(feed(stdin, &input).await);
            },
            exit: async move {
                let _held = held;
                end.wait().await
            },
            stopper,
            announcement: Some(ANNOUNCEMENT),
            deadline,
        }
        .drive(&self.pool.name, command);
        self.processes.add(&process);
        Ok(process)
    }

    async fn write_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let copy = self.copy(format!("{} bytes", bytes.len()), self.place(path));
        copy.send(bytes, bytes.len() as u64, path, mode).await
    }

    async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.copy(self.place(path), "memory".to_owned()).receive(path, &mut bytes).await?;
        Ok(bytes)
    }

    async fn upload(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let copy = self.copy(from.display().to_string(), self.place(to));
        let source = copy::open_source(from).await;
        let (file, length) = source.map_err(|error| copy.error(&error.to_string()))?;
        copy.send(file, length, to, mode).await
    }

    async fn download(&self, from: &str, to: &Path) -> Result<()> {
        let copy = self.copy(self.place(from), to.display().to_string());
        let local = |error: &std::io::Error| copy.error(&format!("on this machine: {error}"));
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let new = tempfile::Builder::new()
            .prefix(".xenrt-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(|error| local(&error))?;
        let sink = tokio::fs::OpenOptions::new().write(true).open(new.path()).await;
        copy.receive(from, sink.map_err(|error| local(&error))?).await?;
        new.persist(to).map_err(|error| local(&error.error))?;
        Ok(())
    }

    async fn reset(&self) {
        self.pool.reset();
    }

    async fn stop_all(&self) -> Vec<String> {
        self.processes.stop_all().await
    }
}
