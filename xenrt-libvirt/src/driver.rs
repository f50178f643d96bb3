//! Which of libvirt's drivers a connection has, and what is particular to each.

use virt::connect::Connect;
use xenrt_core::Error;
use xenrt_core::model::{Abilities, Ability, GuestKind, XenConsoles};

use crate::connection::Failure;
use crate::error::{TOOLSTACK, not_understood};
use crate::xml::{Bus, DomainKind, Element};

/// Why guests of the driver for tests cannot be logged into.
pub(crate) const NOTHING_RUNS: &str =
    "libvirt's test driver pretends to run guests: none of their code is carried out";

/// One of libvirt's drivers that this library knows (virConnectGetType).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// `test:///default`: everything in the memory of this process.
    Test,
    /// QEMU, with or without KVM.
    Qemu,
    /// Xen, through libxl.
    Xen,
}

/// What is found out about a host once.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) driver: Driver,
    /// The type that new domains have.
    pub(crate) domain_kind: DomainKind,
    /// The architecture of new domains.
    pub(crate) arch: Option<String>,
    /// What the host can run: `hvm-x86_64-kvm`.
    pub(crate) capabilities: Vec<String>,
    /// Where Xen records the consoles of guests, if it does. libvirt does not tell it.
    pub(crate) consoles: Option<XenConsoles>,
}

impl Facts {
    /// Asks for them. `wanted` is what QEMU is to run guests by, where the lab says it. Blocks.
    pub(crate) fn read(connect: &Connect, wanted: Option<DomainKind>) -> Result<Self, Failure> {
        let name = connect.get_type()?;
        let driver = match name.to_ascii_lowercase().as_str() {
            "test" => Driver::Test,
            "qemu" => Driver::Qemu,
            "xen" => Driver::Xen,
            _ => {
                let message = format!(
                    "libvirt's driver {name} is not known to this library; it knows QEMU, Xen and TEST"
                );
                return Err(Error::lab(message).into());
            }
        };
        let text = connect.get_capabilities()?;
        let capabilities = Element::parse(&text)
            .map_err(|error| not_understood("the capabilities of the host", &error))?;
        let guests: Vec<_> = capabilities.elements().filter(|own| own.name == "guest").collect();
        let mut known = Vec::new();
        for guest in guests {
            let os = guest.child("os_type").map(Element::text).unwrap_or_default();
            for arch in guest.elements().filter(|own| own.name == "arch") {
                let arch_name = arch.attribute("name").unwrap_or_default();
                for domain in arch.elements().filter(|own| own.name == "domain") {
                    let kind = domain.attribute("type").unwrap_or_default();
                    known.push(format!("{os}-{arch_name}-{kind}"));
                }
            }
        }
        let host_arch = capabilities
            .child("host")
            .and_then(|host| host.child("cpu")?.child("arch").map(Element::text));
        let native = host_arch.as_deref().unwrap_or("x86_64");
        let domain_kind = match driver {
            Driver::Test => DomainKind::Test,
            Driver::Xen => DomainKind::Xen,
            Driver::Qemu => wanted.unwrap_or_else(|| {
                let kvm = known.contains(&format!("hvm-{native}-kvm"));
                if kvm { DomainKind::Kvm } else { DomainKind::Qemu }
            }),
        };
        let arch = if driver == Driver::Qemu { host_arch } else { None };
        Ok(Self { driver, domain_kind, arch, capabilities: known, consoles: None })
    }

