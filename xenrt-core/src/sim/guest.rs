//! A guest of a simulated host.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use super::defect::Defect;
use super::fault::{Lie, SimCall};
use super::faults::Asked;
use super::host::SimHost;
use super::machine::{Admitted, Machine};
use super::migration::{self, identity_after};
use super::requests::{self, gone};
use super::snapshots::SimSnapshots;
use super::vm::Vm;
use crate::Result;
use crate::model::{
    Ability, DomainView, Expectation, ExpectedGuest, Guest, GuestAction, GuestKind, GuestView,
    Host, PowerState, Scope, Snapshots,
};
use crate::remote::Wait;

/// A guest of a simulated host; see [`Guest`].
#[derive(Debug, Clone)]
pub struct SimGuest {
    shared: Arc<GuestShared>,
    scope: Scope,
}

/// What all handles to one guest share.
#[derive(Debug)]
pub(super) struct GuestShared {
    uuid: Uuid,
    kind: GuestKind,
    image: Option<String>,
    expectation: Expectation,
    /// One request at a time.
    one_request: tokio::sync::Mutex<()>,
    place: Mutex<Place>,
}

#[derive(Debug)]
struct Place {
    machine: Arc<Machine>,
    name: String,
    /// What the library takes for its identity.
    uuid: Uuid,
}

impl GuestShared {
    pub(super) fn new(machine: &Arc<Machine>, vm: &Vm) -> Self {
        let view = vm.view();
        let expected = ExpectedGuest {
            power: view.power,
            vcpus: view.vcpus,
            memory: view.memory,
            disks: view.disks,
            vifs: view.vifs,
            address: None,
            reachable: false,
        };
        let place = Place { machine: Arc::clone(machine), name: vm.name.clone(), uuid: vm.uuid };
        Self {
            uuid: vm.uuid,
            kind: vm.kind,
            image: vm.image.clone(),
            expectation: Expectation::new(expected),
            one_request: tokio::sync::Mutex::new(()),
            place: Mutex::new(place),
        }
    }

    fn machine(&self) -> Arc<Machine> {
        Arc::clone(&self.place.lock().unwrap_or_else(PoisonError::into_inner).machine)
    }

    pub(super) fn name(&self) -> String {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).name.clone()
    }
}

impl SimGuest {
    pub(super) fn new(shared: Arc<GuestShared>, scope: Scope) -> Self {
        Self { shared, scope }
    }

    /// Its identity in the simulation, whatever the library takes for it.
    pub(super) fn real_uuid(&self) -> Uuid {
        self.shared.uuid
    }

    pub(super) async fn enter(
        &self,
        call: SimCall,
        verb: Option<&str>,
    ) -> Result<(Arc<Machine>, Admitted)> {
        let machine = self.shared.machine();
        let name = self.shared.name();
        let host = machine.entry.name.as_str();
        let asked = Asked { call, host, guest: Some(&name), verb, command: None };
        let deadlines = &machine.entry.deadlines;
        let deadline = match (call, verb) {
            (SimCall::Migrate, _) => deadlines.migrate,
            (_, Some("suspend" | "resume" | "save" | "restore")) => deadlines.suspend,
            _ => deadlines.command,
        };
        let admitted = machine.enter(asked, deadline).await?;
        Ok((machine, admitted))
    }

    /// Follows a rename that went through the toolstack of another handle.
    fn learn(&self, name: String) {
        self.shared.place.lock().unwrap_or_else(PoisonError::into_inner).name = name;
    }
}

#[async_trait]
impl Guest for SimGuest {
    fn name(&self) -> String {
        self.shared.name()
    }

    fn uuid(&self) -> Uuid {
        self.shared.place.lock().unwrap_or_else(PoisonError::into_inner).uuid
    }

    fn kind(&self) -> GuestKind {
        self.shared.kind
    }

    fn image(&self) -> Option<String> {
        self.shared.image.clone()
    }

    fn host(&self) -> Arc<dyn Host> {
        let machine = self.shared.machine();
        let lost = machine.has(Defect::ScopeLost);
        let scope = if lost { Scope::default() } else { self.scope.clone() };
        Arc::new(SimHost::new(machine, scope))
    }

    fn expectation(&self) -> &Expectation {
        &self.shared.expectation
    }

    async fn request(&self, action: &GuestAction) -> Result<()> {
        let _one = if self.shared.machine().has(Defect::TwoAtOnce) {
            None
        } else {
            Some(self.shared.one_request.lock().await)
        };
        let (machine, admitted) = self.enter(SimCall::Request, Some(action.verb())).await?;
        if !admitted.ignore {
            requests::carry_out(&machine, self.shared.uuid, action).await?;
            if *action == GuestAction::Delete {
                machine.forget_handle(self.shared.uuid);
            }
            let mut place = self.shared.place.lock().unwrap_or_else(PoisonError::into_inner);
            if let GuestAction::Rename(name) = action {
                place.name.clone_from(name);
                if machine.has(Defect::RenameChangesUuid) {
                    place.uuid = Uuid::from_u128(place.uuid.as_u128() ^ 1);
                }
            }
        }
        machine.answer(&admitted, SimCall::Request, ())
    }

