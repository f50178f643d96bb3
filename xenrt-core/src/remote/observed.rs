//! A shell that tells somebody about every command.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::{Command, ExitStatus, Output, Process, Result, Shell, shorten_middle};
use crate::model::CreatedObject;
use crate::seconds::Seconds;

/// One command that was run, as the evidence of a test keeps it. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CommandRecord {
    /// Where it ran.
    pub target: String,
    /// The command as a person would type it.
    pub command: String,
    /// How it ended; `None` where it did not (see `error`).
    pub status: Option<ExitStatus>,
    /// Why it has no status: a deadline, a lost connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Standard output, shortened in the middle.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Standard error, shortened in the middle.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// How long it took, in seconds.
    pub seconds: Seconds,
}

/// Somebody who wants to know what was run and made. Called in the task that ran the command: be quick.
pub trait Observer: Send + Sync + fmt::Debug {
    /// A command ended, or could not be run.
    fn command(&self, record: CommandRecord);

    /// An object is about to be made on a host. What is to be kept of it must be kept when this
    /// returns.
    fn creating(&self, object: &CreatedObject) {
        let _ = object;
    }

    /// An object is about to get another name. As [`creating`](Self::creating), it is kept when this
    /// returns.
    fn renaming(&self, object: &CreatedObject, to: &str) {
        let _ = (object, to);
    }

    /// An object that was about to be made was refused.
    fn not_created(&self, object: &CreatedObject) {
        let _ = object;
    }
}

/// A shell around another one that reports every command to an [`Observer`].
#[derive(Debug, Clone)]
pub struct ObservedShell {
    shell: Arc<dyn Shell>,
    observer: Arc<dyn Observer>,
}

impl ObservedShell {
    /// Outputs longer than this many bytes are shortened in the middle in a record.
    pub const MOST_OUTPUT: usize = 16 * 1024;

    /// A shell that runs commands in `shell` and reports them to `observer`.
    pub fn new(shell: Arc<dyn Shell>, observer: Arc<dyn Observer>) -> Self {
        Self { shell, observer }
    }

    fn report(&self, command: &Command, started: Instant, result: &Result<Output>) {
        let (status, error, stdout, stderr) = match result {
            Ok(output) => (Some(output.status), None, output.text(), output.error_text()),
            Err(error) => (None, Some(error.to_string()), String::new(), String::new()),
        };
        let tidy = |text: &str| command.mask(&shorten_middle(text, Self::MOST_OUTPUT));
        self.observer.command(CommandRecord {
            target: self.target().to_owned(),
            command: command.to_string(),
            status,
            error,
            stdout: tidy(&stdout),
            stderr: tidy(&stderr),
            seconds: Seconds(started.elapsed()),
        });
    }

    fn report_copy<T>(&self, what: String, started: Instant, result: &Result<T>) {
        self.observer.command(CommandRecord {
            target: self.target().to_owned(),
            command: what,
            status: result.is_ok().then_some(ExitStatus::Code(0)),
            error: result.as_ref().err().map(ToString::to_string),
            stdout: String::new(),
            stderr: String::new(),
            seconds: Seconds(started.elapsed()),
        });
    }
}

#[async_trait]
impl Shell for ObservedShell {
    fn target(&self) -> &str {
        self.shell.target()
    }

    async fn execute(&self, command: &Command) -> Result<Output> {
        let started = Instant::now();
        let result = self.shell.execute(command).await;
        self.report(command, started, &result);
        result
    }

    async fn start(&self, command: &Command) -> Result<Process> {
        let started = Instant::now();
        let result = self.shell.start(command).await;
        self.report_copy(format!("{command} &"), started, &result);
        result
    }

    async fn write_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let started = Instant::now();
        let result = self.shell.write_file(path, bytes, mode).await;
        self.report_copy(format!("[write {} bytes to {path}]", bytes.len()), started, &result);
        result
    }

    async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let started = Instant::now();
        let result = self.shell.read_file(path).await;
        self.report_copy(format!("[read {path}]"), started, &result);
        result
    }

    async fn upload(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let started = Instant::now();
        let result = self.shell.upload(from, to, mode).await;
        self.report_copy(format!("[upload {} to {to}]", from.display()), started, &result);
        result
    }

    async fn download(&self, from: &str, to: &Path) -> Result<()> {
        let started = Instant::now();
        let result = self.shell.download(from, to).await;
        self.report_copy(format!("[download {from} to {}]", to.display()), started, &result);
        result
    }

    async fn reset(&self) {
        self.shell.reset().await;
    }

    async fn stop_all(&self) -> Vec<String> {
        self.shell.stop_all().await
    }
}
