//! What a guest, disk, VIF or network should be before it exists.

use std::net::IpAddr;

use super::{Abilities, Ability, Host, MacAddress, Memory};
use crate::lab::GuestImage;
use crate::{Error, Result};

/// How a guest is virtualised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestKind {
    /// Paravirtualised, no hardware support needed (Xen).
    Pv,
    /// Hardware virtualisation without emulated devices (Xen).
    Pvh,
    /// Hardware virtualisation with emulated devices (Xen, KVM); without KVM also plain emulation.
    Hvm,
}

impl GuestKind {
    /// What a host must be able to do to run guests of this kind.
    pub fn ability(self) -> Ability {
        match self {
            Self::Pv => Ability::Pv,
            Self::Pvh => Ability::Pvh,
            Self::Hvm => Ability::Hvm,
        }
    }
}

/// How a guest finds its kernel.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boot {
    /// The toolstack loads the kernel. Paths are paths on the host.
    Kernel {
        /// The kernel image.
        kernel: String,
        /// The initial ramdisk, where there is one.
        ramdisk: Option<String>,
        /// The kernel's command line.
        command_line: String,
    },
    /// Firmware (a BIOS) or a boot loader reads the first disk.
    Disk,
    /// UEFI firmware reads the first disk. Only guests of kind [`Hvm`](GuestKind::Hvm) have one.
    Uefi,
}

/// What the disks of a guest that is made of an image begin with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GuestBase {
    /// The disk of the image, where it has one: each guest gets a private copy of it.
    #[default]
    Image,
    /// Nothing: those of the specification are all that it has.
    Disks,
    /// Those of this template of the toolstack, by its name (ability
    /// [`Templates`](Ability::Templates)).
    Template(String),
}

/// What a toolstack does when the guest crashes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum CrashAction {
    /// Keep the domain for a look at it. The default: a crash in a test is evidence.
    #[default]
    Preserve,
    /// Remove the domain.
    Destroy,
    /// Start the guest again.
    Restart,
}

/// A guest to be created. Build it with the methods named like its fields.
///
/// ```
/// use xenrt_core::model::{GuestSpec, Memory, VifSpec};
/// let spec = GuestSpec::new("web").memory(Memory::mib(256)).vcpus(2).vif(VifSpec::on("xenbr0"));
/// assert_eq!(spec.max_vcpus, 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestSpec {
    /// The name, unique on its host.
    pub name: String,
    /// How it is virtualised; `None` lets the host choose the first kind that the image allows.
    pub kind: Option<GuestKind>,
    /// The name of the image in the host's catalogue that it is made from. Where set, what the
    /// image says about kernel, disks and memory is used for whatever is not set here.
    pub image: Option<String>,
    /// What its disks begin with.
    pub base: GuestBase,
    /// The storage, by its name or id, on which new disks are made (ability
    /// [`Storage`](Ability::Storage)); `None` leaves it to the host.
    pub storage: Option<String>,
    /// How it boots; `None` takes it from the image.
    pub boot: Option<Boot>,
    /// More words for the kernel's command line.
    pub extra_command_line: String,
    /// Memory at start; zero takes the image's.
    pub memory: Memory,
    /// The most memory that it can be given while it runs; never below `memory`.
    pub max_memory: Memory,
    /// vCPUs at start.
    pub vcpus: u32,
    /// The most vCPUs that it can be given while it runs; never below `vcpus`.
    pub max_vcpus: u32,
    /// Its disks, in order.
    pub disks: Vec<DiskSpec>,
    /// Its network interfaces, in order.
    pub vifs: Vec<VifSpec>,
    /// A fixed address for the first VIF; `None` takes one from the host's pool, if there is one.
    pub address: Option<IpAddr>,
    /// What happens when it crashes.
    pub on_crash: CrashAction,
}

