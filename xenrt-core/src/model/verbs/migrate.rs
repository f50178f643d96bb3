//! Moving a guest while it runs.

use std::sync::Arc;

use super::steps;
use crate::model::{Ability, Guest, Host, PowerState};
use crate::remote::{Wait, wait_until};
use crate::{Error, Result};

pub(in crate::model) async fn migrate<G: Guest + ?Sized>(
    guest: &G,
    target: &Arc<dyn Host>,
) -> Result<()> {
    let source = guest.host();
    source.require(Ability::LiveMigration)?;
    target.require(Ability::LiveMigration)?;
    let state = guest.power_state().await?;
    if state != PowerState::Running {
        return Err(Error::wrong_state(guest.name(), "migrate", state, &[PowerState::Running]));
    }
    guest.request_migration(target).await?;
    guest.wait_for_state(PowerState::Running, guest.deadlines().state).await?;
    let name = guest.name();
    wait_until(format!("host {} to have let guest {name} go", source.name()), || async {
        let left = source.domains().await?;
        let left = left.iter().find(|domain| {
            domain.uuid.map_or(domain.name.starts_with(&name), |uuid| uuid == guest.uuid())
        });
        Ok(match left {
            None => Wait::Done(()),
            Some(domain) => Wait::NotYet(format!(
                "domain {} {:?} is still there, {}",
                domain.domid, domain.name, domain.power
            )),
        })
    })
    .within(guest.deadlines().state)
    .await?;
    steps::reach_again(guest).await
}
