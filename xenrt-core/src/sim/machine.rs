//! One simulated host, as it really is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::catalogue::{DOM0_ADDRESS, IMAGE_DISK, KERNEL};
use super::defect::Defect;
use super::disks::Content;
use super::error::refusal;
use super::fault::{Effect, Lie, SimCall};
use super::faults::Asked;
use super::guest::GuestShared;
use super::mapper::Mapper;
use super::networks::SimNetwork;
use super::nics::Link;
use super::pool::PoolPlace;
use super::storages::SimStorage;
use super::time::pause;
use super::vm::{Ahead, Domain, Files, Saved, Vm};
use super::wire::Capture;
use super::world::{World, draw_uuid};
use crate::lab::HostEntry;
use crate::model::{Abilities, CrashAction, DomainView, Memory, PowerState};
use crate::remote::RemoteError;
use crate::{Error, Result};

/// All memory of a simulated host.
pub(super) const MEMORY: Memory = Memory::gib(64);
/// What its control domain has.
pub(super) const DOM0_MEMORY: Memory = Memory::gib(1);
/// Its processors.
pub(super) const CPUS: u32 = 16;

/// A simulated host, shared by all handles to it.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) world: Arc<World>,
    pub(super) entry: HostEntry,
    pub(super) abilities: Abilities,
    pub(super) pool: Mutex<PoolPlace>,
    state: Mutex<MachineState>,
    handles: Mutex<HashMap<Uuid, Weak<GuestShared>>>,
}

#[derive(Debug)]
pub(super) struct MachineState {
    /// How often it was booted.
    boots: u64,
    /// When a login works again.
    up: Instant,
    next_domid: u32,
    next_vm: u64,
    next_pid: u32,
    pub(super) vms: BTreeMap<Uuid, Vm>,
    /// Domains that no guest on record has.
    pub(super) strays: Vec<(Uuid, Domain)>,
    /// Guests that are templates now.
    pub(super) templates: BTreeMap<Uuid, Vm>,
    pub(super) networks: Vec<SimNetwork>,
    /// What was set up of network interfaces.
    pub(super) links: Vec<Link>,
    pub(super) storages: Vec<SimStorage>,
    /// The storage that new disks go to, where it is not a folder of each guest.
    pub(super) default_storage: Option<String>,
    /// When it was booted last, if that was after the lab began.
    pub(super) booted: Option<Instant>,
    pub(super) files: Files,
    /// What is on the disks behind these paths.
    pub(super) contents: BTreeMap<String, Content>,
    /// Memory of guests in files of callers' choice.
    pub(super) saved: BTreeMap<String, Saved>,
    pub(super) processes: BTreeMap<u32, String>,
    /// Who looks at what crosses VIFs.
    pub(super) captures: Vec<Capture>,
    pub(super) mapper: Mapper,
    /// Starts that are on their way.
    pub(super) starting: u32,
}

/// A call that was let through.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    pub(super) lies: Vec<Lie>,
    pub(super) ignore: bool,
    pub(super) lose_answer: bool,
}

impl Machine {
    pub(super) fn new(world: Arc<World>, entry: HostEntry, abilities: Abilities) -> Self {
        let network = entry.guest_network.as_ref();
        let network = network.map(|network| SimNetwork::own_by_lab(&network.network, DOM0_ADDRESS));
        let mut files = Files::new();
        for path in entry.images.iter().flat_map(|image| [&image.kernel, &image.disk]).flatten() {
            files.insert(path.clone(), Arc::default());
        }
        files.insert(KERNEL.to_owned(), Arc::default());
        files.insert(IMAGE_DISK.to_owned(), Arc::default());
        let state = MachineState {
            boots: 1,
            booted: None,
            up: Instant::now(),
            next_domid: 1,
            next_vm: 0,
            next_pid: 800,
            vms: BTreeMap::new(),
            strays: Vec::new(),
            templates: BTreeMap::new(),
            networks: network.into_iter().collect(),
            links: Vec::new(),
            storages: Vec::new(),
            default_storage: None,
            files,
            contents: BTreeMap::new(),
            saved: BTreeMap::new(),
            processes: BTreeMap::new(),
            captures: Vec::new(),
            mapper: Mapper::default(),
            starting: 0,
        };
        let (pool, handles) = (Mutex::default(), Mutex::default());
        Self { world, entry, abilities, pool, state: Mutex::new(state), handles }
    }

