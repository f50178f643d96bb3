//! Carrying out requests: each is few calls of `xe`.

use std::time::Duration;

use uuid::Uuid;
use xenrt_core::model::{DiskSpec, GuestAction, MacAddress, Memory, PowerState, VifSpec};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::guest::GuestShared;
use crate::host::HostShared;
use crate::observe::{self, Vbd, Vm};
use crate::parse;
use crate::xe::{self, ApiCode, Xe, XeCommand, XeError};
use crate::{define, error, networks};

/// One request about one guest.
pub(crate) struct Request<'a> {
    pub(crate) host: &'a HostShared,
    pub(crate) xe: &'a Xe,
    pub(crate) guest: &'a GuestShared,
    pub(crate) verb: &'static str,
}

/// Passes `action` to xapi.
///
/// Calls of `xe`: one for a power verb, three to delete, two to rename or to set vCPUs or memory,
/// three to six for a device.
pub(crate) async fn carry_out(
    host: &HostShared,
    xe: &Xe,
    guest: &GuestShared,
    action: &GuestAction,
) -> Result<()> {
    let request = Request { host, xe, guest, verb: action.verb() };
    let (vm, deadlines) = (guest.uuid, &host.entry.deadlines);
    let command = |name: &str| XeCommand::new(name).uuid(vm).deadline(deadlines.command);
    let long = |name: &str| XeCommand::new(name).uuid(vm).deadline(deadlines.suspend);
    let on = |command: XeCommand| command.param("on", host.uuid.to_string());
    let halted = PowerState::Halted;
    match action {
        GuestAction::Start => request.power(on(command("vm-start")), PowerState::Running).await,
        GuestAction::StartPaused => {
            let start = on(command("vm-start")).flag("paused");
            request.power(start, PowerState::Paused).await
        }
        GuestAction::Shutdown => {
            let shutdown = command("vm-shutdown").deadline(deadlines.state);
            request.power(shutdown, halted).await
        }
        GuestAction::PowerOff => request.power(command("vm-shutdown").flag("force"), halted).await,
        GuestAction::Reboot => request.plain(command("vm-reboot").deadline(deadlines.boot)).await,
        GuestAction::Reset => request.plain(command("vm-reboot").flag("force")).await,
        GuestAction::Pause => request.power(command("vm-pause"), PowerState::Paused).await,
        GuestAction::Unpause => request.power(command("vm-unpause"), PowerState::Running).await,
        GuestAction::Suspend => request.power(long("vm-suspend"), PowerState::Suspended).await,
        GuestAction::Resume => request.power(on(long("vm-resume")), PowerState::Running).await,
        GuestAction::Save(_) | GuestAction::Restore(_) => {
            let message = "xapi keeps a suspended guest on its own storage alone";
            let kind = ToolstackErrorKind::NotSupported;
            Err(error::refusal(kind, action.verb(), &guest.object(), message))
        }
        GuestAction::Delete => request.delete().await,
        GuestAction::Rename(name) => request.rename(name).await,
        GuestAction::SetVcpus(vcpus) => request.set_vcpus(*vcpus).await,
        GuestAction::SetMemory(memory) => request.set_memory(*memory).await,
        GuestAction::AttachDisk(spec) => request.attach_disk(spec).await,
        GuestAction::DetachDisk(device) => request.detach_disk(device).await,
        GuestAction::AttachVif(spec) => request.attach_vif(spec).await,
        GuestAction::DetachVif(mac) => request.detach_vif(*mac).await,
        other => {
            let message = "this version of the library does not know that request";
            let kind = ToolstackErrorKind::NotSupported;
            Err(error::refusal(kind, other.verb(), &guest.object(), message))
        }
    }
}

