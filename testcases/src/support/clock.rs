//! What time it is.

use xenrt::prelude::*;

/// The time of day behind a shell, in whole seconds since the epoch.
pub(crate) async fn epoch(shell: &dyn Shell) -> Result<i64> {
    let date = Command::new("date").arg("+%s").deadline(Duration::from_secs(60));
    let said = shell.text(&date).await?;
    said.parse()
        .map_err(|_| TestError::product(format!("date +%s of {} printed {said:?}", shell.target())))
}

/// By how many seconds the clock of a guest is ahead of dom0's (behind: negative). dom0 is asked
/// before and after the guest, so that a slow connection is not taken for a wrong clock; whole
/// seconds leave an error of one.
pub(crate) async fn skew(guest: &dyn Guest) -> Result<i64> {
    let (dom0, inside) = (guest.host().dom0(), guest.shell().await?);
    let before = epoch(dom0.as_ref()).await?;
    let seen = epoch(inside.as_ref()).await?;
    let after = epoch(dom0.as_ref()).await?;
    Ok(if seen < before { seen - before } else { (seen - after).max(0) })
}