impl GuestSpec {
    /// A guest with one vCPU, the image's memory, no disks and no VIFs.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: None,
            image: None,
            base: GuestBase::Image,
            storage: None,
            boot: None,
            extra_command_line: String::new(),
            memory: Memory::default(),
            max_memory: Memory::default(),
            vcpus: 1,
            max_vcpus: 1,
            disks: Vec::new(),
            vifs: Vec::new(),
            address: None,
            on_crash: CrashAction::default(),
        }
    }

    /// Sets the kind of virtualisation.
    #[must_use]
    pub fn kind(mut self, kind: GuestKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Makes it from this image of the host's catalogue.
    #[must_use]
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// Sets what its disks begin with.
    #[must_use]
    pub fn base(mut self, base: GuestBase) -> Self {
        self.base = base;
        self
    }

    /// Sets the storage on which new disks are made.
    #[must_use]
    pub fn storage(mut self, name: impl Into<String>) -> Self {
        self.storage = Some(name.into());
        self
    }

    /// Sets how it boots.
    #[must_use]
    pub fn boot(mut self, boot: Boot) -> Self {
        self.boot = Some(boot);
        self
    }

    /// Adds words to the kernel's command line.
    #[must_use]
    pub fn extra_command_line(mut self, words: impl Into<String>) -> Self {
        self.extra_command_line = words.into();
        self
    }

    /// Sets the memory at start, and raises the maximum to it.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self.max_memory = self.max_memory.max(memory);
        self
    }

    /// Sets the most memory.
    #[must_use]
    pub fn max_memory(mut self, memory: Memory) -> Self {
        self.max_memory = memory.max(self.memory);
        self
    }

    /// Sets the vCPUs at start, and raises the maximum to them.
    #[must_use]
    pub fn vcpus(mut self, vcpus: u32) -> Self {
        self.vcpus = vcpus;
        self.max_vcpus = self.max_vcpus.max(vcpus);
        self
    }

    /// Sets the most vCPUs.
    #[must_use]
    pub fn max_vcpus(mut self, vcpus: u32) -> Self {
        self.max_vcpus = vcpus.max(self.vcpus);
        self
    }

    /// Adds a disk.
    #[must_use]
    pub fn disk(mut self, disk: DiskSpec) -> Self {
        self.disks.push(disk);
        self
    }

    /// Adds a network interface.
    #[must_use]
    pub fn vif(mut self, vif: VifSpec) -> Self {
        self.vifs.push(vif);
        self
    }

    /// Fixes the address of the first VIF.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Sets what happens when it crashes.
    #[must_use]
    pub fn on_crash(mut self, action: CrashAction) -> Self {
        self.on_crash = action;
        self
    }

    /// The disk that `image`, of which the guest is made, gives it.
    pub fn image_disk(&self, image: Option<&GuestImage>) -> Option<DiskSpec> {
        let disk = image.and_then(|image| image.disk.as_deref());
        disk.filter(|_| self.base == GuestBase::Image).map(DiskSpec::copy_of)
    }

    /// Refuses what takes an ability that a host lacks, for a back end that lacks them always.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a template or a storage.
    pub fn require_abilities(&self, toolstack: &str, abilities: &Abilities) -> Result<()> {
        if matches!(self.base, GuestBase::Template(_)) {
            abilities.require(toolstack, Ability::Templates)?;
        }
        match self.storage {
            Some(_) => abilities.require(toolstack, Ability::Storage),
            None => Ok(()),
        }
    }

    /// Refuses what no toolstack can carry out.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is empty, longer than 255 bytes or holds a control
    /// character or `/` (it becomes part of file names), and for a guest without vCPUs.
    pub fn validate(&self) -> Result<()> {
        validate_guest_name(&self.name)?;
        if self.vcpus == 0 {
            return Err(Error::invalid(
                format!("guest {:?}", self.name),
                "it needs at least one vCPU",
            ));
        }
        if self.boot == Some(Boot::Uefi) && self.wanted_kind() != Some(GuestKind::Hvm) {
            let problem = "only guests of kind hvm have UEFI firmware";
            return Err(Error::invalid(format!("guest {:?}", self.name), problem));
        }
        Ok(())
    }

    /// How it must be virtualised: as it says itself, and as the way that it boots leaves open.
    pub fn wanted_kind(&self) -> Option<GuestKind> {
        self.kind.or((self.boot == Some(Boot::Uefi)).then_some(GuestKind::Hvm))
    }
}

/// Refuses a name that a guest of `host` cannot have: what no guest can be called, and what is
/// longer than [the host keeps](Host::longest_guest_name). For back ends, before they define.
///
/// # Errors
/// [`Error::Invalid`].
pub fn validate_guest_name_on(host: &dyn Host, name: &str) -> Result<()> {
    validate_guest_name(name)?;
    let most = host.longest_guest_name();
    if name.len() > most {
        let problem = format!("{} takes names of at most {most} bytes", host.toolstack());
        return Err(Error::invalid(format!("guest name {name:?}"), problem));
    }
    Ok(())
}