/// Removes a VM with its snapshots and the disks that were made for it. Disks that were there
/// before stay: those of VBDs that are marked so, and `keep`.
pub(crate) async fn remove(xe: &Xe, vm: Uuid, keep: &[Uuid]) -> xe::Result<()> {
    let snapshots = XeCommand::new("snapshot-list").param("snapshot-of", vm.to_string()).minimal();
    let answers = xe.run_all(&[observe::vbds(vm), snapshots]).await?;
    let [vbds, snapshots] = answers.as_slice() else {
        return Err(XeError::Other { message: "xe answered one question of two".to_owned() });
    };
    let vbds = observe::read_vbds(vbds)?;
    let stays = |vbd: &&Vbd| vbd.keep || vbd.vdi.is_some_and(|vdi| keep.contains(&vdi));
    let mut commands: Vec<XeCommand> =
        vbds.iter().filter(stays).map(|vbd| XeCommand::new("vbd-destroy").uuid(vbd.uuid)).collect();
    for snapshot in parse::minimal(snapshots)? {
        commands.push(XeCommand::new("snapshot-uninstall").param("uuid", snapshot));
    }
    commands.push(XeCommand::new("vm-uninstall").uuid(vm));
    match xe.run_all(&commands).await {
        Err(error) if error.is_ambiguous() || error.is_missing_object() => {
            // What is gone must not be asked for again.
            if xe.uuids(XeCommand::new("vm-list").uuid(vm)).await?.is_empty() {
                return Ok(());
            }
            if error.is_ambiguous() { Box::pin(remove(xe, vm, keep)).await } else { Err(error) }
        }
        result => result.map(drop),
    }
}

