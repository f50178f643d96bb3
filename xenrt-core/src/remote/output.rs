//! What a command left behind.

use std::fmt;
use std::time::Duration;

use super::{Command, RemoteError, Result};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// A signal ended it; the number is known where the transport tells it.
    Signal(Option<i32>),
}

impl ExitStatus {
    /// Whether it exited with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// The exit code, where it exited by itself.
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) => None,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(Some(number)) => write!(f, "signal {number}"),
            Self::Signal(None) => f.write_str("a signal"),
        }
    }
}

/// Everything a finished command left: how it ended, what it printed and how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// Its standard error, byte for byte.
    pub stderr: Vec<u8>,
    /// From the request to the last byte.
    pub elapsed: Duration,
}

impl Output {
    /// Standard output as text; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; bytes that are not UTF-8 become U+FFFD.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The output itself where the exit status is 0.
    ///
    /// # Errors
    /// [`RemoteError::NoSuchProgram`] where the shell says that about the program itself, and
    /// [`RemoteError::Failed`] otherwise, with the command, its target, status and both outputs, shortened in
    /// the middle and with secrets masked.
    pub fn require_success(self, command: &Command, target: &str) -> Result<Self> {
        if self.status.success() {
            return Ok(self);
        }
        if let Some(program) = self.missing_program(command) {
            return Err(RemoteError::NoSuchProgram {
                target: target.to_owned(),
                program: command.mask(program),
            });
        }
        Err(RemoteError::Failed {
            command: command.to_string(),
            target: target.to_owned(),
            status: self.status,
            stdout: command.mask(&shorten_middle(self.text().trim_end(), 2000)),
            stderr: command.mask(&shorten_middle(self.error_text().trim_end(), 2000)),
        })
    }

    /// The program of `command`, where this output says for sure that it is not there: status 127
    /// (POSIX, "command not found") and nothing but the shell's own message about that program. A
    /// program that ends with 127 by itself, or a line for a shell, is none.
    pub fn missing_program<'a>(&self, command: &'a Command) -> Option<&'a str> {
        let program = command.program()?;
        let told = self.error_text();
        let told = told.trim_end();
        // dash: `sh: 1: x: not found`, bash: `bash: line 1: x: command not found`, busybox: `sh: x:
        // not found`; `No such file or directory` where the program was named by its path.
        let endings = [": not found", ": command not found", ": No such file or directory"];
        let before = endings.iter().find_map(|ending| told.strip_suffix(ending))?;
        let shell = before.strip_suffix(program)?.strip_suffix(": ")?;
        let sure = self.status == ExitStatus::Code(127)
            && self.stdout.is_empty()
            && !shell.contains(['\n', '\'', '"'])
            && shell.split(": ").count() <= 2;
        sure.then_some(program)
    }
}

/// `text` cut in the middle to about `most` bytes, with a mark that says how much is left out.
///
/// The first and the last part are what explains a failure; cuts are made between characters.
pub fn shorten_middle(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(most / 2);
    let tail = text.ceil_char_boundary(text.len() - most / 2);
    format!("{}\n[... {} bytes left out ...]\n{}", &text[..head], tail - head, &text[tail..])
}
