//! Whether somebody answers.

use std::net::IpAddr;

use xenrt::prelude::*;
use xenrt::remote::Output;

/// What a ping says, whether it was answered or not.
///
/// # Errors
/// As [`Shell::execute`], and where there is no such program: that says nothing about the network.
pub(crate) async fn ping(from: &dyn Shell, ping: &Command) -> Result<Output> {
    let said = from.execute(ping).await?;
    match said.missing_program(ping) {
        Some(_) => Ok(said.require_success(ping, from.target())?),
        None => Ok(said),
    }
}

/// Sends three pings with so many bytes of data from `from` to `to`, again where one was lost: three
/// times at most, for a ping may be lost on any network.
///
/// # Errors
/// What ping says of the last try, in `Err` of the inner result; the outer one is for a shell that
/// cannot be reached.
pub(crate) async fn pings(
    from: &dyn Shell,
    to: IpAddr,
    bytes: u32,
) -> Result<std::result::Result<(), String>> {
    // Options that iputils and busybox share. Whole seconds apart: busybox knows no others.
    let command = Command::new("ping").args(["-c", "3", "-W", "5", "-s", &bytes.to_string()]);
    let command = command.arg(to.to_string()).deadline(Duration::from_secs(60));
    let mut last = String::new();
    for _ in 0..3 {
        let said = ping(from, &command).await?;
        if said.status.success() {
            return Ok(Ok(()));
        }
        let text = if said.text().trim().is_empty() { said.error_text() } else { said.text() };
        last = text.trim().lines().last().unwrap_or("it printed nothing").to_owned();
    }
    Ok(Err(last))
}

/// The data of a ping where nothing else is asked for, in bytes.
pub(crate) const USUAL_PING: u32 = 56;

/// Nothing where dom0 gets every answer to pings of the guest.
///
/// # Errors
/// The product's, with what ping says.
pub(crate) async fn answers_pings(guest: &dyn Guest, when: &str) -> Result {
    let address = guest.wait_for_address().await?;
    match pings(guest.host().dom0().as_ref(), address, USUAL_PING).await? {
        Ok(()) => Ok(()),
        Err(last) => {
            let message = format!("guest {} does not answer pings {when}: {last}", guest.name());
            Err(TestError::product(message))
        }
    }
}
