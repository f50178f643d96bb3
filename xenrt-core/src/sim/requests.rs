//! Carrying out requests about one guest.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::defect::Defect;
use super::define::saved_path;
use super::error::refusal;
use super::machine::{Machine, MachineState};
use super::time::pause;
use super::vm::{Ahead, Saved, Vm};
use crate::model::{GuestAction, Memory, PowerState};
use crate::{Error, Result, ToolstackErrorKind};

/// Passes `action` to the toolstack.
pub(super) async fn carry_out(machine: &Machine, uuid: Uuid, action: &GuestAction) -> Result<()> {
    let starts = matches!(action, GuestAction::Start | GuestAction::StartPaused);
    {
        let mut state = machine.state();
        allowed(machine, &mut state, uuid, action)?;
        if starts {
            state.starting += 1;
        }
    }
    pause(duration(machine, action)).await;
    if machine.has(Defect::TwoAtOnce) {
        // What was found before the pause is taken for what is now.
        tokio::task::yield_now().await;
    }
    let mut state = machine.state();
    let beside = state.starting;
    if starts {
        state.starting -= 1;
    }
    if !machine.has(Defect::TwoAtOnce) {
        allowed(machine, &mut state, uuid, action)?;
    }
    let mut request = Request { machine, state: &mut state, uuid, beside };
    request.apply(action)
}

fn duration(machine: &Machine, action: &GuestAction) -> Duration {
    let timing = &machine.world.timing;
    match action {
        GuestAction::Suspend
        | GuestAction::Resume
        | GuestAction::Save(_)
        | GuestAction::Restore(_) => timing.memory,
        // A domain is made about as fast as a device.
        GuestAction::Start
        | GuestAction::StartPaused
        | GuestAction::Reset
        | GuestAction::SetVcpus(_)
        | GuestAction::SetMemory(_)
        | GuestAction::AttachDisk(_)
        | GuestAction::DetachDisk(_)
        | GuestAction::AttachVif(_)
        | GuestAction::DetachVif(_) => timing.device,
        _ => Duration::ZERO,
    }
}

/// Refuses what the state of the guest does not allow, as a toolstack does by itself.
fn allowed(
    machine: &Machine,
    state: &mut MachineState,
    uuid: Uuid,
    action: &GuestAction,
) -> Result<()> {
    let vm = state.vm(machine, uuid).ok_or_else(|| gone(machine, action.verb(), uuid))?;
    let power = vm.power();
    let excused = match action {
        GuestAction::Start => machine.has(Defect::StartsTwice),
        GuestAction::Delete => machine.has(Defect::DeletesRunningGuest),
        _ => false,
    };
    if excused || action.allowed_from().contains(&power) {
        return Ok(());
    }
    let message = format!("it is {power}");
    Err(refusal(ToolstackErrorKind::BadState, action.verb(), &vm.object(), message))
}

/// The error for a guest that is not there.
pub(super) fn gone(machine: &Machine, verb: &str, uuid: Uuid) -> Error {
    let kind = if machine.has(Defect::NoSuchObjectUnnamed) {
        ToolstackErrorKind::Other
    } else {
        ToolstackErrorKind::NoSuchObject
    };
    let message = format!("host {:?} does not know it", machine.entry.name);
    refusal(kind, verb, &format!("guest {uuid}"), message)
}

struct Request<'a> {
    machine: &'a Machine,
    state: &'a mut MachineState,
    uuid: Uuid,
    /// Starts that were on their way at the same time.
    beside: u32,
}

