//! Disks and VIFs.

use super::{check, steps};
use crate::model::{
    Ability, Disk, DiskSpec, Guest, GuestAction, MacAddress, PowerState, Vif, VifSpec,
};
use crate::remote::{Wait, wait_until};
use crate::{Error, Result};

pub(in crate::model) async fn attach_disk<G: Guest + ?Sized>(
    guest: &G,
    disk: DiskSpec,
) -> Result<Disk> {
    let action = GuestAction::AttachDisk(disk);
    if steps::require_allowed(guest, &action).await? == PowerState::Running {
        guest.host().require(Ability::DiskHotplug)?;
    }
    let before = guest.view().await?.disks;
    guest.request(&action).await?;
    let waiting_for = format!("guest {} to have one more disk", guest.name());
    let disk = wait_until(waiting_for, || async {
        let now = guest.view().await?.disks;
        let added = now.iter().find(|disk| before.iter().all(|old| old.device != disk.device));
        Ok(match added {
            Some(disk) => Wait::Done(disk.clone()),
            None => Wait::NotYet(format!("{} disks as before", before.len())),
        })
    })
    .within(guest.deadlines().device)
    .await?;
    guest.expectation().update(|expected| expected.disks.push(disk.clone()));
    check::wait_until_as_expected(guest, "its disks", guest.deadlines().device).await?;
    Ok(disk)
}

pub(in crate::model) async fn detach_disk<G: Guest + ?Sized>(
    guest: &G,
    device: &str,
) -> Result<()> {
    let action = GuestAction::DetachDisk(device.to_owned());
    if steps::require_allowed(guest, &action).await? == PowerState::Running {
        guest.host().require(Ability::DiskHotplug)?;
    }
    let disks = guest.view().await?.disks;
    if disks.iter().all(|disk| disk.device != device) {
        let known = disks.into_iter().map(|disk| disk.device).collect();
        return Err(Error::NotFound { kind: "disk", name: device.to_owned(), known });
    }
    guest.request(&action).await?;
    guest.expectation().update(|expected| expected.disks.retain(|disk| disk.device != device));
    check::wait_until_as_expected(guest, "its disks", guest.deadlines().device).await
}

pub(in crate::model) async fn attach_vif<G: Guest + ?Sized>(
    guest: &G,
    vif: VifSpec,
) -> Result<Vif> {
    let mac = vif.mac.unwrap_or_else(MacAddress::random_xen);
    let action = GuestAction::AttachVif(VifSpec { mac: Some(mac), ..vif });
    if steps::require_allowed(guest, &action).await? == PowerState::Running {
        guest.host().require(Ability::VifHotplug)?;
    }
    guest.request(&action).await?;
    let vif = wait_until(format!("guest {} to have the VIF {mac}", guest.name()), || async {
        let vifs = guest.view().await?.vifs;
        Ok(match vifs.iter().find(|vif| vif.mac == mac) {
            Some(vif) => Wait::Done(vif.clone()),
            None => Wait::NotYet(format!("{} VIFs, not that one", vifs.len())),
        })
    })
    .within(guest.deadlines().device)
    .await?;
    guest.expectation().update(|expected| expected.vifs.push(vif.clone()));
    check::wait_until_as_expected(guest, "its VIFs", guest.deadlines().device).await?;
    Ok(vif)
}

pub(in crate::model) async fn detach_vif<G: Guest + ?Sized>(
    guest: &G,
    mac: MacAddress,
) -> Result<()> {
    let action = GuestAction::DetachVif(mac);
    if steps::require_allowed(guest, &action).await? == PowerState::Running {
        guest.host().require(Ability::VifHotplug)?;
    }
    let vifs = guest.view().await?.vifs;
    if vifs.iter().all(|vif| vif.mac != mac) {
        let known = vifs.into_iter().map(|vif| vif.mac.to_string()).collect();
        return Err(Error::NotFound { kind: "VIF", name: mac.to_string(), known });
    }
    guest.request(&action).await?;
    guest.expectation().update(|expected| expected.vifs.retain(|vif| vif.mac != mac));
    check::wait_until_as_expected(guest, "its VIFs", guest.deadlines().device).await
}
