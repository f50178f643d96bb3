//! Devices of disks and where their bytes come from.

use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;
use xenrt_core::model::{DiskSource, DiskSpec};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::observe::{KEEP, Vbd};
use crate::xe::{self, Chain, Xe, XeCommand, XeError};
use crate::{error, parse, tokens};

/// The device of a number, as a guest names it: `xvda` is 0.
pub(crate) fn device_name(number: u32) -> String {
    let letter = |number: u32| char::from(b'a' + u8::try_from(number % 26).unwrap_or(0));
    match number / 26 {
        0 => format!("xvd{}", letter(number)),
        before => format!("xvd{}{}", letter(before - 1), letter(number)),
    }
}

/// The number of a device: `xvda`, `sda`, `hda` and `vda` are 0.
///
/// # Errors
/// [`Error::Invalid`] for anything else.
pub(crate) fn device_number(device: &str) -> Result<u32> {
    let wrong = || Error::invalid(format!("device {device:?}"), "expected a name such as \"xvdb\"");
    let letters = ["xvd", "sd", "hd", "vd"]
        .iter()
        .find_map(|prefix| device.strip_prefix(prefix))
        .filter(|rest| (1..=2).contains(&rest.len()))
        .ok_or_else(wrong)?;
    let mut number = 0;
    for letter in letters.bytes() {
        if !letter.is_ascii_lowercase() {
            return Err(wrong());
        }
        number = number * 26 + u32::from(letter - b'a') + 1;
    }
    Ok(number - 1)
}

/// The disk of a specification, and whether it is made for the guest.
///
/// A [new](DiskSource::New) one is made on the storage `sr`; a [copy](DiskSource::CopyOf) is one of
/// the VDI with that UUID; an [existing](DiskSource::Existing) one is the VDI with that UUID.
///
/// # Errors
/// A refusal of kind `MissingFile` where a source is no UUID; what xapi refuses.
async fn make(xe: &Xe, spec: &DiskSpec, sr: Option<Uuid>, object: &str) -> Result<(Uuid, bool)> {
    let vdi = |text: &str| {
        text.parse::<Uuid>().map_err(|_| {
            let what = "on xapi one is named by the UUID of its VDI";
            if !text.starts_with('/') {
                return Error::invalid(format!("disk {text:?}"), what);
            }
            let message = format!("there is no disk {text:?}; {what}");
            error::refusal(ToolstackErrorKind::MissingFile, "make a disk for", object, message)
        })
    };
    // A name that nobody else has: if the connection breaks, it tells whether the disk was made.
    let token = tokens::new_token();
    let find = XeCommand::new("vdi-list").param("name-label", token.as_str()).minimal();
    let made = match &spec.source {
        DiskSource::New(size) => {
            let sr = sr.ok_or_else(|| {
                Error::invalid(object, "the pool has no default storage for its new disks")
            })?;
            let create = XeCommand::new("vdi-create")
                .param("sr-uuid", sr.to_string())
                .param("name-label", token)
                .param("type", "user")
                .param("virtual-size", size.as_bytes().to_string());
            xe.create_once(&create, &find).await
        }
        DiskSource::CopyOf(source) => {
            let source = vdi(source)?;
            // Without a storage no release makes a copy: it goes beside the original then.
            let sr = match sr {
                Some(sr) => sr.to_string(),
                None => {
                    let own = xe.get("vdi", source, "sr-uuid").await;
                    let own = own.map_err(|error| error.during("make a disk for", object))?;
                    own.unwrap_or_default()
                }
            };
            xe.create(&XeCommand::new("vdi-copy").uuid(source).param("sr-uuid", sr)).await
        }
        DiskSource::Existing(source) => return Ok((vdi(source)?, false)),
    };
    Ok((made.map_err(|error| error.during("make a disk for", object))?, true))
}

/// Attaches a disk to a VM at this device number.
fn vbd_create(vm: Uuid, vdi: Uuid, number: u32, read_only: bool) -> XeCommand {
    XeCommand::new("vbd-create")
        .param("vm-uuid", vm.to_string())
        .param("vdi-uuid", vdi.to_string())
        .param("device", number.to_string())
        .param("type", "Disk")
        .param("mode", if read_only { "RO" } else { "RW" })
        .param("bootable", if number == 0 { "true" } else { "false" })
}

