//! Waiting for a condition, and running a program to its end: both with a deadline.

use std::ffi::OsStr;
use std::future::Future;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::error::{LabError, Result};

/// What one look at a condition showed.
pub(crate) enum Look<T> {
    /// It holds.
    Done(T),
    /// Not yet; what was seen instead.
    NotYet(String),
}

/// Looks again and again, `pause` apart, until the condition holds or the time is over.
pub(crate) async fn wait_until<T, F>(
    what: &str,
    within: Duration,
    pause: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Look<T>>>,
{
    let began = Instant::now();
    loop {
        let last_seen = match look().await? {
            Look::Done(value) => return Ok(value),
            Look::NotYet(seen) => seen,
        };
        let waited = began.elapsed();
        if waited >= within {
            return Err(LabError::Timeout { what: what.into(), waited, last_seen });
        }
        tokio::time::sleep(pause).await;
    }
}

/// How a program ended that [`run`] ran.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) success: bool,
    pub(crate) status: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The standard output of a success; an error that says `what` failed otherwise.
    pub(crate) fn output(self, what: &str) -> Result<String> {
        if self.success {
            return Ok(self.stdout);
        }
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        Err(LabError::Command {
            what: what.into(),
            status: self.status,
            output: last_lines(said, 20),
        })
    }
}

/// Runs a program to its end. One that takes longer is killed.
pub(crate) async fn run<S: AsRef<OsStr>>(
    program: &Path,
    arguments: &[S],
    within: Duration,
) -> Result<Finished> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(within, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => {
            return Err(LabError::Spawn { program: program.display().to_string(), source });
        }
        Err(_) => {
            return Err(LabError::Timeout {
                what: program.display().to_string(),
                waited: within,
                last_seen: "still running".into(),
            });
        }
    };
    Ok(Finished {
        success: output.status.success(),
        status: output.status.to_string(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_timeout_says_what_was_seen_last() {
        let mut looks = 0;
        let error =
            wait_until("the moon", Duration::from_millis(5), Duration::from_millis(2), || {
                looks += 1;
                let seen = format!("look {looks}");
                async { Ok(Look::<()>::NotYet(seen)) }
            })
            .await
            .unwrap_err();
        assert!(error.to_string().contains("last seen: look"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended() {
        let error = run(Path::new("sleep"), &["30"], Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, LabError::Timeout { .. }), "{error}");
    }
}
