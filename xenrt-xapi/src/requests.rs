//! Carrying out requests: each is few calls of `xe`.

use std::net::IpAddr;
use std::time::Duration;

use uuid::Uuid;
use xenrt_core::model::{DiskSpec, GuestAction, MacAddress, Memory, PowerState, VifSpec};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::guest::GuestShared;
use crate::observe::{self, Vbd, Vm};
use crate::parse;
use crate::shared::HostShared;
use crate::xe::{self, ApiCode, ApiError, Chain, Xe, XeCommand, XeError};
use crate::{define, disks, error, networks, settings};

/// One request about one guest.
pub(crate) struct Request<'a> {
    pub(crate) host: &'a HostShared,
    pub(crate) xe: &'a Xe,
    pub(crate) guest: &'a GuestShared,
    pub(crate) verb: &'static str,
}

/// What a look at a VM shows: its power state and the address that its agent reports.
pub(crate) type Seen = (PowerState, Option<IpAddr>);

/// Passes `action` to xapi. What the VM is afterwards is looked at in the same remote command where
/// that is wanted and `action` is a power verb.
///
/// Calls of `xe`: one for a power verb and one for the look, three to delete, two to rename or to
/// set vCPUs or memory, three to six for a device.
pub(crate) async fn carry_out(
    host: &HostShared,
    xe: &Xe,
    guest: &GuestShared,
    action: &GuestAction,
    look: bool,
) -> Result<Option<Seen>> {
    let request = Request { host, xe, guest, verb: action.verb() };
    if let Some((command, goal)) = request.power_command(action) {
        return request.power(command, goal, look).await;
    }
    request.other(action).await.map(|()| None)
}

/// Removes a VM with its snapshots and the disks that were made for it. Disks that were there
/// before stay: those of VBDs that are marked so, and `keep`. One that is gone is a success; one that
/// has a domain is refused here, since `vm-uninstall` itself would end it by force.
///
/// Where the connection breaks, what is left is looked at and removed, until the client's deadline.
pub(crate) async fn remove(xe: &Xe, vm: Uuid, keep: &[Uuid]) -> xe::Result<()> {
    xe.until_told(xe.deadline(), |_| remove_once(xe, vm, keep)).await
}

