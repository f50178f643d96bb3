//! Devices of disks and where their bytes come from.

use uuid::Uuid;
use xenrt_core::model::{DiskSource, DiskSpec};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::error;
use crate::xe::{Xe, XeCommand};

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
pub(crate) async fn make(
    xe: &Xe,
    spec: &DiskSpec,
    sr: Option<Uuid>,
    object: &str,
) -> Result<(Uuid, bool)> {
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
    let token = crate::define::new_token();
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
            let copy = XeCommand::new("vdi-copy")
                .uuid(vdi(source)?)
                .maybe("sr-uuid", sr.map(|uuid| uuid.to_string()));
            xe.create(&copy).await
        }
        DiskSource::Existing(source) => return Ok((vdi(source)?, false)),
    };
    Ok((made.map_err(|error| error.during("make a disk for", object))?, true))
}

/// Attaches a disk to a VM at this device number.
pub(crate) fn vbd_create(vm: Uuid, vdi: Uuid, number: u32, read_only: bool) -> XeCommand {
    XeCommand::new("vbd-create")
        .param("vm-uuid", vm.to_string())
        .param("vdi-uuid", vdi.to_string())
        .param("device", number.to_string())
        .param("type", "Disk")
        .param("mode", if read_only { "RO" } else { "RW" })
        .param("bootable", if number == 0 { "true" } else { "false" })
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
