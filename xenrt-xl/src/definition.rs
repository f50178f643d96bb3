//! What this library keeps of a guest: xl itself forgets a domain when it ends.
//!
//! Each guest has a folder on its host, `<work_folder>/guests/<uuid>/`, with
//!
//! | file | what |
//! |---|---|
//! | `definition.json` | the [`Definition`]; a guest without it does not exist |
//! | `name`, `address` | what is reserved for it, one line each, so that a shell can compare them |
//! | `guest.cfg` | the configuration that `xl create` was last given |
//! | `xvda.raw`, ... | the disks that were made for it |
//! | `saved` | its memory, while it is Suspended |

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{
    Abilities, Boot, CrashAction, Disk, DiskSource, DiskSpec, ExpectedGuest, GuestKind, GuestSpec,
    GuestView, MacAddress, Memory, PowerState, Vif, VifSpec,
};
use xenrt_core::{Error, Result};

use crate::error::TOOLSTACK;
use crate::parse::DomainConfig;

/// What a guest is, so that it can be started again. Written as JSON beside its disks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// The form of this file: 1.
    pub(crate) version: u32,
    /// Its identity.
    pub(crate) uuid: Uuid,
    /// Its name.
    pub(crate) name: String,
    /// Names that it had; its console's record may still go by them.
    #[serde(default)]
    pub(crate) former_names: Vec<String>,
    /// How it is virtualised.
    pub(crate) kind: GuestKind,
    /// The image that it was made from.
    pub(crate) image: Option<String>,
    /// How it boots. `{name}` in the command line is replaced at each start.
    pub(crate) boot: Boot,
    /// Memory at start.
    pub(crate) memory: Memory,
    /// The most memory.
    pub(crate) max_memory: Memory,
    /// vCPUs at start.
    pub(crate) vcpus: u32,
    /// The most vCPUs.
    pub(crate) max_vcpus: u32,
    /// Disks.
    pub(crate) disks: Vec<DefinedDisk>,
    /// Network interfaces.
    pub(crate) vifs: Vec<DefinedVif>,
    /// The address of the first VIF, where one was chosen.
    pub(crate) address: Option<IpAddr>,
    /// What happens when it crashes.
    pub(crate) on_crash: CrashAction,
}

/// One disk of a [`Definition`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DefinedDisk {
    /// The device name: `xvda`.
    pub(crate) device: String,
    /// The file or block device of the host.
    pub(crate) path: String,
    /// Whether the guest may only read it.
    pub(crate) read_only: bool,
    /// Whether it was made for this guest and goes with it.
    pub(crate) owned: bool,
}

/// One network interface of a [`Definition`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DefinedVif {
    /// Its hardware address.
    pub(crate) mac: MacAddress,
    /// The bridge.
    pub(crate) network: String,
}

impl Definition {
    /// The form of the file that this version writes and reads.
    const VERSION: u32 = 1;

