//! Processors that are kept busy.

use futures::future::join_all;
use xenrt::prelude::*;

/// Keeps so many processors behind a shell busy for so long, and returns when that is over.
///
/// # Errors
/// Infrastructure's where the shell has no `timeout` to run it with; whatever the login brings.
pub(crate) async fn keep_busy(shell: &dyn Shell, processors: u32, seconds: u32) -> Result {
    let time = seconds.to_string();
    let burn = Command::new("timeout").args([&time, "sh", "-c", "while :; do :; done"]);
    // Where processors are wanted by many, it takes its time to be told to end.
    let burn = burn.deadline(Duration::from_secs(u64::from(seconds) * 10 + 120));
    for ended in join_all((0..processors).map(|_| shell.execute(&burn))).await {
        let ended = ended?;
        // A shell's words for "not found" and "cannot be run" (POSIX, 2.8.2).
        if matches!(ended.status.code(), Some(126 | 127)) {
            let why = ended.error_text();
            let problem = format!("`timeout` cannot be run on {}: {why}", shell.target());
            return Err(TestError::infrastructure(problem));
        }
    }
    Ok(())
}
