//! Defining a guest of a simulated host, and its devices.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::TOOLSTACK;
use super::defect::Defect;
use super::disks::Content;
use super::error::refusal;
use super::machine::{Machine, MachineState};
use super::vm::{Vm, VmDisk};
use super::world::{draw, draw_uuid};
use crate::model::{
    Boot, Disk, DiskSource, DiskSpec, GuestBase, GuestKind, GuestSpec, MacAddress, Memory, Vif,
    VifSpec,
};
use crate::{Error, Result, ToolstackErrorKind};

/// A machine can have so many disks.
const MOST_DISKS: usize = 26;
/// A guest can have so many VIFs.
pub(super) const MOST_VIFS: usize = 8;

impl Machine {
    /// Defines a guest. Nothing is left behind by an error.
    pub(super) fn define(self: &Arc<Self>, spec: &GuestSpec) -> Result<Vm> {
        spec.validate()?;
        let entry = &self.entry;
        let image = spec.image.as_deref().map(|name| entry.image_for(name)).transpose()?;
        let what = || format!("guest {:?}", spec.name);
        if image.is_none() && spec.boot.is_none() {
            let problem = "it has neither an image nor a kernel nor is it said to boot from disk";
            return Err(Error::invalid(what(), problem));
        }
        spec.require_abilities(TOOLSTACK, &self.abilities)?;
        let storage = self.storage_folder(spec.storage.as_deref(), &what())?;
        let kind = self.kind_of(spec, image.map(|image| image.kinds.as_slice()))?;
        let mut state = self.state();
        let name = self.garble(&spec.name);
        let taken = state.vms.values().any(|vm| vm.name == name);
        if taken && !self.has(Defect::DefineAcceptsTakenName) {
            let problem = format!("there is a guest named {name:?} already");
            return Err(Error::invalid(what(), problem));
        }
        let count = state.count_vm();
        let uuid = draw_uuid(self.world.seed, &[&entry.name, &spec.name], count);
        let image_memory = image.map_or(Memory::mib(128), |image| image.memory);
        let asked = if spec.memory == Memory::default() { image_memory } else { spec.memory };
        let memory = if self.has(Defect::DefineIgnoresMemory) { image_memory } else { asked };
        let vcpus = if self.has(Defect::DefineIgnoresVcpus) { 1 } else { spec.vcpus };
        let mut vm = Vm {
            uuid,
            name,
            kind,
            image: spec.image.clone(),
            vcpus,
            max_vcpus: spec.max_vcpus.max(spec.vcpus),
            memory,
            max_memory: spec.max_memory.max(memory),
            disks: Vec::new(),
            storage,
            vifs: Vec::new(),
            address: None,
            on_crash: spec.on_crash,
            saved: None,
            domain: None,
            console: String::new(),
            files: None,
            claimed: None,
            unlisted: false,
            at_definition: (vcpus, memory),
            snapshots: Vec::new(),
            contents: Default::default(),
            snapshots_made: 0,
        };
        for vif in &spec.vifs {
            if self.has(Defect::DefineDropsSecondVif) && !vm.vifs.is_empty() {
                break;
            }
            let mut vif = vif.clone();
            if self.has(Defect::DefineIgnoresMac) {
                vif.mac = None;
            }
            if self.has(Defect::DefineAcceptsMissingNetwork)
                && let Some(name) = &vif.network
                && state.networks.iter().all(|own| own.network.name != *name)
            {
                vif.network = None;
            }
            let vif = state.make_vif(self, &vm, &vif)?;
            vm.vifs.push(vif);
        }
        vm.address = match spec.address {
            Some(address) if state.vms.values().any(|vm| vm.address == Some(address)) => {
                let problem = format!("another guest has the address {address}");
                return Err(Error::invalid(what(), problem));
            }
            Some(address) => Some(address),
            None if vm.vifs.is_empty() => None,
            None => Some(IpAddr::V4(self.world.new_address())),
        };
        let mut base: Vec<DiskSpec> = spec.image_disk(image).into_iter().collect();
        if let GuestBase::Template(name) = &spec.base {
            let found = state.templates.values().find(|template| template.name == *name);
            let template = found.ok_or_else(|| Error::NotFound {
                kind: "template",
                name: name.clone(),
                known: state.templates.values().map(|template| template.name.clone()).collect(),
            })?;
            base.extend(template.disks.iter().map(|disk| DiskSpec::copy_of(&disk.disk.path)));
        }
        for disk in base.iter().chain(&spec.disks) {
            match state.make_disk(self, &vm, disk) {
                Ok(disk) => vm.disks.push(disk),
                Err(error) => {
                    if !self.has(Defect::DefineFailureLeavesDisk) {
                        vm.disks.iter().for_each(|disk| state.unmake_disk(disk));
                    }
                    return Err(error);
                }
            }
        }
        if let Some(address) = vm.address {
            self.world.place(address, self, uuid);
        }
        state.vms.insert(uuid, vm.clone());
        Ok(vm)
    }