impl Request<'_> {
    fn has(&self, defect: Defect) -> bool {
        self.machine.has(defect)
    }

    fn vm(&mut self, verb: &str) -> Result<&mut Vm> {
        let (machine, uuid) = (self.machine, self.uuid);
        self.state.vm(machine, uuid).ok_or_else(|| gone(machine, verb, uuid))
    }

    fn refused(&mut self, kind: ToolstackErrorKind, action: &GuestAction, why: &str) -> Error {
        let object = self.vm(action.verb()).map_or_else(|_| String::new(), |vm| vm.object());
        refusal(kind, action.verb(), &object, why)
    }

    fn apply(&mut self, action: &GuestAction) -> Result<()> {
        match action {
            GuestAction::Start => self.start(PowerState::Running, action),
            GuestAction::StartPaused if self.has(Defect::StartPausedRuns) => {
                self.start(PowerState::Running, action)
            }
            GuestAction::StartPaused => self.start(PowerState::Paused, action),
            GuestAction::Shutdown => self.ask(Ahead::Halt, action),
            GuestAction::Reboot if self.has(Defect::RebootIgnored) => Ok(()),
            GuestAction::Reboot => self.ask(Ahead::Reboot, action),
            GuestAction::PowerOff => self.power_off(action),
            GuestAction::Reset => {
                if !self.has(Defect::ResetIgnored) {
                    self.state.boot(self.machine, self.uuid, PowerState::Running);
                }
                Ok(())
            }
            GuestAction::Pause => self.schedule(PowerState::Paused, action),
            GuestAction::Unpause => self.schedule(PowerState::Running, action),
            GuestAction::Suspend => self.suspend(action),
            GuestAction::Resume => self.resume(action),
            GuestAction::Save(path) => self.save(path, action),
            GuestAction::Restore(path) => self.restore(path, action),
            GuestAction::Delete => {
                let vm = self.vm(action.verb())?.clone();
                if let Some(domain) =
                    vm.domain.clone().filter(|_| self.has(Defect::DeletesRunningGuest))
                {
                    self.state.strays.push((vm.uuid, domain));
                }
                self.state.delete(self.machine, &vm);
                Ok(())
            }
            GuestAction::Rename(name) => self.rename(name, action),
            GuestAction::SetVcpus(vcpus) => self.set_vcpus(*vcpus, action),
            GuestAction::SetMemory(memory) => self.set_memory(*memory, action),
            GuestAction::AttachDisk(spec) => {
                let vm = self.vm(action.verb())?.clone();
                let disk = self.state.make_disk(self.machine, &vm, spec)?;
                let hidden = self.has(Defect::DiskHotplugNotSeen);
                let vm = self.vm(action.verb())?;
                if hidden && let Some(domain) = &mut vm.domain {
                    domain.inside().hidden_disks.push(disk.disk.device.clone());
                }
                vm.disks.push(disk);
                Ok(())
            }
            GuestAction::DetachDisk(device) => self.detach_disk(device, action),
            GuestAction::AttachVif(spec) => {
                let mut spec = spec.clone();
                if self.has(Defect::VifIgnoresMac) {
                    spec.mac = None;
                }
                if self.has(Defect::VifOnGuestNetwork) {
                    spec.network = None;
                }
                let vm = self.vm(action.verb())?.clone();
                let vif = self.state.make_vif(self.machine, &vm, &spec)?;
                let hidden = self.has(Defect::VifHotplugNotSeen);
                let vm = self.vm(action.verb())?;
                if hidden && let Some(domain) = &mut vm.domain {
                    domain.inside().hidden_vifs.push(vif.mac);
                }
                vm.vifs.push(vif);
                Ok(())
            }
            GuestAction::DetachVif(mac) => {
                let first = self.has(Defect::VifDetachesFirst);
                let vm = self.vm(action.verb())?;
                let at = vm.vifs.iter().position(|vif| vif.mac == *mac);
                let Some(at) = at.map(|at| if first { 0 } else { at }) else {
                    let why = format!("it has no VIF {mac}");
                    return Err(self.refused(ToolstackErrorKind::NoSuchObject, action, &why));
                };
                vm.vifs.remove(at);
                Ok(())
            }
        }
    }

    fn start(&mut self, power: PowerState, action: &GuestAction) -> Result<()> {
        let vm = self.vm(action.verb())?.clone();
        if let Err(error) = self.state.require_memory(self.machine, &vm, action.verb()) {
            if self.has(Defect::FailedStartLeavesDomain) {
                self.state.boot(self.machine, self.uuid, PowerState::Paused);
                if let Some(domain) = self.vm(action.verb())?.domain.take() {
                    self.state.strays.push((self.uuid, domain));
                }
            }
            return Err(error);
        }
        let twice = self.has(Defect::StartsTwice) || self.has(Defect::TwoAtOnce);
        if let Some(domain) = vm.domain.filter(|_| twice) {
            self.state.strays.push((self.uuid, domain));
        }
        if self.has(Defect::MoreGuestsLost) && self.beside > 8 {
            return Ok(());
        }
        self.state.boot(self.machine, self.uuid, power);
        Ok(())
    }

    /// Asks the guest itself, which does it once it is up.
    fn ask(&mut self, ahead: Ahead, action: &GuestAction) -> Result<()> {
        let takes = self.machine.world.timing.shutdown;
        let vm = self.vm(action.verb())?;
        let when = MachineState::ready(vm) + takes;
        if let Some(domain) = &mut vm.domain {
            domain.ahead = Some((when, ahead));
        }
        self.vm(action.verb()).map(|_| ())
    }

    fn power_off(&mut self, action: &GuestAction) -> Result<()> {
        if self.has(Defect::PowerOffIgnored) {
            return Ok(());
        }
        let vm = self.vm(action.verb())?;
        vm.domain = None;
        vm.claimed = None;
        vm.saved = None;
        let path = saved_path(self.machine, self.vm(action.verb())?);
        if !self.has(Defect::PowerOffKeepsSaved) {
            self.state.files.remove(&path);
        }
        Ok(())
    }

    fn schedule(&mut self, power: PowerState, action: &GuestAction) -> Result<()> {
        let hidden = match power {
            PowerState::Paused => self.has(Defect::PauseHiddenFromHypervisor),
            _ => self.has(Defect::UnpauseHiddenFromHypervisor),
        };
        let vm = self.vm(action.verb())?;
        if hidden {
            vm.claimed = Some(power);
        } else if let Some(domain) = &mut vm.domain {
            vm.claimed = None;
            domain.set_power(power, Instant::now());
        }
        Ok(())
    }

    /// Takes the domain of the guest away, with its memory.
    fn freeze(&mut self, leaves: Defect, action: &GuestAction) -> Result<Saved> {
        let leaves = self.has(leaves);
        let uuid = self.uuid;
        let vm = self.vm(action.verb())?;
        let Some(mut domain) = vm.domain.take() else {
            return Err(self.refused(ToolstackErrorKind::BadState, action, "it has no domain"));
        };
        let left = domain.clone();
        domain.ahead = None;
        domain.set_power(PowerState::Paused, Instant::now());
        if leaves {
            self.state.strays.push((uuid, left));
        }
        Ok(Saved { uuid, domain })
    }

    /// Gives the guest a domain again, with the memory that was saved.
    fn thaw(&mut self, mut saved: Saved, anew: Defect, action: &GuestAction) -> Result<()> {
        self.state.boot(self.machine, self.uuid, PowerState::Running);
        let anew = self.has(anew);
        let vm = self.vm(action.verb())?;
        let name = vm.name.clone();
        if let Some(domain) = vm.domain.as_mut().filter(|_| !anew) {
            saved.domain.domid = domain.domid;
            saved.domain.name = name;
            saved.domain.set_power(PowerState::Running, Instant::now());
            *domain = saved.domain;
        }
        Ok(())
    }

    fn suspend(&mut self, action: &GuestAction) -> Result<()> {
        let saved = self.freeze(Defect::SuspendLeavesDomain, action)?;
        let path = saved_path(self.machine, self.vm(action.verb())?);
        self.state.files.insert(path, Arc::default());
        self.vm(action.verb())?.saved = Some(Box::new(saved));
        Ok(())
    }

    fn resume(&mut self, action: &GuestAction) -> Result<()> {
        let Some(saved) = self.vm(action.verb())?.saved.take() else {
            let why = "its memory is not saved";
            return Err(self.refused(ToolstackErrorKind::MissingFile, action, why));
        };
        let vm = self.vm(action.verb())?.clone();
        if let Err(error) = self.state.require_memory(self.machine, &vm, action.verb()) {
            self.vm(action.verb())?.saved = Some(saved);
            return Err(error);
        }
        if !self.has(Defect::ResumeKeepsSaved) {
            self.state.files.remove(&saved_path(self.machine, &vm));
        } else {
            let number = self.state.new_pid();
            let path = format!("{}/saved-{number}", self.machine.entry.work_folder);
            self.state.files.insert(path, Arc::default());
        }
        self.thaw(*saved, Defect::ResumeBootsAnew, action)
    }

    fn absolute(path: &str) -> Result<()> {
        if path.starts_with('/') && !path.contains(char::is_control) {
            return Ok(());
        }
        Err(Error::invalid(format!("file {path:?}"), "expected an absolute path on the host"))
    }

    fn save(&mut self, path: &str, action: &GuestAction) -> Result<()> {
        Self::absolute(path)?;
        if !self.state.has_folder_of(path) {
            let why = format!("there is no folder for {path}");
            return Err(self.refused(ToolstackErrorKind::MissingFile, action, &why));
        }
        let saved = self.freeze(Defect::SaveLeavesDomain, action)?;
        self.state.files.insert(path.to_owned(), Arc::default());
        self.state.saved.insert(path.to_owned(), saved);
        Ok(())
    }

    fn restore(&mut self, path: &str, action: &GuestAction) -> Result<()> {
        Self::absolute(path)?;
        let there = self.state.files.contains_key(path);
        if !there && !self.has(Defect::RestoreWithoutFile) {
            let kind = if self.has(Defect::MissingFileUnnamed) {
                ToolstackErrorKind::Other
            } else {
                ToolstackErrorKind::MissingFile
            };
            return Err(self.refused(kind, action, &format!("there is no file {path}")));
        }
        let vm = self.vm(action.verb())?.clone();
        self.state.require_memory(self.machine, &vm, action.verb())?;
        let saved = self.state.saved.get(path).filter(|saved| saved.uuid == self.uuid).cloned();
        match saved {
            Some(saved) => self.thaw(saved, Defect::RestoreBootsAnew, action)?,
            None if self.has(Defect::RestoreAcceptsJunk) || !there => {
                self.state.boot(self.machine, self.uuid, PowerState::Running);
            }
            None => {
                let why = format!("{path} does not hold the memory of this guest");
                return Err(self.refused(ToolstackErrorKind::InvalidConfiguration, action, &why));
            }
        }
        if self.has(Defect::RestoreEatsFile) {
            self.state.files.remove(path);
            self.state.saved.remove(path);
        }
        Ok(())
    }

    fn rename(&mut self, name: &str, action: &GuestAction) -> Result<()> {
        let uuid = self.uuid;
        let new = self.machine.garble(name);
        let taken = self.state.vms.values().any(|vm| vm.name == new && vm.uuid != uuid);
        if taken && !self.has(Defect::RenameAcceptsTakenName) {
            let why = format!("there is a guest named {name:?} already");
            return Err(self.refused(ToolstackErrorKind::AlreadyExists, action, &why));
        }
        let keeps = self.has(Defect::RenameKeepsOldName);
        let hidden = self.has(Defect::RenameHiddenFromHypervisor);
        let vm = self.vm(action.verb())?;
        if let Some(domain) = vm.domain.as_mut().filter(|_| !hidden) {
            domain.name.clone_from(&new);
        }
        if !keeps {
            vm.name = new;
        }
        Ok(())
    }

    fn set_vcpus(&mut self, vcpus: u32, action: &GuestAction) -> Result<()> {
        let ignored = self.has(Defect::VcpusIgnoredAboveOne);
        let hidden = self.has(Defect::VcpusNotSeenInside);
        let vm = self.vm(action.verb())?;
        let most = vm.max_vcpus;
        if vcpus == 0 || (vm.domain.is_some() && vcpus > most) {
            let why = format!("{vcpus} vCPUs; it can have 1 to {most}");
            let kind = ToolstackErrorKind::InvalidConfiguration;
            return Err(self.refused(kind, action, &why));
        }
        let before = vm.vcpus;
        vm.vcpus = vcpus;
        vm.max_vcpus = vm.max_vcpus.max(vcpus);
        if let Some(domain) = &mut vm.domain {
            domain.vcpus = if ignored { 1 } else { vcpus };
            if hidden {
                domain.inside().vcpus = Some(before);
            }
        }
        Ok(())
    }

    fn set_memory(&mut self, memory: Memory, action: &GuestAction) -> Result<()> {
        if memory < Memory::mib(4) {
            let why = format!("{memory} is too little for any guest");
            return Err(self.refused(ToolstackErrorKind::InvalidConfiguration, action, &why));
        }
        let free = self.state.free_memory();
        let applied = !self.has(Defect::MemoryNotApplied);
        let follows = self.has(Defect::MaximumFollowsMemory);
        let vm = self.vm(action.verb())?;
        let more = vm
            .domain
            .as_ref()
            .map_or(0, |domain| memory.as_bytes().saturating_sub(domain.memory.as_bytes()));
        if more > free.as_bytes() {
            let why = format!("{} more are needed, and {free} is free", Memory::bytes(more));
            return Err(self.refused(ToolstackErrorKind::OutOfMemory, action, &why));
        }
        let most = vm.max_memory;
        if vm.domain.is_some() && memory > most {
            let why = format!("while it runs it can have {most}, its maximum");
            return Err(self.refused(ToolstackErrorKind::InvalidConfiguration, action, &why));
        }
        vm.max_memory = if follows && vm.domain.is_none() { memory } else { most.max(memory) };
        vm.memory = memory;
        if let Some(domain) = vm.domain.as_mut().filter(|_| applied) {
            domain.memory = memory;
        }
        Ok(())
    }

    fn detach_disk(&mut self, device: &str, action: &GuestAction) -> Result<()> {
        let ghost = self.has(Defect::DiskDetachNotSeen);
        let vm = self.vm(action.verb())?;
        let Some(at) = vm.disks.iter().position(|disk| disk.disk.device == device) else {
            let known = vm.disks.iter().map(|disk| disk.disk.device.clone()).collect();
            return Err(Error::NotFound { kind: "disk", name: device.to_owned(), known });
        };
        let disk = vm.disks.remove(at);
        if ghost && let Some(domain) = &mut vm.domain {
            domain.inside().ghost_disks.push(device.to_owned());
        }
        if !self.has(Defect::DetachLeavesFile) {
            self.state.unmake_disk(&disk);
        }
        Ok(())
    }
}

impl MachineState {
    /// Whether there is a folder for the file `path`: those of a system, and those of files.
    pub(super) fn has_folder_of(&self, path: &str) -> bool {
        let Some((folder, _)) = path.rsplit_once('/') else { return false };
        let known = ["", "/tmp", "/root", "/var/lib", "/var/lib/xenrt", "/srv", "/etc", "/run"];
        let inside = format!("{folder}/");
        known.contains(&folder) || self.files.keys().any(|file| file.starts_with(&inside))
    }
}
