//! One command line on its way through a master.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openssh_mux_client::{
    Connection, Error as MuxError, EstablishedSession, NonZeroByteSlice, SessionStatus,
};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::super::{Command, ExitStatus, RemoteError, Result};
use super::pool::{Lease, Pool, Purpose};

/// A command line that runs on the far side.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stdin: Option<Sender>,
    pub(super) stdout: Receiver,
    pub(super) stderr: Receiver,
    pub(super) end: SessionEnd,
}

/// Waits for the end of a session and holds its place at the master.
#[derive(Debug)]
pub(super) struct SessionEnd {
    established: EstablishedSession,
    lease: Lease,
}

impl SessionEnd {
    /// How the program ended. To be called when both streams have ended: the master throws output
    /// away that has not been read when the control connection is closed, which is done here as soon
    /// as the status has come.
    ///
    /// # Errors
    /// When the connection broke off before that was known; says how.
    pub(super) async fn wait(self) -> std::result::Result<ExitStatus, String> {
        let Self { established, lease } = self;
        let message = match established.wait().await {
            Ok(SessionStatus::Exited { exit_value: Some(code) }) => {
                return Ok(ExitStatus::Code(code.cast_signed()));
            }
            Ok(SessionStatus::Exited { exit_value: None }) => {
                // The master tells no status for a program that a signal ended; nor does it when
                // it ends itself.
                if lease.master.answers().await {
                    return Ok(ExitStatus::Signal(None));
                }
                "the connection was closed before the command had ended".to_owned()
            }
            Ok(SessionStatus::TtyAllocFail(_)) => "the server wanted a terminal".to_owned(),
            Err((error, _)) => chain(&error),
        };
        lease.master.mark_dead();
        Err(message)
    }
}

/// Whether a command may have been started: set before it is sent.
#[derive(Debug, Default, Clone)]
pub(super) struct Sent(Arc<AtomicBool>);

impl Sent {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, sent: bool) {
        self.0.store(sent, Ordering::Release);
    }
}

/// Runs `line` on the far side; `command` is what errors call it.
///
/// # Errors
/// When no connection can be made, or it breaks while the command is handed over. A command that
/// surely was not started is tried again on another connection, one that may have been never is.
pub(super) async fn open(
    pool: &Pool,
    line: &str,
    command: &Command,
    with_stdin: bool,
    purpose: Purpose,
    sent: &Sent,
) -> Result<Session> {
    const TRIES: usize = 8;
    let line = NonZeroByteSlice::new(line.as_bytes()).ok_or_else(|| RemoteError::Local {
        action: format!("cannot run `{command}`"),
        source: io::Error::new(io::ErrorKind::InvalidInput, "it contains a NUL byte"),
    })?;
    let mut last = String::new();
    for _ in 0..TRIES {
        let lease = pool.acquire(purpose).await.map_err(|failure| failure.to_error(&pool.name))?;
        let connection = match Connection::connect(lease.master.socket()).await {
            Ok(connection) => connection,
            Err(error) => {
                // The master ended a moment ago, and nothing had been sent.
                last = chain(&error);
                lease.master.mark_dead();
                continue;
            }
        };
        let pipes = Pipes::new(with_stdin).map_err(|source| RemoteError::Local {
            action: format!("cannot make pipes for `{command}`"),
            source,
        })?;
        let request = openssh_mux_client::Session::builder().cmd(Cow::Borrowed(line)).build();
        sent.set(true);
        match connection.open_new_session(&request, &pipes.far()).await {
            Ok(established) => {
                pool.allowed(&lease);
                return Ok(pipes.session(SessionEnd { established, lease }));
            }
            Err(MuxError::RequestFailure(reason) | MuxError::PermissionDenied(reason)) => {
                // "Session open refused by peer" (mux.c): the server did not make the session.
                sent.set(false);
                last = format!("{reason}; does its sshd_config allow sessions (MaxSessions)?");
                pool.refused(lease);
            }
            Err(error) => {
                lease.master.mark_dead();
                return Err(RemoteError::Disconnected {
                    target: pool.name.clone(),
                    command: command.to_string(),
                    message: format!(
                        "{}; it is not known whether the command was started",
                        chain(&error)
                    ),
                });
            }
        }
    }
    Err(RemoteError::Connect { target: pool.name.clone(), message: last, source: None })
}

/// The three streams of a session: our ends, and those that are handed to the master.
struct Pipes {
    stdin: Option<Sender>,
    stdout: Receiver,
    stderr: Receiver,
    far: [OwnedFd; 3],
}

impl Pipes {
    fn new(with_stdin: bool) -> io::Result<Self> {
        let (stdin, far_stdin) = if with_stdin {
            let (far, near) = io::pipe()?;
            (Some(Sender::from_owned_fd(near.into())?), far.into())
        } else {
            (None, std::fs::File::open(Path::new("/dev/null"))?.into())
        };
        let (stdout, far_stdout) = io::pipe()?;
        let (stderr, far_stderr) = io::pipe()?;
        Ok(Self {
            stdin,
            stdout: Receiver::from_owned_fd(stdout.into())?,
            stderr: Receiver::from_owned_fd(stderr.into())?,
            far: [far_stdin, far_stdout.into(), far_stderr.into()],
        })
    }

    fn far(&self) -> [i32; 3] {
        [self.far[0].as_raw_fd(), self.far[1].as_raw_fd(), self.far[2].as_raw_fd()]
    }

    /// The master has its own copies of the far ends now, so ours are closed here: a stream that
    /// somebody holds open would never end.
    fn session(self, end: SessionEnd) -> Session {
        Session { stdin: self.stdin, stdout: self.stdout, stderr: self.stderr, end }
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
