//! Where a command runs.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Command, Output, Process, RemoteError, Result};

/// A place where commands run: this machine, a dom0, a guest.
///
/// Implementations are cheap to share (`Arc<dyn Shell>`) and take any number of calls at once;
/// what the other side cannot take at once waits in a queue here.
#[async_trait]
pub trait Shell: Send + Sync + fmt::Debug {
    /// Who this is, for people: `root@10.0.0.1:22`.
    fn target(&self) -> &str;

    /// Runs a command to its end and returns whatever came of it, whatever its exit status.
    ///
    /// # Errors
    /// When it could not be started, the connection broke, or its deadline passed; it is told to
    /// stop in that case. An exit status other than 0 is *not* an error here: see
    /// [`ShellExt::run`].
    async fn execute(&self, command: &Command) -> Result<Output>;

    /// Starts a command and returns while it runs; its output is streamed.
    ///
    /// The process is tracked: it is told to stop when the [`Process`] is dropped, or when
    /// [`stop_all`](Self::stop_all) is called. The command's deadline bounds the whole life of it.
    ///
    /// # Errors
    /// When it could not be started.
    async fn start(&self, command: &Command) -> Result<Process>;

    /// Writes `bytes` to the file `path` over there, replacing it, with these permission bits.
    /// The file appears whole or not at all (written aside, then renamed).
    ///
    /// # Errors
    /// When the folder is missing, the disk is full, or the connection is lost.
    async fn write_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()>;

    /// The bytes of the file `path` over there.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn read_file(&self, path: &str) -> Result<Vec<u8>>;

    /// Copies a local file there.
    ///
    /// # Errors
    /// As [`write_file`](Self::write_file), and when `from` cannot be read.
    async fn upload(&self, from: &Path, to: &str, mode: u32) -> Result<()>;

    /// Copies a file from there to a local path.
    ///
    /// # Errors
    /// As [`read_file`](Self::read_file), and when `to` cannot be written.
    async fn download(&self, from: &str, to: &Path) -> Result<()>;

    /// Drops the connection, if there is one, so that the next call makes a new one.
    async fn reset(&self);

    /// Stops every process that [`start`](Self::start) began and that still runs, and waits for
    /// their end. Returns the commands that had to be stopped.
    async fn stop_all(&self) -> Vec<String>;
}

/// What follows from the primitives of [`Shell`].
#[async_trait]
pub trait ShellExt: Shell {
    /// Runs a command and requires exit status 0.
    ///
    /// # Errors
    /// As [`Shell::execute`] and [`Output::require_success`].
    async fn run(&self, command: &Command) -> Result<Output> {
        let output = self.execute(command).await?;
        output.require_success(command, self.target())
    }

    /// Runs a command, requires exit status 0 and returns its standard output without the white
    /// space at its end.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    async fn text(&self, command: &Command) -> Result<String> {
        Ok(self.run(command).await?.text().trim_end().to_owned())
    }

    /// Whether a command exits with status 0.
    ///
    /// # Errors
    /// As [`Shell::execute`].
    async fn succeeds(&self, command: &Command) -> Result<bool> {
        Ok(self.execute(command).await?.status.success())
    }

    /// Whether there is a file, folder or device of this name.
    ///
    /// # Errors
    /// As [`Shell::execute`].
    async fn exists(&self, path: &str) -> Result<bool> {
        self.succeeds(&Command::new("test").args(["-e", path])).await
    }

    /// The text of a file; bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// As [`Shell::read_file`].
    async fn read_text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.read_file(path).await?).into_owned())
    }

    /// Where a program is, for who cannot do without it.
    ///
    /// # Errors
    /// [`RemoteError::NoSuchProgram`] where it is not, and as [`Shell::execute`].
    async fn require_program(&self, program: &str) -> Result<String> {
        let found = self.execute(&Command::new("command").args(["-v", program])).await?;
        if found.status.success() {
            return Ok(found.text().trim_end().to_owned());
        }
        Err(RemoteError::NoSuchProgram {
            target: self.target().to_owned(),
            program: program.to_owned(),
        })
    }
}

impl<T: Shell + ?Sized> ShellExt for T {}

#[async_trait]
impl<T: Shell + ?Sized> Shell for Arc<T> {
    fn target(&self) -> &str {
        (**self).target()
    }
    async fn execute(&self, command: &Command) -> Result<Output> {
        (**self).execute(command).await
    }
    async fn start(&self, command: &Command) -> Result<Process> {
        (**self).start(command).await
    }
    async fn write_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        (**self).write_file(path, bytes, mode).await
    }
    async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        (**self).read_file(path).await
    }
    async fn upload(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        (**self).upload(from, to, mode).await
    }
    async fn download(&self, from: &str, to: &Path) -> Result<()> {
        (**self).download(from, to).await
    }
    async fn reset(&self) {
        (**self).reset().await;
    }
    async fn stop_all(&self) -> Vec<String> {
        (**self).stop_all().await
    }
}