    fn kind_of(&self, spec: &GuestSpec, image: Option<&[GuestKind]>) -> Result<GuestKind> {
        let allowed = match (image, &spec.boot) {
            (Some(kinds), _) => kinds,
            (None, Some(Boot::Disk)) => &[GuestKind::Hvm, GuestKind::Pvh, GuestKind::Pv],
            (None, Some(Boot::Uefi)) => &[GuestKind::Hvm],
            (None, _) => &[GuestKind::Pvh, GuestKind::Pv],
        };
        if let Some(kind) = spec.wanted_kind() {
            if image.is_some() && !allowed.contains(&kind) {
                let problem = format!("its image boots as one of {allowed:?}, not as {kind:?}");
                return Err(Error::invalid(format!("guest {:?}", spec.name), problem));
            }
            self.abilities.require(TOOLSTACK, kind.ability())?;
            return Ok(kind);
        }
        let found = allowed.iter().copied().find(|kind| self.abilities.has(kind.ability()));
        let preferred = allowed.first().copied().unwrap_or(GuestKind::Pvh);
        match found {
            Some(kind) => Ok(kind),
            None => self.abilities.require(TOOLSTACK, preferred.ability()).map(|()| preferred),
        }
    }

    /// A name as the toolstack takes it, which a sound one takes as it is.
    pub(super) fn garble(&self, name: &str) -> String {
        let mut name = name.to_owned();
        if self.has(Defect::TruncatesNames) {
            name.truncate(name.floor_char_boundary(63));
        }
        if self.has(Defect::TrimsNames) {
            name = name.trim().to_owned();
        }
        if self.has(Defect::MangleQuotes) {
            name.retain(|c| !['\'', '"', '\\'].contains(&c));
        }
        if self.has(Defect::UnicodeLost) {
            name = name.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
        }
        if self.has(Defect::ExpandsDollar)
            && let (Some(from), Some(to)) = (name.find("$("), name.find(')'))
            && from < to
        {
            name.replace_range(from..=to, "");
        }
        name
    }
}

impl MachineState {
    /// The VIF that `spec` asks for.
    pub(super) fn make_vif(&mut self, machine: &Machine, vm: &Vm, spec: &VifSpec) -> Result<Vif> {
        let what = || format!("a VIF of {}", vm.object());
        let by_lab = machine.entry.guest_network.as_ref().map(|network| network.network.clone());
        let network = spec
            .network
            .clone()
            .or(by_lab)
            .ok_or_else(|| Error::invalid(what(), "the host has no guest network; name one"))?;
        if self.networks.iter().all(|own| own.network.name != network) {
            let message = format!("there is no bridge {network} on the host");
            return Err(refusal(ToolstackErrorKind::NoSuchObject, "attach", &what(), message));
        }
        if vm.vifs.len() >= MOST_VIFS {
            return Err(Error::invalid(
                what(),
                format!("it has {MOST_VIFS} VIFs, which is the most"),
            ));
        }
        let index = (0..).find(|index| vm.vifs.iter().all(|vif| vif.index != *index));
        let mac = spec.mac.unwrap_or_else(|| {
            let count = self.count_vm();
            let drawn = draw(machine.world.seed, &[&machine.entry.name, &vm.name, "mac"], count);
            let [a, b, c, ..] = drawn.to_le_bytes();
            MacAddress::new([0x00, 0x16, 0x3e, a & 0x7f, b, c])
        });
        if vm.vifs.iter().any(|vif| vif.mac == mac) {
            return Err(Error::invalid(what(), format!("it has a VIF {mac} already")));
        }
        Ok(Vif { index: index.unwrap_or_default(), mac, network })
    }

