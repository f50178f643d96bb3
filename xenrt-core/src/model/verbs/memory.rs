//! Verbs that write a guest's memory somewhere and read it back.

use super::steps;
use crate::Result;
use crate::model::{Ability, Guest, GuestAction, PowerState};

pub(in crate::model) async fn suspend<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    guest.host().require(Ability::Suspend)?;
    let deadline = guest.deadlines().suspend;
    steps::end_domain(guest, &GuestAction::Suspend, PowerState::Suspended, deadline).await
}

pub(in crate::model) async fn resume<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    guest.host().require(Ability::Suspend)?;
    let deadline = guest.deadlines().suspend;
    steps::change_power(guest, &GuestAction::Resume, PowerState::Running, deadline).await?;
    steps::reach_again(guest).await
}

pub(in crate::model) async fn save<G: Guest + ?Sized>(guest: &G, path: &str) -> Result<()> {
    guest.host().require(Ability::Save)?;
    let action = GuestAction::Save(path.to_owned());
    steps::end_domain(guest, &action, PowerState::Halted, guest.deadlines().suspend).await
}

pub(in crate::model) async fn restore<G: Guest + ?Sized>(guest: &G, path: &str) -> Result<()> {
    guest.host().require(Ability::Save)?;
    let action = GuestAction::Restore(path.to_owned());
    steps::change_power(guest, &action, PowerState::Running, guest.deadlines().suspend).await?;
    steps::reach_again(guest).await
}