impl Request<'_> {
    fn during(&self, error: XeError) -> Error {
        error.during(self.verb, &self.guest.object())
    }

    async fn plain(&self, command: XeCommand) -> Result<()> {
        self.xe.run(&command).await.map(drop).map_err(|error| self.during(error))
    }

    /// A verb that leads to the power state `goal`. Where the connection broke, the state tells
    /// whether it was carried out; only where it was not, it is sent again.
    async fn power(&self, command: XeCommand, goal: PowerState) -> Result<()> {
        let error = match self.xe.run(&command).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_ambiguous() => error,
            Err(error) => return Err(self.during(error)),
        };
        if matches!(error, XeError::Remote(xenrt_core::remote::RemoteError::Deadline { .. })) {
            return Err(self.during(error));
        }
        let state = || async {
            let text = self.xe.run(&observe::addresses(self.guest.uuid)).await;
            let text = text.map_err(|error| self.during(error))?;
            Ok::<_, Error>(observe::read_addresses(&text)?.map(|(state, _)| state))
        };
        if state().await? == Some(goal) {
            return Ok(());
        }
        match self.xe.run(&command).await {
            Ok(_) => Ok(()),
            // The first one was carried out after all, a moment later.
            Err(again) if again.code() == Some(&ApiCode::VmBadPowerState) => {
                if state().await? == Some(goal) { Ok(()) } else { Err(self.during(again)) }
            }
            Err(again) => Err(self.during(again)),
        }
    }

    async fn delete(&self) -> Result<()> {
        remove(self.xe, self.guest.uuid, &[]).await.map_err(|error| self.during(error))
    }

    async fn look(&self) -> Result<Vm> {
        let text = self.xe.run(&observe::vm(self.guest.uuid)).await;
        let text = text.map_err(|error| self.during(error))?;
        observe::read_vms(&text)?.into_iter().next().ok_or_else(|| self.guest.missing(self.verb))
    }

    async fn rename(&self, name: &str) -> Result<()> {
        let same = XeCommand::new("vm-list").param("name-label", name);
        let others = self.xe.uuids(same).await.map_err(|error| self.during(error))?;
        if others.iter().any(|uuid| *uuid != self.guest.uuid) {
            let kind = ToolstackErrorKind::AlreadyExists;
            let message = format!("there is a guest named {name:?} already");
            return Err(error::refusal(kind, self.verb, &self.guest.object(), message));
        }
        let set = XeCommand::new("vm-param-set").uuid(self.guest.uuid).param("name-label", name);
        self.twice(set).await?;
        self.guest.renamed(name);
        Ok(())
    }

    /// Sends something that is the same when it is done twice.
    async fn twice(&self, command: XeCommand) -> Result<()> {
        match self.xe.run(&command).await {
            Err(error) if error.is_ambiguous() => self.plain(command).await,
            result => result.map(drop).map_err(|error| self.during(error)),
        }
    }

    async fn set_vcpus(&self, vcpus: u32) -> Result<()> {
        let vm = self.look().await?;
        let uuid = self.guest.uuid;
        if vm.power.has_domain() {
            let plug = XeCommand::new("vm-vcpu-hotplug").uuid(uuid);
            return self.twice(plug.param("new-vcpus", vcpus.to_string())).await;
        }
        let mut set = XeCommand::new("vm-param-set").uuid(uuid);
        if vcpus > vm.max_vcpus {
            set = set.param("VCPUs-max", vcpus.to_string());
        }
        self.twice(set.param("VCPUs-at-startup", vcpus.to_string())).await
    }

    async fn set_memory(&self, memory: Memory) -> Result<()> {
        let vm = self.look().await?;
        let uuid = self.guest.uuid;
        if vm.power.has_domain() {
            let bytes = memory.as_bytes().to_string();
            let range = XeCommand::new("vm-memory-dynamic-range-set").uuid(uuid);
            return self.twice(range.param("min", bytes.as_str()).param("max", bytes)).await;
        }
        let limits = [vm.static_min.min(memory), memory, memory, vm.static_max.max(memory)];
        self.twice(define::memory_limits(uuid, limits)).await
    }

    /// The VM and its VBDs.
    async fn vbds(&self) -> Result<(Vm, Vec<Vbd>)> {
        let uuid = self.guest.uuid;
        let answers = self.xe.run_all(&[observe::vm(uuid), observe::vbds(uuid)]).await;
        let answers = answers.map_err(|error| self.during(error))?;
        let [vm, vbds] = answers.as_slice() else { return Err(self.guest.missing(self.verb)) };
        let vm = observe::read_vms(vm)?.into_iter().next();
        Ok((vm.ok_or_else(|| self.guest.missing(self.verb))?, observe::read_vbds(vbds)?))
    }

    async fn attach_disk(&self, spec: &DiskSpec) -> Result<()> {
        let (vm, vbds) = self.vbds().await?;
        let (object, sr) = (self.guest.object(), self.host.default_sr);
        let vbd = define::add_disk(self.xe, self.guest.uuid, spec, &vbds, sr, &object).await?;
        if vm.power.has_domain()
            && let Err(error) = self.plug("vbd", vbd.uuid).await
        {
            // Undone as it was made.
            let mut undo = vec![XeCommand::new("vbd-destroy").uuid(vbd.uuid)];
            if let (Some(vdi), false) = (vbd.vdi, vbd.keep) {
                undo.push(XeCommand::new("vdi-destroy").uuid(vdi));
            }
            return match self.xe.run_all(&undo).await {
                Ok(_) => Err(error),
                Err(undo) => {
                    let message = format!("{error}; and it could not be undone: {undo}");
                    Err(error::refusal(undo.kind(), self.verb, &object, message))
                }
            };
        }
        Ok(())
    }

    async fn plug(&self, class: &str, uuid: Uuid) -> Result<()> {
        let plug = XeCommand::new(format!("{class}-plug")).uuid(uuid).deadline(self.device());
        match self.xe.run(&plug).await {
            Err(error) if error.is_ambiguous() => match self.xe.run(&plug).await {
                Err(error) if error.code() == Some(&ApiCode::DeviceAlreadyAttached) => Ok(()),
                result => result.map(drop).map_err(|error| self.during(error)),
            },
            result => result.map(drop).map_err(|error| self.during(error)),
        }
    }

    fn device(&self) -> Duration {
        self.host.entry.deadlines.device.max(self.host.entry.deadlines.command)
    }

    /// Unplugs a device where it is attached, and destroys what `after` says.
    async fn unplug(
        &self,
        class: &str,
        uuid: Uuid,
        attached: bool,
        after: XeCommand,
    ) -> Result<()> {
        if attached {
            let unplug = XeCommand::new(format!("{class}-unplug")).uuid(uuid);
            let unplugged = match self.xe.run(&unplug.clone().deadline(self.device())).await {
                Err(error) if error.is_ambiguous() => self.xe.run(&unplug).await,
                result => result,
            };
            match unplugged {
                Err(error) if error.code() == Some(&ApiCode::DeviceAlreadyDetached) => {}
                result => drop(result.map_err(|error| self.during(error))?),
            }
        }
        self.gone(after).await
    }

    /// Destroys something; that it is gone already is a success.
    async fn gone(&self, command: XeCommand) -> Result<()> {
        let result = match self.xe.run(&command).await {
            Err(error) if error.is_ambiguous() => self.xe.run(&command).await,
            result => result,
        };
        match result {
            Err(error) if error.is_missing_object() => Ok(()),
            result => result.map(drop).map_err(|error| self.during(error)),
        }
    }

    async fn detach_disk(&self, device: &str) -> Result<()> {
        let (_, vbds) = self.vbds().await?;
        let Some(vbd) = vbds.iter().find(|vbd| vbd.device == device) else {
            let known = vbds.iter().map(|vbd| vbd.device.clone()).collect();
            return Err(Error::NotFound { kind: "disk", name: device.to_owned(), known });
        };
        let destroy = XeCommand::new("vbd-destroy").uuid(vbd.uuid);
        self.unplug("vbd", vbd.uuid, vbd.attached, destroy).await?;
        match vbd.vdi.filter(|_| vbd.is_disk && !vbd.keep) {
            Some(vdi) => self.gone(XeCommand::new("vdi-destroy").uuid(vdi)).await,
            None => Ok(()),
        }
    }

    async fn attach_vif(&self, spec: &VifSpec) -> Result<()> {
        let network = self.host.network_name(spec.network.as_deref())?;
        let network = networks::uuid_of(self.host, self.xe, &network).await?;
        let mac = spec.mac.unwrap_or_else(MacAddress::random_xen);
        let uuid = self.guest.uuid;
        let allowed = XeCommand::new("vif-list").param("vm-uuid", uuid.to_string());
        let asked = [observe::vm(uuid), allowed.fields(&["uuid", "device"])];
        let answers = self.xe.run_all(&asked).await.map_err(|error| self.during(error))?;
        let [vm, vifs] = answers.as_slice() else { return Err(self.guest.missing(self.verb)) };
        let vm = observe::read_vms(vm)?.into_iter().next();
        let vm = vm.ok_or_else(|| self.guest.missing(self.verb))?;
        let mut used: Vec<usize> = Vec::new();
        for record in parse::records(vifs) {
            used.push(record?.parse("device")?);
        }
        let number = (0..16)
            .find(|number| !used.contains(number))
            .ok_or_else(|| Error::invalid(self.guest.object(), "it has 16 VIFs already"))?;
        let create = define::vif_create(uuid, network, number, mac);
        let find = XeCommand::new("vif-list")
            .param("vm-uuid", uuid.to_string())
            .param("MAC", mac.to_string())
            .minimal();
        let vif = self.xe.create_once(&create, &find).await.map_err(|error| self.during(error))?;
        if vm.power.has_domain()
            && let Err(error) = self.plug("vif", vif).await
        {
            self.gone(XeCommand::new("vif-destroy").uuid(vif)).await?;
            return Err(error);
        }
        Ok(())
    }

    async fn detach_vif(&self, mac: MacAddress) -> Result<()> {
        let list = XeCommand::new("vif-list")
            .param("vm-uuid", self.guest.uuid.to_string())
            .param("MAC", mac.to_string())
            .fields(&["uuid", "currently-attached"]);
        let text = self.xe.run(&list).await.map_err(|error| self.during(error))?;
        let Some(vif) = parse::records(&text).next().transpose()? else {
            let known = Vec::new();
            return Err(Error::NotFound { kind: "VIF", name: mac.to_string(), known });
        };
        let uuid = vif.parse("uuid")?;
        let attached = vif.get("currently-attached") == Some("true");
        let destroy = XeCommand::new("vif-destroy").uuid(uuid);
        self.unplug("vif", uuid, attached, destroy).await
    }
}