    /// What guests can be and do there.
    pub(crate) fn abilities(&self) -> Abilities {
        let mut abilities = Abilities::of(Ability::ALL);
        let runs = |os: &str| self.capabilities.iter().any(|own| own.starts_with(os));
        match self.driver {
            Driver::Test => {
                for kind in [Ability::Pv, Ability::Pvh, Ability::Hvm] {
                    abilities.remove(kind, NOTHING_RUNS);
                }
                let attach = "libvirt's test driver lacks virDomainAttachDeviceFlags";
                abilities.remove(Ability::DiskHotplug, attach);
                abilities.remove(Ability::VifHotplug, attach);
                abilities.remove(Ability::ConsoleLog, NOTHING_RUNS);
                let migrate = "libvirt's test driver lacks virDomainMigratePerform";
                abilities.remove(Ability::LiveMigration, migrate);
            }
            Driver::Qemu => {
                abilities.remove(Ability::Pv, "QEMU runs no Xen guests");
                abilities.remove(Ability::Pvh, "QEMU runs no Xen guests");
                if !runs("hvm-") {
                    abilities.remove(Ability::Hvm, "libvirt found no emulator for it");
                }
            }
            Driver::Xen => {
                if !runs("xen-") && !runs("linux-") {
                    abilities.remove(Ability::Pv, "this Xen runs no PV guests");
                }
                let no_hvm = "the processor offers Xen no hardware virtualisation";
                if !runs("xenpvh-") {
                    abilities.remove(Ability::Pvh, no_hvm);
                }
                if !runs("hvm-") {
                    abilities.remove(Ability::Hvm, no_hvm);
                }
                let snapshots = "libvirt's Xen driver lacks virDomainSnapshotCreateXML";
                abilities.remove(Ability::Snapshots, snapshots);
                // libvirt's Xen driver keeps no record; Xen does.
                if self.consoles.is_none() {
                    abilities.remove(Ability::ConsoleLog, XenConsoles::ABSENT);
                }
            }
        }
        let rename = "libvirt renames domains only while they are inactive (virDomainRename)";
        abilities.remove(Ability::RenameRunning, rename);
        abilities.remove(Ability::Pool, "libvirt manages one host");
        let storage = "guests' disks are in the work folder of the lab, in no pool of libvirt";
        abilities.remove(Ability::Storage, storage);
        abilities.remove(Ability::Templates, "libvirt has none");
        let interfaces = "network interfaces are those of the host's distribution, not libvirt's";
        abilities.remove(Ability::Interfaces, interfaces);
        abilities
    }
}

impl Driver {
    /// What libvirt calls a kind of virtualisation (`os/type`).
    pub(crate) fn os_type(self, kind: GuestKind) -> &'static str {
        match (self, kind) {
            (Self::Xen, GuestKind::Pv) => "linux",
            (Self::Xen, GuestKind::Pvh) => "xenpvh",
            _ => "hvm",
        }
    }

    /// What the device names of disks begin with where none is asked for.
    pub(crate) fn disk_prefix(self) -> &'static str {
        match self {
            Self::Xen => "xvd",
            Self::Qemu | Self::Test => "vd",
        }
    }

    /// How a disk of this name is connected: what stands before its letters tells it.
    ///
    /// # Errors
    /// With what would be right, for names that guests of this driver do not have.
    pub(crate) fn bus(self, device: &str) -> Result<Bus, String> {
        let prefixes: &[(&str, Bus)] = match self {
            Self::Xen => &[("xvd", Bus::Xen), ("hd", Bus::Ide), ("sd", Bus::Scsi)],
            Self::Qemu => &[("vd", Bus::Virtio), ("hd", Bus::Ide), ("sd", Bus::Scsi)],
            Self::Test => {
                &[("xvd", Bus::Xen), ("vd", Bus::Virtio), ("hd", Bus::Ide), ("sd", Bus::Scsi)]
            }
        };
        let letters = |rest: &str| {
            (1..=2).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_lowercase())
        };
        let found =
            prefixes.iter().find(|(prefix, _)| device.strip_prefix(prefix).is_some_and(letters));
        found.map(|(_, bus)| *bus).ok_or_else(|| {
            let names: Vec<String> =
                prefixes.iter().map(|(prefix, _)| format!("{prefix}a")).collect();
            format!(
                "{device:?} is not a device name that there can be; use {}, ...",
                names.join(", ")
            )
        })
    }

    /// The device that guests see as a VIF, where libvirt does not choose it.
    pub(crate) fn vif_model(self) -> Option<&'static str> {
        match self {
            Self::Qemu => Some("virtio"),
            Self::Xen | Self::Test => None,
        }
    }

    /// The error for what needs a guest that really runs; nothing where guests do.
    pub(crate) fn require_running_code(self) -> Result<(), Error> {
        match self {
            Self::Test => Err(Error::Unsupported {
                toolstack: TOOLSTACK.to_owned(),
                ability: Ability::Hvm,
                reason: Some(NOTHING_RUNS.to_owned()),
            }),
            Self::Qemu | Self::Xen => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_tell_how_a_disk_is_connected() {
        assert_eq!(Driver::Xen.bus("xvda"), Ok(Bus::Xen));
        assert_eq!(Driver::Qemu.bus("vdab"), Ok(Bus::Virtio));
        for name in ["xvda", "../x", "vd", "vda1", "VDA", "vdabc"] {
            let problem = Driver::Qemu.bus(name).unwrap_err();
            assert!(problem.contains("vda"), "{problem}");
        }
    }
}
