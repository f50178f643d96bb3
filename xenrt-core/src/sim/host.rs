//! A simulated host.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::defect::Defect;
use super::fault::SimCall;
use super::faults::Asked;
use super::guest::{SimGuest, distort};
use super::machine::{Admitted, CPUS, DOM0_MEMORY, MEMORY, Machine};
use super::nics::SimInterfaces;
use super::pool::SimPooling;
use super::shell::SimShell;
use super::storages::SimStorages;
use super::templates::SimTemplates;
use crate::Result;
use crate::lab::HostEntry;
use crate::model::{
    Abilities, Ability, DomainView, EvidenceSource, Guest, GuestSpec, Host, HostInfo,
    HostInventory, Interfaces, Memory, Network, NetworkSpec, Pooling, PowerState, Scope, Storages,
    Templates,
};
use crate::remote::{Command, ObservedShell, Shell};

/// A simulated host; see [`Host`]. Given out by a [`SimLab`](super::SimLab).
#[derive(Debug, Clone)]
pub struct SimHost {
    machine: Arc<Machine>,
    scope: Scope,
}

impl SimHost {
    pub(super) fn new(machine: Arc<Machine>, scope: Scope) -> Self {
        Self { machine, scope }
    }

    pub(super) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    fn observed(&self, shell: SimShell) -> Arc<dyn Shell> {
        let shell: Arc<dyn Shell> = Arc::new(shell);
        match self.scope.observer() {
            Some(observer) => Arc::new(ObservedShell::new(shell, Arc::clone(observer))),
            None => shell,
        }
    }

    pub(super) async fn enter(&self, call: SimCall, guest: Option<&str>) -> Result<Admitted> {
        let host = self.machine.entry.name.as_str();
        let asked = Asked { call, host, guest, verb: None, command: None };
        self.machine.enter(asked, self.machine.entry.deadlines.command).await
    }

    fn handle(&self, vm: &super::vm::Vm) -> Arc<dyn Guest> {
        Arc::new(SimGuest::new(self.machine.handle(vm), self.scope.clone()))
    }
}

#[async_trait]
impl Host for SimHost {
    fn name(&self) -> &str {
        &self.machine.entry.name
    }

