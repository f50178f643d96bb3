//! Programs that a test cannot do without.

use xenrt::prelude::*;

/// Skips the test where a machine lacks one of these programs.
///
/// # Errors
/// A [skip](TestError::skip) that names the first one that is missing and what it is for; whatever the login
/// brings.
pub(crate) async fn needs_programs(shell: &dyn Shell, programs: &[&str], to: &str) -> Result {
    for program in programs {
        let find = Command::shell_line(format!("command -v {program}"));
        if !shell.succeeds(&find.deadline(Duration::from_secs(60))).await? {
            let machine = shell.target();
            return Err(TestError::skip(format!("{machine} has no {program} to {to}")));
        }
    }
    Ok(())
}