    /// The state, with everything done that was due.
    pub(super) fn state(&self) -> MutexGuard<'_, MachineState> {
        // Changes are made whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, defect: Defect) -> bool {
        self.world.has(defect)
    }

    fn handles(&self) -> MutexGuard<'_, HashMap<Uuid, Weak<GuestShared>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all handles to a guest share.
    pub(super) fn handle(self: &Arc<Self>, vm: &Vm) -> Arc<GuestShared> {
        let mut handles = self.handles();
        if let Some(known) = handles.get(&vm.uuid).and_then(Weak::upgrade)
            && !self.has(Defect::ExpectationNotShared)
        {
            return known;
        }
        let made = Arc::new(GuestShared::new(self, vm));
        handles.insert(vm.uuid, Arc::downgrade(&made));
        made
    }

    /// Makes the handles of a guest that came from another host known here.
    pub(super) fn take_in(&self, guest: &Arc<GuestShared>) {
        self.handles().insert(guest.uuid(), Arc::downgrade(guest));
    }

    /// Forgets the handles of a guest that was deleted or went to another host.
    pub(super) fn forget_handle(&self, uuid: Uuid) {
        self.handles().remove(&uuid);
    }

    /// Who answers, in errors.
    pub(super) fn target(&self) -> String {
        format!("{}@{} (dom0)", self.entry.user, self.entry.name)
    }

    pub(super) fn guest_folder(&self, uuid: Uuid) -> String {
        format!("{}/guests/{uuid}", self.entry.work_folder)
    }

    /// Lets a call in, or does to it what a fault says. `deadline` is how long it may take.
    pub(super) async fn enter(&self, asked: Asked<'_>, deadline: Duration) -> Result<Admitted> {
        self.world.note_call(|| {
            let what = asked.verb.or(asked.command).map_or_else(String::new, |w| format!(" {w}"));
            let whom = asked.guest.map_or_else(String::new, |guest| format!(" {guest}"));
            format!("{}: {:?}{what}{whom}", asked.host, asked.call)
        });
        pause(self.world.timing.call).await;
        let mut admitted = Admitted::default();
        for effect in self.world.faults.meet(self.world.seed, &asked) {
            match effect {
                Effect::Latency(latency) => {
                    if latency >= deadline {
                        return self.hang(&asked, deadline).await;
                    }
                    pause(latency).await;
                }
                Effect::Refuse(kind) => {
                    let object = asked.guest.map_or_else(
                        || format!("host {:?}", asked.host),
                        |guest| format!("guest {guest:?}"),
                    );
                    let verb = asked.verb.unwrap_or("do that with");
                    return Err(refusal(kind, verb, &object, "a fault was injected"));
                }
                Effect::Hang => return self.hang(&asked, deadline).await,
                Effect::HangForever => std::future::pending().await,
                Effect::LoseConnection(away) => {
                    self.state().up = Instant::now() + away;
                    return Err(self.disconnected(&asked).into());
                }
                Effect::LoseAnswer => admitted.lose_answer = true,
                Effect::Ignore => admitted.ignore = true,
                Effect::Lie(lie) => admitted.lies.push(lie),
                Effect::CrashGuest => {
                    if let Some(name) = asked.guest {
                        self.crash(name);
                    }
                }
                Effect::RebootHost => {
                    self.reboot();
                    return Err(self.disconnected(&asked).into());
                }
            }
        }
        self.reachable()?;
        Ok(admitted)
    }

    async fn hang<T>(&self, asked: &Asked<'_>, deadline: Duration) -> Result<T> {
        pause(deadline).await;
        Err(Error::Remote(RemoteError::Deadline {
            target: self.target(),
            command: asked.command.or(asked.verb).unwrap_or("a request").to_owned(),
            deadline,
            stdout: String::new(),
            stderr: String::new(),
        }))
    }

    fn disconnected(&self, asked: &Asked<'_>) -> RemoteError {
        RemoteError::Disconnected {
            target: self.target(),
            command: asked.command.or(asked.verb).unwrap_or("a request").to_owned(),
            message: "the connection was closed".to_owned(),
        }
    }

    /// Ends a call: its answer may be lost.
    pub(super) fn answer<T>(&self, admitted: &Admitted, call: SimCall, value: T) -> Result<T> {
        if admitted.lose_answer {
            return Err(Error::Remote(RemoteError::Disconnected {
                target: self.target(),
                command: format!("{call:?}"),
                message: "the connection was closed before the answer".to_owned(),
            }));
        }
        Ok(value)
    }

    /// Nothing where a login into dom0 works.
    pub(super) fn reachable(&self) -> Result<(), RemoteError> {
        if self.state().up <= Instant::now() {
            return Ok(());
        }
        Err(RemoteError::Connect {
            target: self.target(),
            message: "connection timed out".to_owned(),
            source: None,
        })
    }

    /// Reboots it: domains and processes are gone, definitions and files stay.
    pub(super) fn reboot(&self) {
        let mut state = self.state();
        state.boots += 1;
        state.booted = Some(Instant::now());
        state.up = Instant::now() + self.world.timing.host_boot;
        state.strays.clear();
        state.processes.clear();
        for vm in state.vms.values_mut() {
            vm.domain = None;
            vm.claimed = None;
        }
    }

    /// Takes the connection away for so long.
    pub(super) fn cut(&self, away: Duration) {
        self.state().up = Instant::now() + away;
    }

    /// Crashes the guest with this name, if it runs.
    pub(super) fn crash(&self, name: &str) {
        let mut state = self.state();
        let found = state.vms.values().find(|vm| vm.name == name).map(|vm| vm.uuid);
        if let Some(uuid) = found {
            state.crash(self, uuid);
        }
    }

    /// What stands on it that tests make.
    pub(super) fn stock(&self) -> Vec<String> {
        let mut state = self.state();
        state.settle_all(self);
        let domains = state.domains(Instant::now());
        let mut objects: Vec<String> =
            domains.iter().map(|domain| format!("domain {}", domain.name)).collect();
        let made = state.networks.iter().filter(|own| own.made);
        objects.extend(made.map(|own| format!("network {}", own.network.name)));
        let storages = state.storages.iter();
        objects.extend(storages.map(|own| format!("storage {}", own.storage.name)));
        objects.extend(state.templates.values().map(|vm| format!("template {}", vm.name)));
        if !self.has(Defect::InventoryBlind) {
            let folder = format!("{}/", self.entry.work_folder);
            let files = state.files.keys().filter(|path| path.starts_with(&folder));
            objects.extend(files.map(|path| format!("file {path}")));
            // What the toolstack keeps of a guest is a file elsewhere.
            let definition = |uuid| format!("file {}/definition", self.guest_folder(uuid));
            objects.extend(state.vms.keys().map(|uuid| definition(*uuid)));
        }
        let processes = state.processes.iter();
        objects.extend(processes.map(|(pid, what)| format!("process {pid} {what}")));
        objects.sort();
        objects
    }

    pub(super) fn boot_id(&self) -> Uuid {
        draw_uuid(self.world.seed, &[&self.entry.name, "boot"], self.state().boots)
    }
}

