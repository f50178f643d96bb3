//! Programs that are ready when they listen.

use xenrt::prelude::*;

/// Waits until somebody listens on a TCP port where `shell` leads, half a minute at most; `who` is told
/// where nobody does.
pub(crate) async fn listening(shell: &dyn Shell, port: u16, who: &str) -> Result {
    let look = Command::new("ss").args(["-H", "-l", "-t", "-n"]).arg(format!("sport = :{port}"));
    wait_until(format!("{who} to listen"), || async {
        let sockets = shell.text(&look).await?;
        Ok(Wait::on(!sockets.is_empty(), "no socket on its port"))
    })
    .within(Duration::from_secs(30))
    .await?;
    Ok(())
}
