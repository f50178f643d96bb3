//! The XML of a domain, as far as this library makes or reads it
//! (<https://libvirt.org/formatdomain.html>).

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xenrt_core::model::{MacAddress, Memory};

use super::{Element, XmlError};

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "domain")]
pub struct Domain {
    /// Under what it runs.
    #[serde(rename = "@type")]
    pub kind: DomainKind,
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uuid: Uuid,
    /// The most memory that it can have.
    pub memory: Quantity,
    /// The memory that it has or should have; as much as `memory` where it is not said.
    #[serde(rename = "currentMemory", skip_serializing_if = "Option::is_none")]
    pub current_memory: Option<Quantity>,
    /// Its vCPUs.
    pub vcpu: Vcpu,
    /// What it boots.
    pub os: Os,
    /// What its machine has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
    /// What happens when it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_poweroff: Option<String>,
    /// What happens when it reboots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_reboot: Option<String>,
    /// What happens when it crashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_crash: Option<String>,
    /// Its devices.
    #[serde(default)]
    pub devices: Devices,
}

/// Under what a domain runs (the attribute `type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainKind {
    /// QEMU with hardware support.
    Kvm,
    /// QEMU without.
    Qemu,
    /// Xen.
    Xen,
    /// libvirt's own driver for tests, under which nothing runs.
    Test,
    /// One that this library does not know.
    #[serde(other)]
    Other,
}

/// An amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantity {
    /// The unit; KiB where it is not said.
    #[serde(rename = "@unit", skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How many of them.
    #[serde(rename = "$text")]
    pub amount: u64,
}

impl Quantity {
    /// So much, in KiB.
    pub fn kib(memory: Memory) -> Self {
        Self { unit: Some("KiB".to_owned()), amount: memory.as_kib() }
    }

    /// How much it is. libvirt writes KiB whatever it was given; a document of somebody else's may
    /// have the other units of <https://libvirt.org/formatdomain.html#memory-allocation>.
    ///
    /// # Errors
    /// For a unit that there is not, and an amount beyond 2⁶⁴ bytes.
    pub fn memory(&self) -> Result<Memory, XmlError> {
        let unit = self.unit.as_deref().unwrap_or("KiB");
        let bytes = match unit {
            "b" | "bytes" => 1,
            "KB" => 1_000,
            "k" | "KiB" => 1 << 10,
            "MB" => 1_000_000,
            "M" | "MiB" => 1 << 20,
            "GB" => 1_000_000_000,
            "G" | "GiB" => 1 << 30,
            "TB" => 1_000_000_000_000,
            "T" | "TiB" => 1 << 40,
            _ => return Err(XmlError::Unexpected(format!("the unit {unit:?} of memory"))),
        };
        let total = self.amount.checked_mul(bytes);
        total.map(Memory::bytes).ok_or_else(|| {
            XmlError::Unexpected(format!("{} {unit}, more than there can be", self.amount))
        })
    }
}

/// The vCPUs of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vcpu {
    /// How many it uses; all where it is not said.
    #[serde(rename = "@current", skip_serializing_if = "Option::is_none")]
    pub current: Option<u32>,
    /// The most that it can use.
    #[serde(rename = "$text")]
    pub most: u32,
}

/// What a domain boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// The firmware that libvirt is to choose: `efi`.
    #[serde(rename = "@firmware", skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// How it is virtualised.
    #[serde(rename = "type")]
    pub os_type: OsType,
    /// A kernel that is loaded for it, a file of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The initial ramdisk with that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrd: Option<String>,
    /// The command line of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// The devices that firmware looks at, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<BootDevice>,
}

/// How a domain is virtualised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsType {
    /// The architecture: `x86_64`.
    #[serde(rename = "@arch", skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// The machine: `q35`.
    #[serde(rename = "@machine", skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// `hvm`, or for Xen also `linux` or `xen` (PV) and `xenpvh`.
    #[serde(rename = "$text")]
    pub name: String,
}