    async fn view(&self) -> Result<GuestView> {
        let (machine, admitted) = self.enter(SimCall::View, None).await?;
        let mut view = {
            let mut state = machine.state();
            match state.vm(&machine, self.shared.uuid) {
                Some(vm) => {
                    self.learn(vm.name.clone());
                    vm.view()
                }
                None if machine.has(Defect::GoneIsHalted) => {
                    let expected = self.shared.expectation.get();
                    GuestView {
                        power: PowerState::Halted,
                        vcpus: expected.vcpus,
                        max_vcpus: expected.vcpus,
                        memory: expected.memory,
                        disks: expected.disks,
                        vifs: expected.vifs,
                    }
                }
                None => return Err(gone(&machine, "look at", self.shared.uuid)),
            }
        };
        for lie in &admitted.lies {
            match lie {
                Lie::Power(power) => view.power = *power,
                Lie::Vcpus(vcpus) => view.vcpus = *vcpus,
                Lie::Memory(memory) => view.memory = *memory,
                Lie::NoDisks => view.disks.clear(),
                Lie::NoVifs => view.vifs.clear(),
                Lie::NoDomain => view.power = PowerState::Halted,
                Lie::Address(_) | Lie::Console(_) => {}
            }
        }
        machine.answer(&admitted, SimCall::View, view)
    }

    async fn domain(&self) -> Result<Option<DomainView>> {
        let (machine, admitted) = self.enter(SimCall::Domain, None).await?;
        let now = Instant::now();
        let uuid = self.shared.uuid;
        let mut view = {
            let mut state = machine.state();
            let own = state
                .vm(&machine, uuid)
                .and_then(|vm| vm.domain.as_ref().map(|domain| domain.view(uuid, now)));
            let stray = || state.strays.iter().find(|(own, _)| *own == uuid);
            own.or_else(|| stray().map(|(_, domain)| domain.view(uuid, now)))
        };
        if let Some(view) = view.as_mut().filter(|_| machine.has(Defect::CpuTimeStands)) {
            view.cpu_seconds = 1.0;
        }
        distort(&mut view, &admitted.lies);
        machine.answer(&admitted, SimCall::Domain, view)
    }

    async fn find_address(&self) -> Result<Wait<IpAddr>> {
        let (machine, admitted) = self.enter(SimCall::FindAddress, None).await?;
        let lie = admitted.lies.iter().find_map(|lie| match lie {
            Lie::Address(address) => Some(*address),
            _ => None,
        });
        let address = {
            let mut state = machine.state();
            let vm = state.vm(&machine, self.shared.uuid);
            let vm = vm.ok_or_else(|| gone(&machine, "look at", self.shared.uuid))?;
            let own = vm.address;
            if machine.has(Defect::StaleAddress) {
                // The address of the guest that was defined before this one, if it is still there.
                let name = vm.name.clone();
                let others = state.vms.values().filter(|vm| vm.name != name);
                others.filter_map(|vm| vm.address).max().or(own)
            } else {
                own
            }
        };
        let found = match lie.or(address) {
            Some(address) => Wait::Done(address),
            None => Wait::NotYet("it has no VIF".to_owned()),
        };
        machine.answer(&admitted, SimCall::FindAddress, found)
    }

    async fn console_text(&self) -> Result<String> {
        self.shared.machine().abilities.require(super::TOOLSTACK, Ability::ConsoleLog)?;
        let (machine, admitted) = self.enter(SimCall::Console, None).await?;
        let mut text = {
            let mut state = machine.state();
            let uuid = self.shared.uuid;
            let vm = state.vm(&machine, uuid).ok_or_else(|| gone(&machine, "look at", uuid))?;
            let text = vm.console_text(Instant::now());
            let other = |state: &super::machine::MachineState| {
                let other = state.vms.values().find(|vm| vm.uuid != uuid);
                other.map(|vm| vm.console_text(Instant::now()))
            };
            match () {
                () if machine.has(Defect::ConsoleEmpty) => String::new(),
                () if machine.has(Defect::ConsoleOfAnother) => other(&state).unwrap_or(text),
                () => text,
            }
        };
        for lie in &admitted.lies {
            if let Lie::Console(lie) = lie {
                text.clone_from(lie);
            }
        }
        machine.answer(&admitted, SimCall::Console, text)
    }

    fn snapshots(&self) -> Result<Arc<dyn Snapshots>> {
        self.shared.machine().abilities.require(super::TOOLSTACK, Ability::Snapshots)?;
        Ok(Arc::new(SimSnapshots(self.clone())))
    }

    async fn request_migration(&self, target: &Arc<dyn Host>) -> Result<()> {
        let _one = self.shared.one_request.lock().await;
        self.shared.machine().abilities.require(super::TOOLSTACK, Ability::LiveMigration)?;
        let (machine, admitted) = self.enter(SimCall::Migrate, Some("migrate")).await?;
        if !admitted.ignore {
            let arrived = migration::migrate(&machine, self.shared.uuid, target).await?;
            machine.forget_handle(self.shared.uuid);
            arrived.take_in(&self.shared);
            let mut place = self.shared.place.lock().unwrap_or_else(PoisonError::into_inner);
            place.uuid = identity_after(&arrived, place.uuid);
            place.machine = arrived;
        }
        machine.answer(&admitted, SimCall::Migrate, ())
    }
}

/// Makes the hypervisor's view of a guest what the lies say.
pub(super) fn distort(view: &mut Option<DomainView>, lies: &[Lie]) {
    for lie in lies {
        match (lie, view.as_mut()) {
            (Lie::NoDomain, _) => *view = None,
            (Lie::Power(power), Some(view)) => view.power = *power,
            (Lie::Vcpus(vcpus), Some(view)) => view.vcpus = *vcpus,
            (Lie::Memory(memory), Some(view)) => view.memory = *memory,
            _ => {}
        }
    }
}

impl GuestShared {
    pub(super) fn uuid(&self) -> Uuid {
        self.uuid
    }
}
