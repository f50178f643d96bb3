//! Logging into a guest.

use std::net::IpAddr;
use std::time::Duration;

use super::steps;
use crate::model::{Guest, InsideView};
use crate::remote::{Command, ShellExt, Wait, wait_until};
use crate::{Error, Result};

pub(in crate::model) async fn wait_for_address<G: Guest + ?Sized>(guest: &G) -> Result<IpAddr> {
    if let Some(address) = guest.expectation().get().address {
        return Ok(address);
    }
    let waiting_for = format!("guest {} to have an address", guest.name());
    let address = wait_until(waiting_for, || async {
        steps::require_alive(guest, "to have an address").await?;
        guest.find_address().await
    })
    .within(guest.deadlines().boot)
    .await?;
    guest.expectation().update(|expected| expected.address = Some(address));
    Ok(address)
}

pub(in crate::model) async fn wait_until_reachable<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    let address = guest.wait_for_address().await?;
    let shell = guest.shell_at(address)?;
    let probe = Command::new("true").deadline(Duration::from_secs(60));
    let waiting_for = format!("a login into guest {} at {address} to work", guest.name());
    let result = wait_until(waiting_for, || async {
        // Both at once: a guest that crashed is told without waiting for the login to fail.
        let login = async { Ok(shell.run(&probe).await) };
        let alive = steps::require_alive(guest, "to be reachable");
        Ok(match tokio::try_join!(alive, login)?.1 {
            Ok(_) => Wait::Done(()),
            Err(error) => Wait::NotYet(error.to_string()),
        })
    })
    .within(guest.deadlines().boot)
    .await;
    match result {
        Ok(()) => {
            guest.expectation().update(|expected| expected.reachable = true);
            Ok(())
        }
        Err(Error::Timeout { waiting_for, waited, last_seen }) => {
            let last_seen = match steps::console_tail(guest).await {
                Some(console) => format!("{last_seen}; its console ends with:\n{console}"),
                None => last_seen,
            };
            Err(Error::Timeout { waiting_for, waited, last_seen })
        }
        Err(error) => Err(error),
    }
}

pub(in crate::model) async fn is_reachable<G: Guest + ?Sized>(guest: &G) -> bool {
    let Some(address) = guest.expectation().get().address else { return false };
    let Ok(shell) = guest.shell_at(address) else { return false };
    let probe = Command::new("true").deadline(Duration::from_secs(60));
    shell.succeeds(&probe).await.unwrap_or(false)
}

pub(in crate::model) async fn inside<G: Guest + ?Sized>(guest: &G) -> Result<InsideView> {
    crate::model::inside::look(guest.shell().await?.as_ref()).await
}