/// A device that firmware looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootDevice {
    /// `hd`, `cdrom`, `network`.
    #[serde(rename = "@dev")]
    pub dev: String,
}

/// What a machine has, each one where its element is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// ACPI, without which a guest cannot be asked to shut down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acpi: Option<Present>,
    /// An APIC, without which a guest has one vCPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apic: Option<Present>,
}

/// An element that says all by being there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {}

/// The devices of a domain that this library has to do with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Devices {
    /// The program that emulates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulator: Option<String>,
    /// Its disks and drives.
    #[serde(rename = "disk", skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// Its network interfaces.
    #[serde(rename = "interface", skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    /// Its serial ports.
    #[serde(rename = "serial", skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<Serial>,
    /// Its consoles.
    #[serde(rename = "console", skip_serializing_if = "Vec::is_empty")]
    pub consoles: Vec<Serial>,
}

/// A disk or a drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "disk")]
pub struct Disk {
    /// `file`, `block`, `network`, `volume`, ...
    #[serde(rename = "@type")]
    pub kind: String,
    /// `disk`, `cdrom`, ...; a disk where it is not said.
    #[serde(rename = "@device", skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// How its bytes are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// Where its bytes are; nowhere for an empty drive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What the guest sees.
    pub target: Target,
    /// There when the guest may only read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly: Option<Present>,
}

impl Disk {
    /// The file or block device behind it; empty for an empty drive and for what is neither.
    pub fn path(&self) -> &str {
        let source = self.source.as_ref();
        source.and_then(|own| own.file.as_deref().or(own.dev.as_deref())).unwrap_or_default()
    }

    /// Whether the guest may only read it; of drives for discs it is so by nature.
    pub fn is_read_only(&self) -> bool {
        self.readonly.is_some() || self.device.as_deref() == Some("cdrom")
    }
}

/// How the bytes of a disk are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// `qemu`, `phy`, ...
    #[serde(rename = "@name", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `raw`, `qcow2`, ...
    #[serde(rename = "@type", skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// Where something of the host is that a device is connected to: one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// A file.
    #[serde(rename = "@file", skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A block device, or a network interface.
    #[serde(rename = "@dev", skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    /// A network of libvirt's.
    #[serde(rename = "@network", skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// A bridge.
    #[serde(rename = "@bridge", skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
}

/// How a guest sees a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The device name: `vda`.
    #[serde(rename = "@dev")]
    pub dev: String,
    /// What it is connected by.
    #[serde(rename = "@bus", skip_serializing_if = "Option::is_none")]
    pub bus: Option<Bus>,
}

/// What a disk is connected by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// virtio-blk.
    Virtio,
    /// Xen's own block device.
    Xen,
    /// IDE.
    Ide,
    /// SATA.
    Sata,
    /// SCSI.
    Scsi,
    /// One that this library does not make.
    #[serde(other)]
    Other,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "interface")]
pub struct Interface {
    /// `network`, `bridge`, `user`, ...
    #[serde(rename = "@type")]
    pub kind: String,
    /// Its hardware address.
    pub mac: Mac,
    /// What it is connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Which device the guest sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// The interface of the host behind it; of a domain that is there, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Backend>,
}

/// The interface of the host behind an [`Interface`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Its name: `vnet0`, `vif3.0`.
    #[serde(rename = "@dev")]
    pub dev: String,
}

impl Interface {
    /// An interface on a network of libvirt's or on a bridge; one that QEMU itself connects
    /// (`user`) where `source` names neither.
    pub fn on(source: Source, mac: MacAddress, model: Option<&str>) -> Self {
        let kind = match (&source.network, &source.bridge) {
            (Some(_), _) => "network",
            (None, Some(_)) => "bridge",
            (None, None) => "user",
        };
        let model = model.map(|name| Model { name: name.to_owned() });
        Self {
            kind: kind.to_owned(),
            mac: Mac { address: mac.to_string() },
            source: Some(source).filter(|source| *source != Source::default()),
            model,
            target: None,
        }
    }

