//! Why a command could not be run, or failed.

use std::time::Duration;

use super::ExitStatus;
use crate::Blame;
use crate::seconds::Readable;

/// The result of running something.
pub type Result<T, E = RemoteError> = std::result::Result<T, E>;

/// Why a command could not be run, or failed: one variant a step, so that a caller can tell a
/// machine that is away from a program that refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No connection could be made: nothing listens, no route, the name is unknown.
    #[error("cannot connect to {target}: {message}")]
    Connect {
        /// Who was called: `root@10.0.0.1:22`.
        target: String,
        /// What the transport said, with the remedy.
        message: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The other side does not accept our key or user.
    #[error("{target} does not accept the login: {message}; check `user` and `key` of this host")]
    Authentication {
        /// Who was called.
        target: String,
        /// What the transport said.
        message: String,
    },
    /// The machine's host key is not the one that is on record (or none is).
    #[error(
        "the host key of {target} is not the known one: {message}; if the machine was reinstalled, \
         remove its old key from {known_hosts}"
    )]
    HostKey {
        /// Who was called.
        target: String,
        /// What the transport said.
        message: String,
        /// The file that holds the known keys.
        known_hosts: String,
    },
    /// The connection broke while a command was running; whether it ran to its end is not known.
    #[error("lost the connection to {target} while running `{command}`: {message}")]
    Disconnected {
        /// Who was called.
        target: String,
        /// The command, secrets masked.
        command: String,
        /// What the transport said.
        message: String,
    },
    /// The command did not end before its deadline. It was told to stop.
    #[error(
        "`{command}` on {target} did not end within {}{}", Readable(*.deadline),
        if .stdout.is_empty() && .stderr.is_empty() { String::new() }
        else { format!("; until then it printed: {}{}", .stdout, .stderr) }
    )]
    Deadline {
        /// Where it ran.
        target: String,
        /// The command, secrets masked.
        command: String,
        /// The time that it had.
        deadline: Duration,
        /// What it had printed, shortened.
        stdout: String,
        /// What it had printed as errors, shortened.
        stderr: String,
    },
    /// The command ended with a status other than 0.
    #[error(
        "`{command}` on {target} ended with {status}{}",
        if .stderr.is_empty() { if .stdout.is_empty() { String::new() } else { format!(": {}", .stdout) } }
        else { format!(": {}", .stderr) }
    )]
    Failed {
        /// Where it ran.
        target: String,
        /// The command, secrets masked.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed, shortened, secrets masked.
        stdout: String,
        /// What it printed as errors, shortened, secrets masked.
        stderr: String,
    },
    /// The program is not there.
    #[error("there is no program `{program}` on {target}")]
    NoSuchProgram {
        /// Where it was looked for.
        target: String,
        /// What was looked for.
        program: String,
    },
    /// A file could not be copied or written.
    #[error("cannot copy {from} to {to}: {message}")]
    Copy {
        /// The source, `host:path` or a path here.
        from: String,
        /// The destination.
        to: String,
        /// What went wrong.
        message: String,
    },
    /// Something on this machine failed: a pipe, a file, a process.
    #[error("{action}")]
    Local {
        /// What was tried.
        action: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl RemoteError {
    /// Who has to act: a command that fails or hangs speaks of the machine that it ran on (the
    /// product), everything else of the way there (the infrastructure).
    pub fn blame(&self) -> Blame {
        match self {
            Self::Failed { .. } | Self::Deadline { .. } => Blame::Product,
            _ => Blame::Infrastructure,
        }
    }

    /// Whether the connection itself is the problem, so that a later try may succeed.
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Disconnected { .. })
    }
}