    /// Reads the text of a `definition.json`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |found: String| Error::UnexpectedOutput {
            what: "the definition of a guest (definition.json)".to_owned(),
            expected: format!("JSON of version {}", Self::VERSION),
            found,
        };
        let definition: Self =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if definition.version != Self::VERSION {
            return Err(wrong(format!("version {}", definition.version)));
        }
        Ok(definition)
    }

    /// The text of its `definition.json`.
    pub(crate) fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| {
            Error::invalid(format!("guest {:?}", self.name), format!("not JSON: {error}"))
        })
    }

    /// What `spec` means on the host of `entry`. `folder` is the guest's folder there; `address` is
    /// what was reserved for it.
    pub(crate) fn from_spec(
        spec: &GuestSpec,
        entry: &HostEntry,
        abilities: &Abilities,
        uuid: Uuid,
        folder: &str,
        address: Option<IpAddr>,
    ) -> Result<Self> {
        let what = || format!("guest {:?}", spec.name);
        spec.require_abilities(TOOLSTACK, abilities)?;
        let image = spec.image.as_deref().map(|name| entry.image_for(name)).transpose()?;
        let boot = boot_of(spec, entry, address)?;
        let kind = kind_of(spec, entry, abilities, &boot)?;
        let memory = match (spec.memory, image) {
            (memory, Some(image)) if memory.as_bytes() == 0 => image.memory,
            (memory, None) if memory.as_bytes() == 0 => {
                return Err(Error::invalid(what(), "it needs an amount of memory, or an image"));
            }
            (memory, _) => memory,
        };
        let mut definition = Self {
            version: Self::VERSION,
            uuid,
            name: spec.name.clone(),
            former_names: Vec::new(),
            kind,
            image: image.map(|image| image.name.clone()),
            boot,
            memory,
            max_memory: spec.max_memory.max(memory),
            vcpus: spec.vcpus,
            max_vcpus: spec.max_vcpus.max(spec.vcpus),
            disks: Vec::new(),
            vifs: Vec::new(),
            address,
            on_crash: spec.on_crash,
        };
        let image_disk = spec.image_disk(image);
        for disk in image_disk.iter().chain(&spec.disks) {
            let disk = definition.disk_for(disk, folder)?;
            definition.disks.push(disk);
        }
        for vif in &spec.vifs {
            let vif = definition.vif_for(vif, entry)?;
            definition.vifs.push(vif);
        }
        Ok(definition)
    }

    /// What can be known of a domain that somebody else made.
    pub(crate) fn adopted(config: &DomainConfig, uuid: Uuid) -> Self {
        let boot = match &config.kernel {
            Some(kernel) => Boot::Kernel {
                kernel: kernel.clone(),
                ramdisk: config.ramdisk.clone(),
                command_line: config.command_line.clone(),
            },
            None => Boot::Disk,
        };
        let disks = config.disks.iter().map(|disk| DefinedDisk {
            device: disk.device.clone(),
            path: disk.path.clone(),
            read_only: disk.read_only,
            owned: false,
        });
        let vifs = config
            .nics
            .iter()
            .map(|(_, mac, network)| DefinedVif { mac: *mac, network: network.clone() });
        Self {
            version: Self::VERSION,
            uuid,
            name: config.name.clone(),
            former_names: Vec::new(),
            kind: config.kind,
            image: None,
            boot,
            memory: config.memory,
            max_memory: config.max_memory,
            vcpus: config.vcpus,
            max_vcpus: config.max_vcpus,
            disks: disks.collect(),
            vifs: vifs.collect(),
            address: None,
            on_crash: CrashAction::default(),
        }
    }

    /// The disk that `spec` asks for: its name chosen, its place in `folder` where it is to be made.
    pub(crate) fn disk_for(&self, spec: &DiskSpec, folder: &str) -> Result<DefinedDisk> {
        let what = || format!("a disk of guest {:?}", self.name);
        let taken = |name: &str| self.disks.iter().any(|disk| disk.device == name);
        let device = match &spec.device {
            Some(device) if !is_device_name(device) => {
                let problem = format!(
                    "{device:?} is not a device name that xl knows; use xvda, xvdb, ... (or hda, sda)"
                );
                return Err(Error::invalid(what(), problem));
            }
            Some(device) if taken(device) => {
                return Err(Error::invalid(what(), format!("it has a disk {device} already")));
            }
            Some(device) => device.clone(),
            None => ('a'..='z')
                .map(|letter| format!("xvd{letter}"))
                .find(|name| !taken(name))
                .ok_or_else(|| Error::invalid(what(), "xvda to xvdz are all in use"))?,
        };
        let (path, owned) = match &spec.source {
            DiskSource::New(_) | DiskSource::CopyOf(_) => (format!("{folder}/{device}.raw"), true),
            DiskSource::Existing(path) => (path.clone(), false),
        };
        for path in [Some(&path), source_path(&spec.source)].into_iter().flatten() {
            if !path.starts_with('/') || path.contains(char::is_control) {
                let problem = format!("{path:?} is not an absolute path");
                return Err(Error::invalid(what(), problem));
            }
        }
        Ok(DefinedDisk { device, path, read_only: spec.read_only, owned })
    }

    /// The VIF that `spec` asks for: its network and address chosen.
    pub(crate) fn vif_for(&self, spec: &VifSpec, entry: &HostEntry) -> Result<DefinedVif> {
        let what = || format!("a VIF of guest {:?}", self.name);
        let guest_network = entry.guest_network.as_ref().map(|network| network.network.clone());
        let network = spec.network.clone().or(guest_network).ok_or_else(|| {
            let problem = format!(
                "host {} has no guest network; name one, or set `guest_network` in the lab file",
                entry.name
            );
            Error::invalid(what(), problem)
        })?;
        if let Some(problem) = crate::networks::name_problem(&network) {
            return Err(Error::invalid(what(), format!("network {network:?}: {problem}")));
        }
        let mac = spec.mac.unwrap_or_else(MacAddress::random_xen);
        if self.vifs.iter().any(|vif| vif.mac == mac) {
            return Err(Error::invalid(what(), format!("it has a VIF {mac} already")));
        }
        Ok(DefinedVif { mac, network })
    }

    /// As a toolstack that keeps halted guests would list it.
    pub(crate) fn view(&self, power: PowerState) -> GuestView {
        let disks = self.disks.iter().map(|disk| Disk {
            device: disk.device.clone(),
            path: disk.path.clone(),
            read_only: disk.read_only,
        });
        let vifs = (0..).zip(&self.vifs).map(|(index, vif)| Vif {
            index,
            mac: vif.mac,
            network: vif.network.clone(),
        });
        GuestView {
            power,
            vcpus: self.vcpus,
            max_vcpus: self.max_vcpus,
            memory: self.memory,
            disks: disks.collect(),
            vifs: vifs.collect(),
        }
    }

    /// What it should be when `view` is how it is.
    pub(crate) fn expected(&self, view: GuestView) -> ExpectedGuest {
        ExpectedGuest {
            power: view.power,
            vcpus: view.vcpus,
            memory: view.memory,
            disks: view.disks,
            vifs: view.vifs,
            address: self.address,
            reachable: false,
        }
    }
}