impl MachineState {
    /// A number for the next guest.
    pub(super) fn count_vm(&mut self) -> u64 {
        self.next_vm += 1;
        self.next_vm
    }

    pub(super) fn new_pid(&mut self) -> u32 {
        self.next_pid += 1;
        self.next_pid
    }

    /// The guest, with everything done that was due; `None` when it is gone.
    pub(super) fn vm(&mut self, machine: &Machine, uuid: Uuid) -> Option<&mut Vm> {
        self.settle(machine, uuid);
        self.vms.get_mut(&uuid)
    }

    /// Does what a guest was to have done by now.
    fn settle(&mut self, machine: &Machine, uuid: Uuid) {
        let now = Instant::now();
        let due = self.vms.get(&uuid).and_then(|vm| vm.domain.as_ref()?.ahead);
        let Some((_, ahead)) = due.filter(|(when, _)| *when <= now) else { return };
        match ahead {
            Ahead::Halt => self.halt(machine, uuid),
            Ahead::Reboot if machine.has(Defect::RebootHalts) => self.halt(machine, uuid),
            Ahead::Reboot => self.boot(machine, uuid, PowerState::Running),
        }
    }

    /// Does what all guests were to have done by now.
    pub(super) fn settle_all(&mut self, machine: &Machine) {
        let due = |vm: &&Vm| vm.domain.as_ref().is_some_and(|domain| domain.ahead.is_some());
        let ahead: Vec<Uuid> = self.vms.values().filter(due).map(|vm| vm.uuid).collect();
        for uuid in ahead {
            self.settle(machine, uuid);
        }
    }

