//! Verbs that change the power state.

use std::time::Duration;

use super::steps;
use crate::Result;
use crate::model::{Guest, GuestAction, PowerState, ShutdownMode};
use crate::remote::{Wait, wait_until};

pub(in crate::model) async fn wait_for_state<G: Guest + ?Sized>(
    guest: &G,
    state: PowerState,
    deadline: Duration,
) -> Result<()> {
    let waiting_for = format!("guest {} to be {state}", guest.name());
    wait_until(waiting_for, || async {
        let seen = guest.power_state().await?;
        if seen == PowerState::Crashed && state == PowerState::Running {
            return Err(steps::stopped(guest, seen, "to be Running").await);
        }
        Ok(Wait::on(seen == state, seen.to_string()))
    })
    .within(deadline)
    .await
}

pub(in crate::model) async fn start<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    let deadline = guest.deadlines().state;
    steps::change_power(guest, &GuestAction::Start, PowerState::Running, deadline).await.map(drop)
}

pub(in crate::model) async fn start_paused<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    let (action, deadline) = (GuestAction::StartPaused, guest.deadlines().state);
    steps::change_power(guest, &action, PowerState::Paused, deadline).await.map(drop)
}

pub(in crate::model) async fn shutdown<G: Guest + ?Sized>(
    guest: &G,
    mode: ShutdownMode,
) -> Result<()> {
    let action = match mode {
        ShutdownMode::Clean => GuestAction::Shutdown,
        ShutdownMode::Hard => GuestAction::PowerOff,
    };
    steps::end_domain(guest, &action, PowerState::Halted, guest.deadlines().state).await
}

pub(in crate::model) async fn reboot<G: Guest + ?Sized>(
    guest: &G,
    mode: ShutdownMode,
) -> Result<()> {
    let action = match mode {
        ShutdownMode::Clean => GuestAction::Reboot,
        ShutdownMode::Hard => GuestAction::Reset,
    };
    let state = steps::require_allowed(guest, &action).await?;
    let was_reachable = guest.expectation().get().reachable;
    let domid_before = guest.domain().await?.map(|domain| domain.domid);
    // A paused guest cannot be asked for it; its new domain has to do.
    let asked = was_reachable && state == PowerState::Running;
    let boot_before = if asked { Some(steps::boot_id(guest).await?) } else { None };
    guest.request(&action).await?;
    let waiting_for = format!("guest {} to have rebooted", guest.name());
    wait_until(waiting_for, || async {
        let (domain, state) = tokio::try_join!(guest.domain(), guest.power_state())?;
        if state == PowerState::Crashed {
            return Err(steps::stopped(guest, state, "to reboot").await);
        }
        let domid = domain.map(|domain| domain.domid);
        if state != PowerState::Running {
            return Ok(Wait::NotYet(state.to_string()));
        }
        if domid.is_some() && domid != domid_before {
            return Ok(Wait::Done(()));
        }
        let rebooted = match (&boot_before, steps::boot_id(guest).await) {
            (Some(before), Ok(now)) => *before != now,
            _ => false,
        };
        Ok(Wait::on(rebooted, format!("{state}, the same domain and boot as before")))
    })
    .within(guest.deadlines().boot)
    .await?;
    guest.expectation().update(|expected| expected.power = PowerState::Running);
    if was_reachable { guest.wait_until_reachable().await } else { Ok(()) }
}

pub(in crate::model) async fn pause<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    let deadline = guest.deadlines().state;
    steps::change_power(guest, &GuestAction::Pause, PowerState::Paused, deadline).await.map(drop)
}

pub(in crate::model) async fn unpause<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    let deadline = guest.deadlines().state;
    steps::change_power(guest, &GuestAction::Unpause, PowerState::Running, deadline).await.map(drop)
}
