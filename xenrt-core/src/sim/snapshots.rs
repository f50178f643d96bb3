//! Snapshots of simulated guests.

use std::sync::Arc;

use async_trait::async_trait;

use super::defect::Defect;
use super::error::refusal;
use super::fault::SimCall;
use super::guest::SimGuest;
use super::requests::gone;
use super::vm::{Saved, Vm};
use super::world::draw_uuid;
use crate::model::{Guest, PowerState, Snapshot, SnapshotKind, Snapshots};
use crate::{Result, ToolstackErrorKind};

/// The snapshots of a simulated guest.
#[derive(Debug, Clone)]
pub(super) struct SimSnapshots(pub(super) SimGuest);

impl SimSnapshots {
    fn missing(&self, verb: &str, snapshot: &Snapshot) -> crate::Error {
        let object = format!("snapshot {:?} of guest {:?}", snapshot.name, self.0.name());
        refusal(ToolstackErrorKind::NoSuchObject, verb, &object, "it is not there")
    }
}

#[async_trait]
impl Snapshots for SimSnapshots {
    fn guest(&self) -> &dyn Guest {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Snapshots> {
        Arc::new(self.clone())
    }

    async fn list(&self) -> Result<Vec<Snapshot>> {
        let (machine, admitted) = self.0.enter(SimCall::View, None).await?;
        let uuid = self.0.real_uuid();
        let listed = {
            let mut state = machine.state();
            let vm = state.vm(&machine, uuid);
            let vm = vm.ok_or_else(|| gone(&machine, "list the snapshots of", uuid))?;
            vm.snapshots.iter().map(|(snapshot, _)| snapshot.clone()).collect()
        };
        machine.answer(&admitted, SimCall::View, listed)
    }

    async fn request_create(&self, name: &str, kind: SnapshotKind) -> Result<Snapshot> {
        let (machine, admitted) = self.0.enter(SimCall::Request, Some("snapshot")).await?;
        let uuid = self.0.real_uuid();
        let mut state = machine.state();
        let Some(vm) = state.vm(&machine, uuid).cloned() else {
            return Err(gone(&machine, "take a snapshot of", uuid));
        };
        let contents = state.contents_of(&vm);
        let mut kept = Vm { snapshots: Vec::new(), contents, ..vm };
        let domain = kept.domain.take();
        let memory = kind == SnapshotKind::Memory;
        if !memory {
            kept.saved = None;
        } else if let Some(mut domain) = domain {
            if machine.has(Defect::SnapshotLosesMemory) {
                domain.boot_id = draw_uuid(machine.world.seed, &["no memory"], kept.snapshots_made);
            }
            kept.saved = Some(Box::new(Saved { uuid, domain }));
        }
        let reverts_to = if memory { PowerState::Suspended } else { PowerState::Halted };
        let Some(vm) = state.vm(&machine, uuid) else {
            return Err(gone(&machine, "take a snapshot of", uuid));
        };
        vm.snapshots_made += 1;
        let count = vm.snapshots_made;
        let id = draw_uuid(machine.world.seed, &["snapshot", &uuid.to_string()], count).to_string();
        let snapshot = Snapshot { id, name: name.to_owned(), kind, reverts_to };
        vm.snapshots.push((snapshot.clone(), kept));
        if machine.has(Defect::SnapshotPauses)
            && let Some(domain) = &mut vm.domain
        {
            domain.power = PowerState::Paused;
        }
        drop(state);
        machine.answer(&admitted, SimCall::Request, snapshot)
    }

    async fn request_revert(&self, snapshot: &Snapshot) -> Result<()> {
        let (machine, admitted) = self.0.enter(SimCall::Request, Some("revert")).await?;
        if admitted.ignore {
            return machine.answer(&admitted, SimCall::Request, ());
        }
        let uuid = self.0.real_uuid();
        let mut state = machine.state();
        let Some(now) = state.vm(&machine, uuid) else {
            return Err(gone(&machine, "revert", uuid));
        };
        let kept = now.snapshots.iter().find(|(kept, _)| kept.id == snapshot.id);
        let Some((_, then)) = kept else { return Err(self.missing("revert to", snapshot)) };
        let contents = match machine.has(Defect::RevertKeepsDisks) {
            true => Default::default(),
            false => then.contents.clone(),
        };
        let then = match machine.has(Defect::RevertKeepsDefinition) {
            true => &Vm { domain: None, saved: then.saved.clone(), ..now.clone() },
            false => then,
        };
        let mut snapshots = now.snapshots.clone();
        if machine.has(Defect::RevertEatsSnapshot) {
            snapshots.retain(|(kept, _)| kept.id != snapshot.id);
        }
        let then = Vm {
            name: now.name.clone(),
            snapshots,
            snapshots_made: now.snapshots_made,
            contents: Default::default(),
            ..then.clone()
        };
        let owned = |vm: &Vm| -> Vec<String> {
            let owned = vm.disks.iter().filter(|disk| disk.owned);
            owned.map(|disk| disk.disk.path.clone()).collect()
        };
        let (disks_now, disks_then) = (owned(now), owned(&then));
        *now = then;
        // Disks that came since go, and those that went come back.
        state.files.retain(|path, _| !disks_now.contains(path) || disks_then.contains(path));
        if !machine.has(Defect::RevertKeepsDisks) {
            state.contents.retain(|path, _| !disks_now.contains(path));
        }
        state.contents.extend(contents);
        for path in disks_then {
            state.files.entry(path).or_default();
        }
        drop(state);
        machine.answer(&admitted, SimCall::Request, ())
    }

    async fn request_delete(&self, snapshot: &Snapshot) -> Result<()> {
        let (machine, admitted) = self.0.enter(SimCall::Request, Some("delete snapshot")).await?;
        let mut state = machine.state();
        let uuid = self.0.real_uuid();
        let Some(vm) = state.vm(&machine, uuid) else {
            return Err(gone(&machine, "delete a snapshot of", uuid));
        };
        if machine.has(Defect::SnapshotDeleteIgnored)
            && vm.snapshots.iter().any(|(kept, _)| kept.id == snapshot.id)
        {
            drop(state);
            return machine.answer(&admitted, SimCall::Request, ());
        }
        let before = vm.snapshots.len();
        vm.snapshots.retain(|(kept, _)| kept.id != snapshot.id);
        let removed = vm.snapshots.len() < before;
        drop(state);
        if !removed {
            return Err(self.missing("delete", snapshot));
        }
        machine.answer(&admitted, SimCall::Request, ())
    }
}
