//! Shell lines for the host, for what is files: disks and what is kept beside them.

use std::time::Duration;

use xenrt_core::remote::{Command, RemoteError, Shell};
use xenrt_core::{Result, ToolstackErrorKind};

use crate::error;

/// What a line begins a refusal with; the kind and a message follow.
const REFUSAL: &str = "xenrt-refusal ";

/// The refusals that lines here give.
const KINDS: [ToolstackErrorKind; 4] = [
    ToolstackErrorKind::AlreadyExists,
    ToolstackErrorKind::MissingFile,
    ToolstackErrorKind::NoSuchObject,
    ToolstackErrorKind::TimedOut,
];

/// A shell line that is being put together. It stops at the first step that fails.
#[derive(Debug)]
pub(crate) struct Script(String);

impl Script {
    /// Begins one; `refuse KIND MESSAGE` in it ends it with a refusal that is understood here.
    pub(crate) fn new() -> Self {
        Self(format!("set -e; refuse() {{ echo \"{REFUSAL}$1: $2\" >&2; exit 3; }}\n"))
    }

    /// Adds a step. Nothing in it is quoted; names go through [`q`].
    #[must_use]
    pub(crate) fn step(mut self, line: impl AsRef<str>) -> Self {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
        self
    }

    /// Runs it, and returns what it printed.
    ///
    /// # Errors
    /// [`Toolstack`](xenrt_core::Error::Toolstack) for what it refuses and for what fails in it.
    pub(crate) async fn run(
        self,
        shell: &dyn Shell,
        deadline: Duration,
        verb: &str,
        object: &str,
    ) -> Result<String> {
        let command = Command::shell_line(self.0).deadline(deadline);
        let output = shell.execute(&command).await?;
        if output.status.success() {
            return Ok(output.text());
        }
        let stderr = output.error_text();
        let own = stderr.lines().find_map(|line| line.strip_prefix(REFUSAL)?.split_once(": "));
        let known = own.and_then(|(kind, message)| {
            let kind = KINDS.into_iter().find(|own| format!("{own:?}") == kind)?;
            Some((kind, message.to_owned()))
        });
        let (kind, message) = known.unwrap_or_else(|| {
            let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
            let message = last.unwrap_or("it did not say why").to_owned();
            (error::kind_of(virt::error::ErrorNumber::SystemError, &message), message)
        });
        let source: Option<RemoteError> = output.require_success(&command, shell.target()).err();
        Err(xenrt_core::Error::Toolstack {
            toolstack: error::TOOLSTACK.to_owned(),
            verb: verb.to_owned(),
            object: object.to_owned(),
            kind,
            message,
            source: source.map(Box::new),
        })
    }
}

/// One word for the shell.
pub(crate) fn q(word: &str) -> String {
    Command::quote(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenrt_core::remote::LocalShell;

    async fn kind(line: &str) -> Option<ToolstackErrorKind> {
        let script = Script::new().step(line);
        let result = script.run(&LocalShell::new(), Duration::from_secs(20), "try", "it").await;
        result.unwrap_err().toolstack_kind()
    }

    #[tokio::test]
    async fn refusals_and_failures_are_told_as_what_they_are() {
        assert_eq!(kind("refuse MissingFile gone").await, Some(ToolstackErrorKind::MissingFile));
        let full = "echo 'cp: x: No space left on device' >&2; exit 1";
        assert_eq!(kind(full).await, Some(ToolstackErrorKind::OutOfSpace));
        assert_eq!(kind("false").await, Some(ToolstackErrorKind::Other));
    }
}