    /// Its hardware address.
    ///
    /// # Errors
    /// When it is none.
    pub fn mac(&self) -> Result<MacAddress, XmlError> {
        let wrong = |_| XmlError::Unexpected(format!("the address {:?}", self.mac.address));
        self.mac.address.parse().map_err(wrong)
    }

    /// The name of what it is connected to: a network, a bridge, an interface of the host, or the
    /// kind of it where that has no name (`user`).
    pub fn network(&self) -> &str {
        let source = self.source.as_ref();
        let name = source.and_then(|source| {
            source.network.as_deref().or(source.bridge.as_deref()).or(source.dev.as_deref())
        });
        name.unwrap_or(&self.kind)
    }
}

/// A hardware address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mac {
    /// The address.
    #[serde(rename = "@address")]
    pub address: String,
}

/// Which device a guest sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its name: `virtio`, `netfront`.
    #[serde(rename = "@type")]
    pub name: String,
}

/// A serial port or a console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serial {
    /// `pty`, `file`, ...
    #[serde(rename = "@type")]
    pub kind: String,
    /// The file that all of it is also written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogFile>,
}

/// The file that what a serial port says is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// The file.
    #[serde(rename = "@file")]
    pub file: String,
    /// `on` where it goes on with a new start.
    #[serde(rename = "@append", skip_serializing_if = "Option::is_none")]
    pub append: Option<String>,
}

impl Domain {
    /// Reads what this library knows of a document.
    ///
    /// # Errors
    /// When it is no domain.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        quick_xml::de::from_str(text).map_err(|error| XmlError::Unexpected(error.to_string()))
    }

    /// As a tree, to which more can be added.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_element(&self) -> Result<Element, XmlError> {
        to_element(self)
    }

    /// The memory that it has or should have.
    ///
    /// # Errors
    /// As [`Quantity::memory`].
    pub fn current_memory(&self) -> Result<Memory, XmlError> {
        self.current_memory.as_ref().unwrap_or(&self.memory).memory()
    }
}

/// The tree of something that is a document by itself.
pub(crate) fn to_element<T: Serialize>(value: &T) -> Result<Element, XmlError> {
    let text = quick_xml::se::to_string(value);
    Element::parse(&text.map_err(|error| XmlError::Unexpected(error.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = include_str!("../../tests/data/odd-domain.xml");

    #[test]
    fn what_is_known_of_a_foreign_domain_is_read() {
        let domain = Domain::parse(ODD).unwrap();
        assert_eq!(domain.name, "it's <odd> & größe");
        assert_eq!((domain.vcpu.current, domain.vcpu.most), (Some(1), 4));
        assert_eq!(domain.current_memory().unwrap(), Memory::mib(256));
        let disks: Vec<_> =
            domain.devices.disks.iter().map(|d| (d.path(), d.is_read_only())).collect();
        insta::assert_debug_snapshot!((disks, &domain.devices.interfaces, &domain.os));
    }

    #[test]
    fn amounts_of_memory_are_read_in_every_unit() {
        let of = |unit: Option<&str>, amount| {
            Quantity { unit: unit.map(str::to_owned), amount }.memory()
        };
        assert_eq!(of(None, 1024).unwrap(), Memory::mib(1));
        assert_eq!(of(Some("GiB"), 2).unwrap(), Memory::gib(2));
        assert_eq!(of(Some("MB"), 1).unwrap(), Memory::bytes(1_000_000));
        assert!(of(Some("parsec"), 1).is_err() && of(Some("TiB"), u64::MAX).is_err());
    }

    #[test]
    fn names_keep_their_outer_spaces() {
        let mut domain = Domain::parse(ODD).unwrap();
        domain.name = " a  b ".to_owned();
        let tree = Element::parse(&domain.to_element().unwrap().to_xml()).unwrap();
        assert_eq!(tree.child("name").unwrap().text(), " a  b ");
    }
}
