//! Disks and VIFs that come and go.

use tokio::time::Instant;
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain as VirtDomain;
use virt::error::ErrorNumber;
use virt_sys as sys;
use xenrt_core::model::{DiskSource, DiskSpec, GuestAction, Host as _, MacAddress, VifSpec};
use xenrt_core::{Error, Result};

use crate::connection::Failure;
use crate::definition::{disk_for, vif_for};
use crate::disks;
use crate::error::{not_understood, not_written};
use crate::guest::{GuestShared, is_connection, something};
use crate::host::LibvirtHost;
use crate::observe;
use crate::script::{Script, q};
use crate::settle::is_interrupted;
use crate::storage;
use crate::xml::{Element, Interface, to_element};

const ATTACH_DISK: &str = "attach a disk to";
const ATTACH_VIF: &str = "attach a VIF to";

/// How long the guest may take to let a device go before it is looked again, without an event.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// A document of a domain as a tree. Blocks.
fn tree(domain: &VirtDomain, flags: u32) -> Result<Element, Failure> {
    let text = domain.get_xml_desc(flags)?;
    let wrong = |error| Failure::Own(not_understood("the document of a domain", &error));
    Element::parse(&text).map_err(wrong)
}

/// Changes the devices that a domain has at its next start; all else stays as it is. Blocks.
fn change_config(
    connect: &Connect,
    domain: &VirtDomain,
    change: impl FnOnce(&mut Element),
) -> Result<(), Failure> {
    let flags = sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE;
    let mut document = tree(domain, flags)?;
    change(document.child_mut("devices"));
    VirtDomain::define_xml(connect, &document.to_xml())?;
    Ok(())
}

/// What tells a disk or a VIF from the others of its guest.
fn key(device: &Element) -> Option<(&str, &str)> {
    let (child, attribute) = match device.name.as_str() {
        "disk" => ("target", "dev"),
        "interface" => ("mac", "address"),
        _ => return None,
    };
    Some((&device.name, device.child(child)?.attribute(attribute)?))
}

/// Attaches a device: to the domain while there is one, and for the next start; nothing where it is
/// there already. Blocks.
fn attach(connect: &Connect, uuid: Uuid, device: &Element) -> Result<(), Failure> {
    let domain = observe::find(connect, uuid)?;
    let has = |devices: &Element| devices.elements().any(|own| key(own) == key(device));
    if domain.is_active()? && !tree(&domain, 0)?.child("devices").is_some_and(has) {
        domain.attach_device_flags(&device.to_xml(), sys::VIR_DOMAIN_AFFECT_LIVE)?;
    }
    if domain.is_persistent()? {
        change_config(connect, &domain, |devices| {
            if !has(devices) {
                devices.push(device.clone());
            }
        })?;
    }
    Ok(())
}

/// The device `wanted` of an active domain, and whether it was asked to let it go. Blocks.
fn begin_detach(
    connect: &Connect,
    uuid: Uuid,
    wanted: impl Fn(&Element) -> bool,
) -> Result<(), Failure> {
    let domain = observe::find(connect, uuid)?;
    if !domain.is_active()? {
        return Ok(());
    }
    let document = tree(&domain, 0)?;
    let devices = document.child("devices");
    let device = devices.and_then(|devices| devices.elements().find(|own| wanted(own)));
    if let Some(device) = device {
        match domain.detach_device_flags(&device.to_xml(), sys::VIR_DOMAIN_AFFECT_LIVE) {
            // The guest let it go in the moment before.
            Err(error) if error.code() == ErrorNumber::DeviceMissing => {}
            result => result.map(drop)?,
        }
    }
    Ok(())
}

/// Whether an active domain still has the device `wanted`. Blocks.
fn is_attached(
    connect: &Connect,
    uuid: Uuid,
    wanted: impl Fn(&Element) -> bool,
) -> Result<bool, Failure> {
    let domain = observe::find(connect, uuid)?;
    if !domain.is_active()? {
        return Ok(false);
    }
    let document = tree(&domain, 0)?;
    Ok(document.child("devices").is_some_and(|devices| devices.elements().any(wanted)))
}

/// Detaches the device `wanted`, and returns when the guest has let it go: what is behind it is in
/// use until then.
async fn detach(
    host: &LibvirtHost,
    guest: &GuestShared,
    verb: &'static str,
    what: &str,
    wanted: impl Fn(&Element) -> bool + Clone + Send + 'static,
) -> Result<()> {
    let (uuid, object, shared) = (guest.uuid, guest.object(), &host.shared);
    let mut events = shared.connection.events();
    let own = wanted.clone();
    shared.call_surely(verb, &object, move |connect| begin_detach(connect, uuid, own)).await?;
    let (started, deadline) = (Instant::now(), shared.entry.deadlines.device);
    loop {
        let own = wanted.clone();
        match shared.call(verb, &object, move |c| is_attached(c, uuid, own)).await {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) if is_connection(&error) => {}
            Err(error) => return Err(error),
        }
        let left = deadline.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(Error::Timeout {
                waiting_for: format!("{object} to let {what} go"),
                waited: started.elapsed(),
                last_seen: "its domain still has it".to_owned(),
            });
        }
        something(&mut events, uuid, LOOK_AGAIN.min(left)).await;
    }
    let forget = move |connect: &Connect| {
        let domain = observe::find(connect, uuid)?;
        if domain.is_persistent()? {
            change_config(connect, &domain, |devices| {
                devices.remove(&wanted);
            })?;
        }
        Ok(())
    };
    shared.call_surely(verb, &object, forget).await
}