async fn remove_once(xe: &Xe, vm: Uuid, keep: &[Uuid]) -> xe::Result<()> {
    let list = XeCommand::new("vm-list").uuid(vm).fields(&["power-state", "snapshots"]);
    let answers = xe.run_all(&[list, observe::vbds(vm)]).await?;
    let [listed, vbds] = answers.as_slice() else {
        return Err(XeError::Other { message: "xe answered one question of two".to_owned() });
    };
    let Some(own) = parse::records(listed).next().transpose()? else { return Ok(()) };
    let state = own.require("power-state")?;
    if observe::power(state)?.has_domain() {
        let message = "a VM that has a domain is not removed; shut it down first";
        let expected = "halted, suspended";
        let parameters =
            [("vm", vm.to_string().as_str()), ("expected", expected), ("actual", state)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        return Err(XeError::Api(ApiError {
            code: ApiCode::VmBadPowerState,
            parameters: parameters.to_vec(),
            message: message.to_owned(),
        }));
    }
    let snapshots = parse::values::set(own.get("snapshots").unwrap_or_default());
    let vbds = observe::read_vbds(vbds)?;
    let stays = |vbd: &&Vbd| vbd.keep || vbd.vdi.is_some_and(|vdi| keep.contains(&vdi));
    let mut commands: Vec<XeCommand> =
        vbds.iter().filter(stays).map(|vbd| XeCommand::new("vbd-destroy").uuid(vbd.uuid)).collect();
    for snapshot in snapshots.into_iter().filter(|snapshot| !snapshot.is_empty()) {
        commands.push(XeCommand::new("snapshot-uninstall").param("uuid", snapshot));
    }
    commands.push(XeCommand::new("vm-uninstall").uuid(vm));
    match xe.run_all(&commands).await {
        Err(error) if error.is_ambiguous() || error.is_missing_object() => {
            // What is gone must not be asked for again.
            let left = xe.uuids(XeCommand::new("vm-list").uuid(vm)).await?;
            if left.is_empty() { Ok(()) } else { Err(error) }
        }
        result => result.map(drop),
    }
}

impl Request<'_> {
    /// The command of a verb that leads to a power state, and that state.
    fn power_command(&self, action: &GuestAction) -> Option<(XeCommand, PowerState)> {
        let deadlines = &self.host.entry.deadlines;
        let within =
            |name: &str, deadline| XeCommand::new(name).uuid(self.guest.uuid).deadline(deadline);
        let command = |name: &str| within(name, deadlines.command);
        let long = |name: &str| within(name, deadlines.suspend);
        let on = |command: XeCommand| command.param("on", self.host.uuid.to_string());
        Some(match action {
            GuestAction::Start => (on(command("vm-start")), PowerState::Running),
            GuestAction::StartPaused => {
                (on(command("vm-start")).flag("paused"), PowerState::Paused)
            }
            GuestAction::Shutdown => (within("vm-shutdown", deadlines.state), PowerState::Halted),
            GuestAction::PowerOff => (command("vm-shutdown").flag("force"), PowerState::Halted),
            GuestAction::Pause => (command("vm-pause"), PowerState::Paused),
            GuestAction::Unpause => (command("vm-unpause"), PowerState::Running),
            GuestAction::Suspend => (long("vm-suspend"), PowerState::Suspended),
            GuestAction::Resume => (on(long("vm-resume")), PowerState::Running),
            _ => return None,
        })
    }

    async fn other(&self, action: &GuestAction) -> Result<()> {
        let deadlines = &self.host.entry.deadlines;
        let reboot = XeCommand::new("vm-reboot").uuid(self.guest.uuid);
        match action {
            GuestAction::Reboot => self.plain(reboot.deadline(deadlines.boot)).await,
            GuestAction::Reset => {
                self.plain(reboot.flag("force").deadline(deadlines.command)).await
            }
            GuestAction::Save(_) | GuestAction::Restore(_) => {
                let message = "xapi keeps a suspended guest on its own storage alone";
                let kind = ToolstackErrorKind::NotSupported;
                Err(error::refusal(kind, action.verb(), &self.guest.object(), message))
            }
            GuestAction::Delete => self.delete().await,
            GuestAction::Rename(name) => self.rename(name).await,
            GuestAction::SetVcpus(vcpus) => self.set_vcpus(*vcpus).await,
            GuestAction::SetMemory(memory) => self.set_memory(*memory).await,
            GuestAction::AttachDisk(spec) => self.attach_disk(spec).await,
            GuestAction::DetachDisk(device) => self.detach_disk(device).await,
            GuestAction::AttachVif(spec) => self.attach_vif(spec).await,
            GuestAction::DetachVif(mac) => self.detach_vif(*mac).await,
            other => {
                let message = "this version of the library does not know that request";
                let kind = ToolstackErrorKind::NotSupported;
                Err(error::refusal(kind, other.verb(), &self.guest.object(), message))
            }
        }
    }

    fn during(&self, error: XeError) -> Error {
        error.during(self.verb, &self.guest.object())
    }

    async fn plain(&self, command: XeCommand) -> Result<()> {
        self.xe.run(&command).await.map(drop).map_err(|error| self.during(error))
    }

    /// A verb that leads to the power state `goal`. Where the connection broke, the state tells
    /// whether it was carried out; only where it was not, it is sent again, until its deadline.
    async fn power(
        &self,
        command: XeCommand,
        goal: PowerState,
        look: bool,
    ) -> Result<Option<Seen>> {
        let mut both = vec![command.clone()];
        both.extend(look.then(|| observe::addresses(self.guest.uuid)));
        let Chain { outputs, error } = self.xe.run_chain(&both).await;
        let error = match (outputs.as_slice(), error) {
            ([], Some(error)) if error.is_ambiguous() => error,
            (_, Some(error)) => return Err(self.during(error)),
            ([_, seen], None) => return self.seen(seen).map(Some),
            (_, None) => return Ok(None),
        };
        if matches!(error, XeError::Remote(xenrt_core::remote::RemoteError::Deadline { .. })) {
            return Err(self.during(error));
        }
        let state = || async {
            let text = self.xe.run(&observe::addresses(self.guest.uuid)).await;
            self.seen(&text.map_err(|error| self.during(error))?)
        };
        // What it was before counts until it is sent again; then a state that is not the one which
        // the command needs may be that of an earlier try.
        let command = &command;
        let sent = self.xe.until_told(self.xe.time_for(command), |left| async move {
            let text = self.xe.run(&observe::addresses(self.guest.uuid)).await?;
            let seen = self.seen(&text)?;
            if seen.0 == goal {
                return Ok(Some(seen));
            }
            self.xe.run(&command.clone().deadline(left)).await.map(|_| None)
        });
        match sent.await {
            // An earlier one was carried out after all, a moment later.
            Err(again) if again.code() == Some(&ApiCode::VmBadPowerState) => {
                let seen = state().await?;
                if seen.0 == goal { Ok(Some(seen)) } else { Err(self.during(again)) }
            }
            sent => sent.map_err(|error| self.during(error)),
        }
    }

    fn seen(&self, text: &str) -> Result<Seen> {
        observe::read_addresses(text)?.ok_or_else(|| self.guest.missing(self.verb))
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
        let taken = || {
            let kind = ToolstackErrorKind::AlreadyExists;
            let message = format!("there is a guest named {name:?} already");
            error::refusal(kind, self.verb, &self.guest.object(), message)
        };
        // xapi itself would let two have it.
        let _own = self.host.reserve_name(name).ok_or_else(taken)?;
        let same = XeCommand::new("vm-list").param("name-label", name);
        let others = self.xe.uuids(same).await.map_err(|error| self.during(error))?;
        if others.iter().any(|uuid| *uuid != self.guest.uuid) {
            return Err(taken());
        }
        let set = XeCommand::new("vm-param-set").uuid(self.guest.uuid).param("name-label", name);
        self.twice(set).await?;
        self.guest.renamed(name);
        Ok(())
    }

    /// Sends something that is the same when it is done twice.
    async fn twice(&self, command: XeCommand) -> Result<()> {
        self.xe.repeat(&command, |_| false).await.map_err(|error| self.during(error))
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
        self.twice(settings::memory_limits(limits).uuid(uuid)).await
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
        let (object, sr) = (self.guest.object(), self.host.default_sr());
        let vbd = disks::add(self.xe, self.guest.uuid, spec, &vbds, sr, &object).await?;
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
        let there = |error: &XeError| error.code() == Some(&ApiCode::DeviceAlreadyAttached);
        self.xe.repeat(&plug, there).await.map_err(|error| self.during(error))
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
            match self.xe.repeat(&unplug.deadline(self.device()), |_| false).await {
                Err(error) if error.code() == Some(&ApiCode::DeviceAlreadyDetached) => {}
                result => result.map_err(|error| self.during(error))?,
            }
        }
        self.gone(after).await
    }

    /// Destroys something; that it is gone already is a success.
    async fn gone(&self, command: XeCommand) -> Result<()> {
        match self.xe.repeat(&command, |_| false).await {
            Err(error) if error.is_missing_object() => Ok(()),
            result => result.map_err(|error| self.during(error)),
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
        let create = define::vif_create(network, number, mac).param("vm-uuid", uuid.to_string());
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