/// The key in `other-config` of a VBD whose disk goes with the VM: `vm-uninstall` and
/// `snapshot-uninstall` leave every other one. `vbd-create` does not set it, while `vm-install`,
/// clones and snapshots do (`vm_uninstall_common` in xapi's cli_operations.ml, `clone` in
/// xapi_vm_clone.ml).
const OWNER: &str = "owner";

/// Makes the disk of `spec` and attaches it to a VM with these VBDs. It goes with the VM where it was
/// made for it. Where it cannot be attached, what was made is removed. Two remote commands.
pub(crate) async fn add(
    xe: &Xe,
    vm: Uuid,
    spec: &DiskSpec,
    vbds: &[Vbd],
    sr: Option<Uuid>,
    object: &str,
) -> Result<Vbd> {
    let taken = |number: u32| vbds.iter().any(|vbd| vbd.device == device_name(number));
    let number = match &spec.device {
        Some(device) => device_number(device)?,
        None => (0..16)
            .find(|number| !taken(*number))
            .ok_or_else(|| Error::invalid(object, "it has 16 disks already"))?,
    };
    let device = device_name(number);
    if taken(number) {
        return Err(Error::invalid(object, format!("it has a device {device} already")));
    }
    let (vdi, made) = make(xe, spec, sr, object).await?;
    match attach(xe, vm, vdi, number, spec.read_only, made).await {
        Ok(uuid) => Ok(Vbd {
            uuid,
            is_disk: true,
            device,
            vdi: Some(vdi),
            read_only: spec.read_only,
            attached: false,
            keep: !made,
        }),
        Err(error) => {
            let destroy = XeCommand::new("vdi-destroy").uuid(vdi);
            if made && let Err(undo) = xe.repeat(&destroy, XeError::is_missing_object).await {
                let message = format!("{error}; its disk {vdi} could not be removed: {undo}");
                return Err(error::refusal(error.kind(), "attach a disk to", object, message));
            }
            Err(error.during("attach a disk to", object))
        }
    }
}

/// Attaches a disk, and says whether it goes with the VM: unmarked, one that was made for it would
/// stay, and one that was there before could not be told from it. One remote command of two calls.
async fn attach(
    xe: &Xe,
    vm: Uuid,
    vdi: Uuid,
    number: u32,
    read_only: bool,
    made: bool,
) -> xe::Result<Uuid> {
    let create = vbd_create(vm, vdi, number, read_only);
    let key = format!("other-config:{}", if made { OWNER } else { KEEP });
    let mark = XeCommand::new("vbd-param-set").made("uuid").param(key, "true");
    let find = XeCommand::new("vbd-list")
        .param("vm-uuid", vm.to_string())
        .param("vdi-uuid", vdi.to_string())
        .minimal();
    let (lost, finds) = (&AtomicBool::new(false), std::slice::from_ref(&find));
    let within = xe.time_for(&create) + xe.time_for(&mark);
    let (create, mark) = (&create, &mark);
    let attached = xe
        .until_told(within, |left| async move {
            let there =
                if lost.load(Ordering::Relaxed) { xe.settled(finds, left).await? } else { None };
            if let Some(uuid) = there {
                // Whether it is marked, nobody knows. Marking it twice is the same.
                xe.run(&mark.with_made(uuid)).await?;
                return Ok(uuid);
            }
            let Chain { outputs, error } =
                xe.run_chain(&[create.clone().kept(), mark.clone()]).await;
            match (outputs.first(), error) {
                (Some(printed), None) => Ok(parse::created(printed)?),
                (None, None) => {
                    let message = "xe printed nothing for a new VBD".to_owned();
                    Err(XeError::Other { message })
                }
                (made, Some(error)) => {
                    // It is there, or may be.
                    let there = made.is_some() || error.is_ambiguous();
                    lost.fetch_or(there, Ordering::Relaxed);
                    Err(error)
                }
            }
        })
        .await;
    if attached.is_err()
        && lost.load(Ordering::Relaxed)
        && let Some(uuid) = xe.found(finds).await?
    {
        xe.repeat(&XeCommand::new("vbd-destroy").uuid(uuid), XeError::is_missing_object).await?;
    }
    attached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_numbers_belong_together() {
        for number in 0..256 {
            assert_eq!(device_number(&device_name(number)).unwrap(), number);
        }
        assert_eq!((device_number("sdb").unwrap(), device_number("vda").unwrap()), (1, 0));
        for wrong in ["", "xvd", "xvdA", "xvd1", "nvme0n1", "xvdabc"] {
            assert!(device_number(wrong).is_err(), "{wrong}");
        }
    }
}
