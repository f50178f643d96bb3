//! vCPUs and memory.

use super::{check, steps};
use crate::model::{Ability, Guest, GuestAction, Memory, PowerState};
use crate::remote::wait_until;
use crate::{Error, Result};

pub(in crate::model) async fn set_vcpus<G: Guest + ?Sized>(guest: &G, vcpus: u32) -> Result<()> {
    let action = GuestAction::SetVcpus(vcpus);
    let state = steps::require_allowed(guest, &action).await?;
    let most = guest.view().await?.max_vcpus;
    if vcpus == 0 || (vcpus > most && state == PowerState::Running) {
        let problem = format!("{vcpus} vCPUs; a running guest can have 1 to {most}, its maximum");
        return Err(Error::invalid(format!("guest {:?}", guest.name()), problem));
    }
    if state == PowerState::Running {
        guest.host().require(Ability::VcpuHotplug)?;
    }
    guest.request(&action).await?;
    let before = guest.expectation().get();
    guest.expectation().update(|expected| expected.vcpus = vcpus);
    if state == PowerState::Running && before.reachable && vcpus > before.vcpus {
        let shell = guest.shell().await?;
        let waiting_for = format!("guest {} to use {vcpus} vCPUs", guest.name());
        wait_until(waiting_for, || crate::model::inside::bring_online(shell.as_ref(), vcpus))
            .within(guest.deadlines().device)
            .await?;
    }
    check::wait_until_as_expected(guest, "its vCPUs", guest.deadlines().device).await
}

pub(in crate::model) async fn set_memory<G: Guest + ?Sized>(
    guest: &G,
    memory: Memory,
) -> Result<()> {
    let action = GuestAction::SetMemory(memory);
    if steps::require_allowed(guest, &action).await? == PowerState::Running {
        guest.host().require(Ability::MemoryHotplug)?;
    }
    guest.request(&action).await?;
    guest.expectation().update(|expected| expected.memory = memory);
    check::wait_until_as_expected(guest, "its memory", guest.deadlines().device).await
}