    /// Ends the domain of a guest.
    pub(super) fn halt(&mut self, machine: &Machine, uuid: Uuid) {
        let Some(vm) = self.vms.get_mut(&uuid) else { return };
        let domain = vm.domain.take();
        vm.claimed = None;
        if machine.has(Defect::ShutdownLeavesDomain)
            && let Some(domain) = domain
        {
            self.strays.push((uuid, domain));
        }
        if machine.has(Defect::ShutdownLeaksDisk) {
            let path = format!("{}/leaked-{}.raw", machine.entry.work_folder, self.new_pid());
            self.files.insert(path, Arc::default());
        }
    }

    /// Gives a guest a new domain, in place of the one that it has.
    pub(super) fn boot(&mut self, machine: &Machine, uuid: Uuid, power: PowerState) {
        let boots = self.boots;
        let Some(vm) = self.vms.get_mut(&uuid) else { return };
        let again = vm.domain.take();
        if machine.has(Defect::VcpusForgottenAtBoot) {
            vm.vcpus = vm.at_definition.0;
        }
        if machine.has(Defect::MemoryForgottenAtBoot) {
            vm.memory = vm.at_definition.1;
        }
        let words = [machine.entry.name.as_str(), &vm.name, "guest boot"];
        let mut domid = self.next_domid;
        let mut boot_id = draw_uuid(machine.world.seed, &words, boots << 32 | u64::from(domid));
        self.next_domid += 1;
        if let Some(before) = again.as_ref().filter(|_| machine.has(Defect::DomainIdStands)) {
            (domid, boot_id) = (before.domid, before.boot_id);
        }
        let now = Instant::now();
        let mut domain = Domain::new(domid, vm, power, now, machine.world.timing.boot, boot_id);
        if machine.has(Defect::RebootLosesVif)
            && again.is_some()
            && let Some(vif) = vm.vifs.last()
        {
            domain.inside().hidden_vifs.push(vif.mac);
        }
        vm.claimed = None;
        vm.domain = Some(domain);
        vm.print(&format!("Linux version 6.1.0-sim (domain {domid}, {:?})", vm.kind));
    }

    /// What a guest does that crashes.
    pub(super) fn crash(&mut self, machine: &Machine, uuid: Uuid) {
        let Some(vm) = self.vms.get_mut(&uuid).filter(|vm| vm.domain.is_some()) else { return };
        vm.print("Kernel panic - not syncing: sysrq triggered crash");
        match vm.on_crash {
            CrashAction::Preserve => {
                if let Some(domain) = &mut vm.domain {
                    domain.ahead = None;
                    domain.set_power(PowerState::Crashed, Instant::now());
                }
                if machine.has(Defect::CrashReportedRunning) {
                    vm.claimed = Some(PowerState::Running);
                }
            }
            CrashAction::Destroy => vm.domain = None,
            CrashAction::Restart => self.boot(machine, uuid, PowerState::Running),
        }
    }

    /// All domains but dom0, in the order of their numbers.
    pub(super) fn domains(&self, now: Instant) -> Vec<DomainView> {
        let own = self.vms.values().filter_map(|vm| Some(vm.domain.as_ref()?.view(vm.uuid, now)));
        let strays = self.strays.iter().map(|(uuid, domain)| domain.view(*uuid, now));
        let mut domains: Vec<DomainView> = own.chain(strays).collect();
        domains.sort_by_key(|domain| domain.domid);
        domains
    }

    /// Memory that new domains can have.
    pub(super) fn free_memory(&self) -> Memory {
        let own = self.vms.values().filter_map(|vm| vm.domain.as_ref());
        let all = own.chain(self.strays.iter().map(|(_, domain)| domain));
        let used: u64 = all.map(|domain| domain.memory.as_bytes()).sum();
        Memory::bytes(MEMORY.as_bytes().saturating_sub(DOM0_MEMORY.as_bytes() + used))
    }
}
