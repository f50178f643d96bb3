//! Live migration between the hosts of one simulated lab.

use std::any::Any;
use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::defect::Defect;
use super::error::refusal;
use super::host::SimHost;
use super::machine::Machine;
use super::requests::gone;
use super::time::pause;
use super::world::draw_uuid;
use crate::model::{Ability, Host, PowerState};
use crate::{Error, Result, ToolstackErrorKind};

/// Moves a running guest to `target`. Returns the machine that it is on now, and its identity.
pub(super) async fn migrate(
    source: &Arc<Machine>,
    uuid: Uuid,
    target: &Arc<dyn Host>,
) -> Result<Arc<Machine>> {
    let what = "the target of a migration";
    let any: &dyn Any = &**target;
    let Some(target) = any.downcast_ref::<SimHost>() else {
        let problem =
            format!("host {} is managed by {}, not by sim", target.name(), target.toolstack());
        return Err(Error::invalid(what, problem));
    };
    let target = target.machine();
    if Arc::ptr_eq(source, target) {
        if source.has(Defect::MigrateToItselfKills) {
            source.state().halt(source, uuid);
        }
        return Err(Error::invalid(what, "the guest is on it already"));
    }
    if !Arc::ptr_eq(&source.world, &target.world) {
        return Err(Error::invalid(what, "it is a host of another simulated lab"));
    }
    target.abilities.require(super::TOOLSTACK, Ability::LiveMigration)?;
    let object = {
        let mut state = source.state();
        let vm = state.vm(source, uuid).ok_or_else(|| gone(source, "migrate", uuid))?;
        let object = vm.object();
        if vm.power() != PowerState::Running {
            let message = format!("it is {}", vm.power());
            return Err(refusal(ToolstackErrorKind::BadState, "migrate", &object, message));
        }
        let vm = vm.clone();
        drop(state);
        target.reachable()?;
        let there = target.state();
        if there.vms.values().any(|other| other.name == vm.name) {
            let message = format!("the target has a guest named {:?} already", vm.name);
            return Err(refusal(ToolstackErrorKind::AlreadyExists, "migrate", &object, message));
        }
        if let Some(vif) =
            vm.vifs.iter().find(|vif| there.networks.iter().all(|n| n.network.name != vif.network))
        {
            let message = format!("the target has no network {:?}", vif.network);
            return Err(refusal(ToolstackErrorKind::NoSuchObject, "migrate", &object, message));
        }
        there.require_memory(target, &vm, "migrate")?;
        object
    };
    pause(source.world.timing.memory).await;
    target.reachable()?;
    hand_over(source, target, uuid, &object)?;
    Ok(Arc::clone(target))
}

/// One lock at a time: two guests may cross on their way.
fn hand_over(source: &Arc<Machine>, target: &Arc<Machine>, uuid: Uuid, object: &str) -> Result<()> {
    let (mut vm, files, contents) = {
        let mut state = source.state();
        let vm = state.vm(source, uuid).ok_or_else(|| gone(source, "migrate", uuid))?;
        if vm.power() != PowerState::Running {
            let message = format!("it is {} in the middle of it", vm.power());
            return Err(refusal(ToolstackErrorKind::BadState, "migrate", object, message));
        }
        let vm = vm.clone();
        state.vms.remove(&uuid);
        if source.has(Defect::MigrateLeavesSource)
            && let Some(domain) = &vm.domain
        {
            state.strays.push((uuid, domain.clone()));
        }
        let paths = vm.disks.iter().filter(|disk| disk.owned).map(|disk| disk.disk.path.clone());
        let files: Vec<_> =
            paths.filter_map(|path| state.files.remove(&path).map(|bytes| (path, bytes))).collect();
        let contents = state.contents_of(&vm);
        state.contents.retain(|path, _| !contents.contains_key(path));
        (vm, files, contents)
    };
    let mut state = target.state();
    let now = Instant::now();
    let mut arrived = vm.domain.take();
    let ahead = arrived.as_ref().and_then(|domain| domain.ahead);
    state.vms.insert(uuid, vm);
    state.files.extend(files);
    state.contents.extend(contents);
    state.boot(target, uuid, PowerState::Running);
    let Some(vm) = state.vms.get_mut(&uuid) else { return Ok(()) };
    if let (Some(domain), Some(arrived)) =
        (&mut vm.domain, arrived.as_mut().filter(|_| !source.has(Defect::MigrateReboots)))
    {
        arrived.domid = domain.domid;
        arrived.ahead = ahead;
        arrived.set_power(PowerState::Running, now);
        *domain = arrived.clone();
    }
    vm.unlisted = source.has(Defect::MigrateForgets);
    if source.has(Defect::MigrateLosesVif) {
        vm.vifs.clear();
    }
    if let Some(address) = vm.address {
        target.world.place(address, target, uuid);
    }
    Ok(())
}

/// What the library takes for the identity of a guest that arrived.
pub(super) fn identity_after(target: &Machine, uuid: Uuid) -> Uuid {
    if target.has(Defect::MigrateChangesUuid) {
        return draw_uuid(target.world.seed, &["migrated"], uuid.as_u64_pair().0);
    }
    uuid
}