/// Makes a disk and attaches it. Nothing is left behind by an error.
pub(crate) async fn attach_disk(
    host: &LibvirtHost,
    guest: &GuestShared,
    spec: &DiskSpec,
) -> Result<()> {
    let (uuid, object, shared) = (guest.uuid, guest.object(), &host.shared);
    let view = guest.look(ATTACH_DISK).await?.view()?;
    let taken: Vec<&str> = view.disks.iter().map(|disk| disk.device.as_str()).collect();
    let folder = shared.guest_folder(uuid);
    let mut disk = disk_for(spec, &object, &taken, shared.facts.driver, &folder)?;
    let made = !matches!(spec.source, DiskSource::Existing(_));
    if !made {
        storage::set_formats(shared, ATTACH_DISK, &object, vec![&mut disk]).await?;
    }
    let mut script = Script::new();
    if made {
        script = disks::folder(script, &folder);
    }
    let deadline = shared.entry.deadlines.suspend;
    let script = disks::make(script, spec, disk.path());
    script.run(&host.dom0(), deadline, ATTACH_DISK, &object).await?;
    let device = to_element(&disk).map_err(|error| not_written("a disk", &error))?;
    let attached =
        shared.call_surely(ATTACH_DISK, &object, move |c| attach(c, uuid, &device)).await;
    match attached {
        // Where libvirt is not back, the guest may have it.
        Err(error) if made && !is_interrupted(&error) => {
            unmake(host, disk.path(), &object).await?;
            Err(error)
        }
        attached => attached,
    }
}

/// Detaches a disk, and removes what was made for it.
pub(crate) async fn detach_disk(
    host: &LibvirtHost,
    guest: &GuestShared,
    device: &str,
) -> Result<()> {
    let verb = GuestAction::DetachDisk(String::new()).verb();
    let view = guest.look(verb).await?.view()?;
    let Some(disk) = view.disks.iter().find(|disk| disk.device == device) else {
        let known = view.disks.iter().map(|disk| disk.device.clone()).collect();
        return Err(Error::NotFound { kind: "disk", name: device.to_owned(), known });
    };
    let name = device.to_owned();
    let wanted = move |own: &Element| {
        let target = own.child("target").and_then(|target| target.attribute("dev"));
        own.name == "disk" && target == Some(&name)
    };
    detach(host, guest, verb, &format!("the disk {device}"), wanted).await?;
    if disk.path.starts_with(&host.shared.guest_folder(guest.uuid)) {
        unmake(host, &disk.path, &guest.object()).await?;
    }
    Ok(())
}

async fn unmake(host: &LibvirtHost, path: &str, object: &str) -> Result<()> {
    let script = Script::new().step(format!("rm -f -- {}", q(path)));
    let deadline = host.shared.entry.deadlines.command;
    script.run(&host.dom0(), deadline, "remove a disk of", object).await.map(drop)
}

/// Attaches a VIF.
pub(crate) async fn attach_vif(
    host: &LibvirtHost,
    guest: &GuestShared,
    spec: &VifSpec,
) -> Result<()> {
    let (uuid, object, shared) = (guest.uuid, guest.object(), &host.shared);
    let view = guest.look(ATTACH_VIF).await?.view()?;
    let taken: Vec<MacAddress> = view.vifs.iter().map(|vif| vif.mac).collect();
    let vif = vif_for(spec, &object, &taken, &shared.entry)?;
    let source = shared.source(&host.dom0(), &vif.network, ATTACH_VIF, &object).await?;
    let device = Interface::on(source, vif.mac, shared.facts.driver.vif_model());
    let device = to_element(&device).map_err(|error| not_written("a VIF", &error))?;
    shared.call_surely(ATTACH_VIF, &object, move |connect| attach(connect, uuid, &device)).await
}

/// Detaches a VIF.
pub(crate) async fn detach_vif(
    host: &LibvirtHost,
    guest: &GuestShared,
    mac: MacAddress,
) -> Result<()> {
    let verb = GuestAction::DetachVif(mac).verb();
    let view = guest.look(verb).await?.view()?;
    if view.vifs.iter().all(|vif| vif.mac != mac) {
        let known = view.vifs.iter().map(|vif| vif.mac.to_string()).collect();
        return Err(Error::NotFound { kind: "VIF", name: mac.to_string(), known });
    }
    let wanted = move |own: &Element| {
        let address = own.child("mac").and_then(|own| own.attribute("address"));
        let same = address.and_then(|own| own.parse().ok()) == Some(mac);
        own.name == "interface" && same
    };
    detach(host, guest, verb, &format!("the VIF {mac}"), wanted).await
}
