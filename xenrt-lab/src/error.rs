//! What can go wrong below a host, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xenrt_core::seconds::Readable;

/// An error of the virtual lab.
///
/// Each message says what failed and, where the user can do something about it, what to do next; the
/// cause is in [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// Programs that the lab runs are not installed.
    #[error(
        "missing programs: {}; install the Debian packages {} \
         (`cargo xtask setup` installs them)",
        programs.join(", "), packages.join(" ")
    )]
    MissingTools {
        /// The programs that were looked for in `PATH` and the `sbin` directories.
        programs: Vec<String>,
        /// The Debian packages that bring them.
        packages: Vec<String>,
    },

    /// The disk that holds the cache is too full to build on.
    #[error(
        "{} has {free_mib} MiB free and {needed_mib} MiB are needed; free some, prune old images, or \
         move the cache with XENRT_LAB_DIR", path.display()
    )]
    NoSpace {
        /// A directory on the disk.
        path: PathBuf,
        /// What is free there, in MiB.
        free_mib: u64,
        /// What is needed, in MiB.
        needed_mib: u64,
    },

    /// apt on this machine cannot say where Debian's packages come from.
    #[error("no usable Debian package source: {0}; run `apt-get update` and look at apt's sources")]
    AptSources(String),

    /// A file or directory of the lab could not be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `write`, `open`, ...
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },

    /// A program could not be started.
    #[error("cannot start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },

    /// A program of the lab failed.
    #[error("{what} failed ({status}); the end of its output:\n{output}")]
    Command {
        /// What it was doing.
        what: String,
        /// How it ended.
        status: String,
        /// The last lines it wrote.
        output: String,
    },

    /// Something did not happen in time.
    #[error("{what} took longer than {}; last seen: {last_seen}", Readable(*.waited))]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// What the last look showed.
        last_seen: String,
    },

    /// QEMU refused a command.
    #[error("QEMU refused {command}: {description}")]
    Qmp {
        /// The QMP command.
        command: String,
        /// QEMU's own words.
        description: String,
    },

    /// QEMU's monitor connection broke, or carried what is no QMP.
    #[error("lost QEMU's monitor: {0}")]
    QmpConnection(String),

    /// QEMU ended, though nobody told it to.
    #[error("QEMU ended ({status}): {}", if output.is_empty() { "it said nothing" } else { output })]
    QemuExited {
        /// How it ended.
        status: String,
        /// What it wrote.
        output: String,
    },

    /// A number of hosts that one lab cannot have.
    #[error("a lab has 1 to {most} hosts, not {asked}")]
    HostCount {
        /// What was asked for.
        asked: usize,
        /// The most there can be.
        most: usize,
    },

    /// A file of the lab does not hold what the lab once wrote into it.
    #[error("{} is damaged: {why}; delete it and it is made again", path.display())]
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// The host was stopped, or never started.
    #[error("host {0} is not running")]
    NotRunning(String),
}

/// The result of a lab operation.
pub type Result<T, E = LabError> = std::result::Result<T, E>;

/// Names the action and the path in an [`io::Error`].
pub(crate) trait IoContext<T> {
    fn io(self, action: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn io(self, action: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| LabError::Io { action, path: path.as_ref().to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        let missing = LabError::MissingTools {
            programs: vec!["mmdebstrap".into()],
            packages: vec!["mmdebstrap".into()],
        };
        assert!(missing.to_string().contains("cargo xtask setup"));
        let full = LabError::NoSpace { path: "/x".into(), free_mib: 10, needed_mib: 3000 };
        insta::assert_snapshot!(full, @"/x has 10 MiB free and 3000 MiB are needed; free some, prune old images, or move the cache with XENRT_LAB_DIR");
    }
}
