//! The name of a guest, and its end.

use super::steps;
use crate::model::{
    Ability, Afterwards, Guest, GuestAction, ObjectKind, PowerState, ShutdownMode,
    validate_guest_name_on,
};
use crate::remote::{Wait, wait_until};
use crate::{Error, Result, ToolstackErrorKind};

pub(in crate::model) async fn delete<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    if guest.request_where_allowed(&GuestAction::Delete).await? == Afterwards::Gone {
        return Ok(());
    }
    let waiting_for = format!("guest {} to be gone", guest.name());
    wait_until(waiting_for, || async {
        match guest.view().await {
            Err(error) if error.toolstack_kind() == Some(ToolstackErrorKind::NoSuchObject) => {
                Ok(Wait::Done(()))
            }
            Ok(view) => Ok(Wait::NotYet(view.power.to_string())),
            Err(error) => Err(error),
        }
    })
    .within(guest.deadlines().state)
    .await
}

pub(in crate::model) async fn ensure_deleted<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    // It may change its state by itself between the look and the act.
    const LOOKS: usize = 3;
    for _ in 1..LOOKS {
        match delete_as_it_is(guest).await {
            Err(Error::WrongState { .. }) => {}
            result => return result,
        }
    }
    delete_as_it_is(guest).await
}

async fn delete_as_it_is<G: Guest + ?Sized>(guest: &G) -> Result<()> {
    let mut state = state_unless_gone(guest).await?;
    if state == Some(PowerState::Dying) {
        // It may be on its way through a reboot.
        let waiting_for = format!("guest {} to have ended or to be back", guest.name());
        state = wait_until(waiting_for, || async {
            Ok(match state_unless_gone(guest).await? {
                Some(PowerState::Dying) => Wait::NotYet(PowerState::Dying.to_string()),
                seen => Wait::Done(seen),
            })
        })
        .within(guest.deadlines().state)
        .await?;
    }
    let Some(state) = state else { return Ok(()) };
    if GuestAction::PowerOff.allowed_from().contains(&state) {
        guest.shutdown(ShutdownMode::Hard).await?;
    }
    guest.delete().await
}

async fn state_unless_gone<G: Guest + ?Sized>(guest: &G) -> Result<Option<PowerState>> {
    match guest.power_state().await {
        Ok(state) => Ok(Some(state)),
        Err(error) if error.toolstack_kind() == Some(ToolstackErrorKind::NoSuchObject) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(in crate::model) async fn rename<G: Guest + ?Sized>(guest: &G, name: &str) -> Result<()> {
    validate_guest_name_on(guest.host().as_ref(), name)?;
    let action = GuestAction::Rename(name.to_owned());
    let state = steps::require_allowed(guest, &action).await?;
    if state.has_domain() {
        guest.host().require(Ability::RenameRunning)?;
    }
    let host = guest.host();
    host.scope().renaming(&host.object(ObjectKind::Guest, &guest.name()), name);
    guest.request(&action).await?;
    wait_until(format!("guest {} to be known by that name", guest.name()), || async {
        if !state.has_domain() {
            return guest.view().await.map(|_| Wait::Done(()));
        }
        let domain = guest.domain().await?;
        let seen = domain.map_or_else(|| "no domain".to_owned(), |domain| domain.name);
        Ok(Wait::on(seen == name, format!("the hypervisor knows it as {seen:?}")))
    })
    .within(guest.deadlines().device)
    .await
}
