//! How anything is reached: commands, the shells that run them, and waiting for conditions.
//!
//! A [`Command`] says *what* to run: arguments that the library quotes, a deadline, standard input,
//! secrets to mask. A [`Shell`] says *where*: [`SshShell`] on another machine, [`LocalShell`] here.
//! [`wait_until`] is how everything in this project waits: it polls a condition with back-off and,
//! when the deadline passes, says what it saw last.

mod command;
mod error;
mod local;
mod observed;
mod output;
mod process;
mod shell;
mod ssh;
mod target;
mod wait;

pub use command::{Command, Stdin};
pub use error::{RemoteError, Result};
pub use local::LocalShell;
pub use observed::{CommandRecord, ObservedShell, Observer};
pub use output::{ExitStatus, Output, shorten_middle};
pub use process::{Process, ProcessLine};
#[cfg(feature = "sim")]
pub(crate) use process::{Processes, Running, Stopper};
pub use shell::{Shell, ShellExt};
pub use ssh::SshShell;
pub use target::{Gateway, HostKeyPolicy, SshHop, SshTarget};
pub use wait::{Wait, wait_until};
