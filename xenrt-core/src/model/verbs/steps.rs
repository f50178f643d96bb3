//! What the verbs have in common.

use std::time::Duration;

use crate::model::{Afterwards, Guest, GuestAction, PowerState};
use crate::remote::{Command, ShellExt, Wait, shorten_middle, wait_until};
use crate::{Error, Result};

pub(super) async fn require_allowed<G: Guest + ?Sized>(
    guest: &G,
    action: &GuestAction,
) -> Result<PowerState> {
    let state = guest.power_state().await?;
    action.require_allowed_from(state, &guest.name())?;
    Ok(state)
}

/// What was seen last is returned: `goal`, or nothing where it was waited for.
pub(super) async fn change_power<G: Guest + ?Sized>(
    guest: &G,
    action: &GuestAction,
    goal: PowerState,
    deadline: Duration,
) -> Result<Afterwards> {
    let mut after = guest.request_where_allowed(action).await?;
    if !matches!(after, Afterwards::Seen { power, .. } if power == goal) {
        guest.wait_for_state(goal, deadline).await?;
        after = Afterwards::Unseen;
    }
    let reachable_later = matches!(
        action,
        GuestAction::Pause
            | GuestAction::Suspend
            | GuestAction::Save(_)
            | GuestAction::Unpause
            | GuestAction::Resume
            | GuestAction::Restore(_)
    );
    guest.expectation().update(|expected| {
        expected.power = goal;
        expected.reachable &= reachable_later;
    });
    Ok(after)
}

/// The same, where the guest ends: the hypervisor has no domain of it any more, not even a dying one.
pub(super) async fn end_domain<G: Guest + ?Sized>(
    guest: &G,
    action: &GuestAction,
    goal: PowerState,
    deadline: Duration,
) -> Result<()> {
    match change_power(guest, action, goal, deadline).await? {
        Afterwards::Seen { has_domain: false, .. } => Ok(()),
        _ => wait_until_no_domain(guest).await,
    }
}

pub(super) async fn reach_again<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    if guest.expectation().get().reachable { guest.wait_until_reachable().await } else { Ok(()) }
}

async fn wait_until_no_domain<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    let waiting_for = format!("the domain of guest {} to be gone", guest.name());
    wait_until(waiting_for, || async {
        Ok(match guest.domain().await? {
            None => Wait::Done(()),
            Some(domain) => Wait::NotYet(format!("domain {} is {}", domain.domid, domain.power)),
        })
    })
    .within(guest.deadlines().state)
    .await
}

pub(super) async fn boot_id<G: Guest + ?Sized>(guest: &G) -> Result<String> {
    let read = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
    Ok(guest.shell().await?.text(&read.deadline(Duration::from_secs(60))).await?)
}

pub(super) async fn require_alive<G: Guest + ?Sized>(guest: &G, doing: &'static str) -> Result<()> {
    match guest.power_state().await? {
        state @ (PowerState::Crashed | PowerState::Halted) => {
            Err(stopped(guest, state, doing).await)
        }
        _ => Ok(()),
    }
}

pub(super) async fn stopped<G: Guest + ?Sized>(
    guest: &G,
    state: PowerState,
    doing: &'static str,
) -> Error {
    let console = console_tail(guest).await.unwrap_or_else(|| "(not recorded)".to_owned());
    Error::GuestStopped { guest: guest.name(), state, doing, console }
}

pub(super) async fn console_tail<G: Guest + ?Sized>(guest: &G) -> Option<String> {
    let text = guest.console_text().await.ok()?;
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let tail = lines[lines.len().saturating_sub(15)..].join("\n");
    Some(shorten_middle(&tail, 2000))
}
