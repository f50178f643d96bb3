//! A shell in the name space of mounts of another process.

use std::path::Path;

use async_trait::async_trait;
use xenrt_core::remote::{Command, LocalShell, Output, Process, Result, Shell};

/// Commands run on this machine, with the folders that the process sees.
#[derive(Debug)]
pub(crate) struct NamespaceShell {
    here: LocalShell,
    process: u32,
    target: String,
}

impl NamespaceShell {
    pub(crate) fn new(process: u32) -> Self {
        let target = format!("the name space of process {process}");
        Self { here: LocalShell::new(), process, target }
    }

    fn there(&self, command: &Command) -> Command {
        let enter = ["--target", &self.process.to_string(), "--mount", "--", "sh", "-c"];
        let line = Command::new("nsenter").args(enter).arg(command.to_shell_line());
        let line = line.deadline(command.deadline_value());
        match command.stdin_value() {
            xenrt_core::remote::Stdin::Bytes(bytes) => line.stdin(bytes.clone()),
            _ => line,
        }
    }

    /// A file of this name as this process sees it.
    fn path(&self, path: &str) -> String {
        format!("/proc/{}/root{path}", self.process)
    }
}

#[async_trait]
impl Shell for NamespaceShell {
    fn target(&self) -> &str {
        &self.target
    }

    async fn execute(&self, command: &Command) -> Result<Output> {
        self.here.execute(&self.there(command)).await
    }

    async fn start(&self, command: &Command) -> Result<Process> {
        self.here.start(&self.there(command)).await
    }

    async fn write_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        self.here.write_file(&self.path(path), bytes, mode).await
    }

    async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        self.here.read_file(&self.path(path)).await
    }

    async fn upload(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        self.here.upload(from, &self.path(to), mode).await
    }

    async fn download(&self, from: &str, to: &Path) -> Result<()> {
        self.here.download(&self.path(from), to).await
    }

    async fn reset(&self) {
        self.here.reset().await;
    }

    async fn stop_all(&self) -> Vec<String> {
        self.here.stop_all().await
    }
}