    fn toolstack(&self) -> &'static str {
        super::TOOLSTACK
    }

    fn entry(&self) -> &HostEntry {
        &self.machine.entry
    }

    fn abilities(&self) -> &Abilities {
        &self.machine.abilities
    }

    fn dom0(&self) -> Arc<dyn Shell> {
        self.observed(SimShell::dom0(Arc::clone(&self.machine)))
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn in_scope(&self, scope: Scope) -> Arc<dyn Host> {
        Arc::new(Self { machine: Arc::clone(&self.machine), scope })
    }

    async fn info(&self) -> Result<HostInfo> {
        let admitted = self.enter(SimCall::Info, None).await?;
        let free_memory = if self.machine.has(Defect::FreeMemoryStands) {
            Memory::bytes(MEMORY.as_bytes() - DOM0_MEMORY.as_bytes())
        } else {
            let mut state = self.machine.state();
            state.settle_all(&self.machine);
            state.free_memory()
        };
        let info = HostInfo {
            hostname: self.name().to_owned(),
            hypervisor: "Sim 1".to_owned(),
            kernel: "6.1.0-sim".to_owned(),
            cpus: CPUS,
            memory: MEMORY,
            free_memory,
            capabilities: vec!["sim-3.0-x86_64".to_owned()],
        };
        self.machine.answer(&admitted, SimCall::Info, info)
    }

    async fn domains(&self) -> Result<Vec<DomainView>> {
        let admitted = self.enter(SimCall::Domains, None).await?;
        let now = Instant::now();
        let own = {
            let mut state = self.machine.state();
            state.settle_all(&self.machine);
            state.domains(now)
        };
        let told = own.into_iter().filter_map(|domain| {
            let mut told = Some(domain);
            distort(&mut told, &admitted.lies);
            told
        });
        let dom0 = (!self.machine.has(Defect::Dom0Hidden)).then(|| DomainView {
            domid: 0,
            name: "Domain-0".to_owned(),
            uuid: Some(uuid::Uuid::nil()),
            power: PowerState::Running,
            vcpus: CPUS,
            memory: DOM0_MEMORY,
            cpu_seconds: 1.0,
        });
        let domains = dom0.into_iter().chain(told).collect();
        self.machine.answer(&admitted, SimCall::Domains, domains)
    }

    async fn define_guest(&self, spec: &GuestSpec) -> Result<Arc<dyn Guest>> {
        let admitted = self.enter(SimCall::Define, Some(&spec.name)).await?;
        let vm = self.machine.define(spec)?;
        self.machine.answer(&admitted, SimCall::Define, self.handle(&vm))
    }

    async fn guests(&self) -> Result<Vec<Arc<dyn Guest>>> {
        let admitted = self.enter(SimCall::Guests, None).await?;
        let hidden = self.machine.has(Defect::HaltedGuestsHidden);
        let vms: Vec<_> = {
            let mut state = self.machine.state();
            state.settle_all(&self.machine);
            let shown = state.vms.values().filter(|vm| !hidden || vm.domain.is_some());
            shown.filter(|vm| !vm.unlisted).cloned().collect()
        };
        let guests = vms.iter().map(|vm| self.handle(vm)).collect();
        self.machine.answer(&admitted, SimCall::Guests, guests)
    }

    async fn networks(&self) -> Result<Vec<Network>> {
        let admitted = self.enter(SimCall::Networks, None).await?;
        let networks =
            self.machine.state().networks.iter().map(|own| own.network.clone()).collect();
        self.machine.answer(&admitted, SimCall::Networks, networks)
    }

    async fn define_network(&self, spec: &NetworkSpec) -> Result<Network> {
        let admitted = self.enter(SimCall::DefineNetwork, None).await?;
        let network = self.machine.state().define_network(&self.machine, spec)?;
        self.machine.answer(&admitted, SimCall::DefineNetwork, network)
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        let admitted = self.enter(SimCall::RemoveNetwork, None).await?;
        if !admitted.ignore {
            self.machine.state().remove_network(&self.machine, name)?;
        }
        self.machine.answer(&admitted, SimCall::RemoveNetwork, ())
    }

    fn storages(&self) -> Result<Arc<dyn Storages>> {
        self.require(Ability::Storage)?;
        Ok(Arc::new(SimStorages(self.clone())))
    }

    fn templates(&self) -> Result<Arc<dyn Templates>> {
        self.require(Ability::Templates)?;
        Ok(Arc::new(SimTemplates(self.clone())))
    }

    fn pooling(&self) -> Result<Arc<dyn Pooling>> {
        self.require(Ability::Pool)?;
        Ok(Arc::new(SimPooling(self.clone())))
    }

    fn interfaces(&self) -> Result<Arc<dyn Interfaces>> {
        self.require(Ability::Interfaces)?;
        Ok(Arc::new(SimInterfaces(self.clone())))
    }

    async fn inventory(&self) -> Result<HostInventory> {
        let admitted = self.enter(SimCall::Inventory, None).await?;
        let objects = self.machine.stock();
        self.machine.answer(&admitted, SimCall::Inventory, HostInventory { objects })
    }

    fn evidence_sources(&self) -> Vec<EvidenceSource> {
        let lines = [
            ("sim-log.txt", "sim log"),
            ("sim-list.txt", "sim list"),
            ("sim-info.txt", "sim info"),
            ("dmesg.txt", "dmesg"),
            ("processes.txt", "ps"),
        ];
        let source = |(file, line): (&str, &str)| EvidenceSource {
            file: file.to_owned(),
            command: Command::shell_line(line).deadline(Duration::from_secs(60)),
        };
        lines.into_iter().map(source).collect()
    }

    fn guest_shell(&self, image: Option<&str>, address: IpAddr) -> Result<Arc<dyn Shell>> {
        let image = image.map(|name| self.entry().image_for(name)).transpose()?;
        let user = image.map_or("root", |image| &image.user);
        Ok(self.observed(SimShell::guest(Arc::clone(&self.machine), user, address)))
    }
}