/// How many bytes the name of a guest can have on any host.
pub(crate) const LONGEST_GUEST_NAME: usize = 255;

/// See [`GuestSpec::validate`].
pub(crate) fn validate_guest_name(name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "it must not be empty"
    } else if name.len() > LONGEST_GUEST_NAME {
        "it must not be longer than 255 bytes"
    } else if name.chars().any(|c| c.is_control() || c == '/') {
        "it must not hold control characters or `/`"
    } else if name == "." || name == ".." {
        "it must not be `.` or `..`"
    } else if name == "Domain-0" {
        "that is the control domain"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("guest name {name:?}"), problem))
}

/// Where the bytes of a disk come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskSource {
    /// A new empty disk of this size; it is removed with the guest.
    New(Memory),
    /// A private copy of this file of the host; it is removed with the guest.
    CopyOf(String),
    /// This file or block device of the host as it is; it is left when the guest goes.
    Existing(String),
}

/// A disk to be given to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpec {
    /// The device name in the guest's terms: `xvda`, `vdb`, `sdc`. `None` takes the next free one.
    pub device: Option<String>,
    /// Where its bytes come from.
    pub source: DiskSource,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

impl DiskSpec {
    /// A new empty disk.
    pub fn new(size: Memory) -> Self {
        Self { device: None, source: DiskSource::New(size), read_only: false }
    }

    /// A private copy of a file of the host.
    pub fn copy_of(path: impl Into<String>) -> Self {
        Self { device: None, source: DiskSource::CopyOf(path.into()), read_only: false }
    }

    /// A file or block device of the host as it is.
    pub fn existing(path: impl Into<String>) -> Self {
        Self { device: None, source: DiskSource::Existing(path.into()), read_only: false }
    }

    /// Sets the device name.
    #[must_use]
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// Makes it read-only.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

/// A network interface to be given to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VifSpec {
    /// The network (bridge) that it is on; `None` takes the host's guest network.
    pub network: Option<String>,
    /// Its MAC address; `None` takes a random one of Xen's range.
    pub mac: Option<MacAddress>,
}

impl VifSpec {
    /// A VIF on the host's guest network.
    pub fn on_default() -> Self {
        Self { network: None, mac: None }
    }

    /// A VIF on this network.
    pub fn on(network: impl Into<String>) -> Self {
        Self { network: Some(network.into()), mac: None }
    }

    /// Sets the MAC address.
    #[must_use]
    pub fn mac(mut self, mac: MacAddress) -> Self {
        self.mac = Some(mac);
        self
    }
}

/// What a network to be created is connected to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkKind {
    /// Guests and dom0 only.
    Isolated,
    /// A network interface of the host.
    Uplink(String),
}

/// A network to be created on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// The name; on Linux bridges at most 15 bytes (IFNAMSIZ, netdevice(7)).
    pub name: String,
    /// What it is connected to.
    pub kind: NetworkKind,
}

impl NetworkSpec {
    /// A network for guests and dom0 only.
    pub fn isolated(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: NetworkKind::Isolated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_escape_their_place_are_refused() {
        for name in ["", "a/b", "..", "a\nb", "Domain-0", &"x".repeat(256)] {
            assert!(validate_guest_name(name).is_err(), "{name:?} was accepted");
        }
        for name in ["tiny", "it's", "a b", "$(id)", "-v", "größe"] {
            assert!(validate_guest_name(name).is_ok(), "{name:?} was refused");
        }
    }

    #[test]
    fn what_has_uefi_firmware_is_hvm() {
        let spec = GuestSpec::new("g").boot(Boot::Uefi);
        assert_eq!(spec.wanted_kind(), Some(GuestKind::Hvm));
        assert!(spec.validate().is_ok());
        assert!(spec.kind(GuestKind::Pvh).validate().is_err());
        assert_eq!(GuestSpec::new("g").boot(Boot::Disk).wanted_kind(), None);
    }

    #[test]
    fn maxima_are_never_below_what_they_bound() {
        let spec = GuestSpec::new("g")
            .max_vcpus(2)
            .vcpus(4)
            .memory(Memory::mib(512))
            .max_memory(Memory::mib(1));
        assert_eq!((spec.max_vcpus, spec.max_memory), (4, Memory::mib(512)));
    }
}
