//! What a guest is made to do to itself.

use xenrt::prelude::*;

/// Runs a program of which the guest may not live to see the end.
///
/// # Errors
/// Whatever login and program bring, but for a connection that was lost.
pub(crate) async fn last_words(guest: &dyn Guest, program: &str) -> Result {
    let command = Command::new(program).deadline(Duration::from_secs(60));
    match guest.shell().await?.execute(&command).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_connection() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Has a guest shut itself down; it is Halted afterwards, and expected to be.
///
/// # Errors
/// As [`last_words`], and where the toolstack does not see it Halted in time.
pub(crate) async fn shut_itself_down(guest: &dyn Guest) -> Result {
    last_words(guest, "poweroff").await?;
    guest.wait_for_state(PowerState::Halted, guest.deadlines().state).await?;
    guest.expectation().update(|expected| {
        expected.power = PowerState::Halted;
        expected.reachable = false;
    });
    Ok(())
}
