//! What the verbs have in common.

use std::time::Duration;

use crate::model::{Guest, GuestAction, PowerState};
use crate::remote::{Command, ShellExt, Wait, shorten_middle, wait_until};
use crate::{Error, Result};

pub(in crate::model) fn wrong_state<G: Guest + ?Sized>(
    guest: &G,
    verb: &'static str,
    state: PowerState,
    needed: &[PowerState],
) -> Error {
    let needed = needed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    Error::WrongState { guest: guest.name(), verb, state, needed }
}

pub(super) async fn require_allowed<G: Guest + ?Sized>(
    guest: &G,
    action: &GuestAction,
) -> Result<PowerState> {
    let state = guest.power_state().await?;
    if action.allowed_from().contains(&state) {
        return Ok(state);
    }
    Err(wrong_state(guest, action.verb(), state, action.allowed_from()))
}

pub(super) async fn change_power<G: Guest + ?Sized>(
    guest: &G,
    action: &GuestAction,
    goal: PowerState,
    deadline: Duration,
) -> Result<()> {
    require_allowed(guest, action).await?;
    guest.request(action).await?;
    guest.wait_for_state(goal, deadline).await?;
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
    Ok(())
}

pub(super) async fn reach_again<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    if guest.expectation().get().reachable { guest.wait_until_reachable().await } else { Ok(()) }
}

pub(super) async fn wait_until_no_domain<G: Guest + ?Sized>(guest: &G) -> Result<()> {
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