fn source_path(source: &DiskSource) -> Option<&String> {
    match source {
        DiskSource::New(_) => None,
        DiskSource::CopyOf(path) | DiskSource::Existing(path) => Some(path),
    }
}

/// Names of libxl's that guests see as they are: `xvda`, `hda`, `sdb` (xl-disk-configuration(5)).
fn is_device_name(name: &str) -> bool {
    ["xvd", "hd", "sd"].iter().any(|prefix| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            (1..=2).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_lowercase())
        })
    })
}

/// The words in command lines that stand for an address.
const ADDRESS_WORDS: [&str; 3] = ["{address}", "{prefix}", "{gateway}"];

/// Whether a guest of `spec` can be told its address by its kernel's command line.
pub(crate) fn wants_address(spec: &GuestSpec, entry: &HostEntry) -> Result<bool> {
    let image = spec.image.as_deref().map(|name| entry.image_for(name)).transpose()?;
    let by_image = image.is_some_and(|image| !image.address_command_line.is_empty());
    let by_boot = match &spec.boot {
        Some(Boot::Kernel { command_line, .. }) => command_line.contains(ADDRESS_WORDS[0]),
        _ => false,
    };
    Ok(!spec.vifs.is_empty() && (by_image || by_boot))
}

fn boot_of(spec: &GuestSpec, entry: &HostEntry, address: Option<IpAddr>) -> Result<Boot> {
    let what = || format!("guest {:?}", spec.name);
    let image = spec.image.as_deref().map(|name| entry.image_for(name)).transpose()?;
    let boot = match (&spec.boot, image) {
        (Some(boot), _) => boot.clone(),
        (None, Some(image)) => match &image.kernel {
            Some(kernel) => Boot::Kernel {
                kernel: kernel.clone(),
                ramdisk: image.ramdisk.clone(),
                command_line: image.command_line.clone(),
            },
            None => Boot::Disk,
        },
        (None, None) => {
            let problem = "it has neither an image nor a kernel nor is it said to boot from disk";
            return Err(Error::invalid(what(), problem));
        }
    };
    let (kernel, ramdisk, mut command_line) = match boot {
        Boot::Kernel { kernel, ramdisk, command_line } => (kernel, ramdisk, command_line),
        disk @ (Boot::Disk | Boot::Uefi) => return Ok(disk),
    };
    let mut add = |words: &str| {
        if !words.is_empty() {
            let space = if command_line.is_empty() { "" } else { " " };
            command_line = format!("{command_line}{space}{words}");
        }
    };
    if address.is_some() {
        add(image.map_or("", |image| &image.address_command_line));
    }
    add(&spec.extra_command_line);
    if let Some(address) = address {
        command_line = command_line.replace(ADDRESS_WORDS[0], &address.to_string());
        let pool = entry.guest_network.as_ref().and_then(|network| network.pool.as_ref());
        if let Some(pool) = pool {
            command_line = command_line
                .replace(ADDRESS_WORDS[1], &pool.prefix.to_string())
                .replace(ADDRESS_WORDS[2], &pool.gateway.to_string());
        }
    }
    if let Some(word) = ADDRESS_WORDS.iter().find(|word| command_line.contains(**word)) {
        let problem = format!(
            "its command line has {word}, and nothing says what that is; set `guest_network.pool` \
             of host {}",
            entry.name
        );
        return Err(Error::invalid(what(), problem));
    }
    if command_line.contains(|c: char| c.is_control() && c != '\t') {
        return Err(Error::invalid(what(), "its command line holds control characters"));
    }
    Ok(Boot::Kernel { kernel, ramdisk, command_line })
}

fn kind_of(
    spec: &GuestSpec,
    entry: &HostEntry,
    abilities: &Abilities,
    boot: &Boot,
) -> Result<GuestKind> {
    let image = spec.image.as_deref().map(|name| entry.image_for(name)).transpose()?;
    let allowed: &[GuestKind] = match (image, boot) {
        (Some(image), _) => &image.kinds,
        (None, Boot::Kernel { .. }) => &[GuestKind::Pvh, GuestKind::Pv],
        (None, Boot::Disk) => &[GuestKind::Hvm, GuestKind::Pvh, GuestKind::Pv],
        (None, Boot::Uefi) => &[GuestKind::Hvm],
    };
    if let Some(kind) = spec.wanted_kind() {
        if let Some(image) = image.filter(|image| !image.kinds.contains(&kind)) {
            return Err(Error::invalid(
                format!("guest {:?}", spec.name),
                format!("image {} boots as one of {:?}, not as {kind:?}", image.name, image.kinds),
            ));
        }
        abilities.require(TOOLSTACK, kind.ability())?;
        return Ok(kind);
    }
    match allowed.iter().find(|kind| abilities.has(kind.ability())) {
        Some(kind) => Ok(*kind),
        None => {
            let preferred = allowed.first().copied().unwrap_or(GuestKind::Pv);
            abilities.require(TOOLSTACK, preferred.ability())?;
            Ok(preferred)
        }
    }
}