    /// The disk that `spec` asks for, made where it is to be made.
    pub(super) fn make_disk(
        &mut self,
        machine: &Machine,
        vm: &Vm,
        spec: &DiskSpec,
    ) -> Result<VmDisk> {
        let what = || format!("a disk of {}", vm.object());
        let taken = |name: &str| vm.disks.iter().any(|disk| disk.disk.device == name);
        let free = || {
            let names = ('a'..='z').map(|letter| format!("xvd{letter}")).take(MOST_DISKS);
            names
                .into_iter()
                .find(|name| !taken(name))
                .ok_or_else(|| Error::invalid(what(), "xvda to xvdz are all in use"))
        };
        let device = match &spec.device {
            Some(device) if !is_device_name(device) => {
                let problem = format!("{device:?} is not a device name; use xvda, xvdb, ...");
                return Err(Error::invalid(what(), problem));
            }
            Some(device) if taken(device) && !machine.has(Defect::DiskTakesUsedDevice) => {
                return Err(Error::invalid(what(), format!("it has a disk {device} already")));
            }
            Some(device) if !machine.has(Defect::DiskDeviceIgnored) => device.clone(),
            _ => free()?,
        };
        let path = match &spec.source {
            DiskSource::New(_) | DiskSource::CopyOf(_) => match &vm.storage {
                Some(folder) => format!("{folder}{}-{device}.raw", vm.uuid),
                None => format!("{}/{device}.raw", machine.guest_folder(vm.uuid)),
            },
            DiskSource::Existing(path) => path.clone(),
        };
        for path in [Some(&path), source_path(&spec.source)].into_iter().flatten() {
            if !path.starts_with('/') || path.contains(char::is_control) {
                return Err(Error::invalid(what(), format!("{path:?} is not an absolute path")));
            }
        }
        if let Some(source) = source_path(&spec.source)
            && !self.files.contains_key(source)
        {
            let kind = if machine.has(Defect::MissingFileUnnamed) {
                ToolstackErrorKind::Other
            } else {
                ToolstackErrorKind::MissingFile
            };
            return Err(refusal(kind, "make", &what(), format!("there is no file {source}")));
        }
        let owned = source_path(&spec.source).is_none_or(|source| *source != path);
        if owned {
            self.files.insert(path.clone(), Arc::default());
            let content = match &spec.source {
                DiskSource::New(size) => Some(Content::blank(size.as_bytes())),
                DiskSource::CopyOf(from) => self.contents.get(from).cloned(),
                DiskSource::Existing(_) => None,
            };
            self.contents.extend(content.map(|content| (path.clone(), content)));
        }
        let read_only = spec.read_only && !machine.has(Defect::DiskReadOnlyLost);
        Ok(VmDisk { disk: Disk { device, path, read_only }, owned })
    }

    /// Removes what was made for a disk.
    pub(super) fn unmake_disk(&mut self, disk: &VmDisk) {
        if disk.owned {
            self.files.remove(&disk.disk.path);
            self.contents.remove(&disk.disk.path);
        }
    }

    /// Removes a guest: definition, disks that were made for it, saved memory.
    pub(super) fn delete(&mut self, machine: &Machine, vm: &Vm) {
        if machine.has(Defect::DeleteLeavesDefinition) {
            return;
        }
        self.vms.remove(&vm.uuid);
        for disk in &vm.disks {
            if !machine.has(Defect::DeleteLeavesDisk) {
                self.unmake_disk(disk);
            }
            if machine.has(Defect::DeleteRemovesForeignDisk) {
                self.files.remove(&disk.disk.path);
            }
        }
        self.files.remove(&saved_path(machine, vm));
        if let Some(address) = vm.address {
            machine.world.forget(address);
        }
    }

    /// Refuses a start for which there is no memory.
    pub(super) fn require_memory(&self, machine: &Machine, vm: &Vm, verb: &str) -> Result<()> {
        if vm.memory <= self.free_memory() || machine.has(Defect::OvercommitsMemory) {
            return Ok(());
        }
        let kind = if machine.has(Defect::OutOfMemoryUnnamed) {
            ToolstackErrorKind::Other
        } else {
            ToolstackErrorKind::OutOfMemory
        };
        let message = format!("it needs {}, and {} is free", vm.memory, self.free_memory());
        Err(refusal(kind, verb, &vm.object(), message))
    }

    /// Whether a guest is up enough to be asked for something.
    pub(super) fn ready(vm: &Vm) -> Instant {
        vm.domain.as_ref().map_or_else(Instant::now, |domain| domain.ready.max(Instant::now()))
    }
}

/// Where the memory of a suspended guest is.
pub(super) fn saved_path(machine: &Machine, vm: &Vm) -> String {
    format!("{}/saved", machine.guest_folder(vm.uuid))
}

fn source_path(source: &DiskSource) -> Option<&String> {
    match source {
        DiskSource::New(_) => None,
        DiskSource::CopyOf(path) | DiskSource::Existing(path) => Some(path),
    }
}

/// Names that guests see as they are: `xvda`, `hda`, `sdb`.
fn is_device_name(name: &str) -> bool {
    ["xvd", "hd", "sd", "vd"].iter().any(|prefix| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            (1..=2).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_lowercase())
        })
    })
}
