//! A lab of simulated hosts.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::catalogue;
use super::commands::{SimAnswer, SimPlace};
use super::defect::Defect;
use super::fault::{Fault, FaultId};
use super::host::SimHost;
use super::machine::Machine;
use super::netback::NetbackFault;
use super::time::SimTiming;
use super::world::{SimCommandRecord, World};
use crate::lab::{HostDemand, HostEntry, LabNote, LabProvider};
use crate::model::{Abilities, Ability, Host, HostInventory, Scope};
use crate::{Error, Result};

/// A lab of simulated hosts, and the knobs of everything in it. Clones are the same lab.
///
/// As a [`LabProvider`] it gives its first host for the first demand, and so on.
#[derive(Debug, Clone)]
pub struct SimLab {
    world: Arc<World>,
    machines: Arc<Mutex<Vec<Arc<Machine>>>>,
    abilities: Abilities,
}

/// A [`SimLab`] that is being described.
#[derive(Debug, Clone)]
#[must_use = "nothing is made until `build`"]
pub struct SimLabBuilder {
    entries: Vec<HostEntry>,
    seed: u64,
    timing: SimTiming,
    abilities: Abilities,
    defects: Vec<Defect>,
    netback: Option<NetbackFault>,
}

impl SimLabBuilder {
    /// So many hosts, named `h0`, `h1`, ... 2 unless set.
    pub fn hosts(mut self, count: usize) -> Self {
        self.entries = (0..count).map(|number| catalogue::entry(format!("h{number}"))).collect();
        self
    }

    /// One more host, as a lab file would describe it. Without images it gets the simulated
    /// catalogue, without a guest network the simulated one.
    pub fn host(mut self, entry: HostEntry) -> Self {
        self.entries.push(catalogue::complete(entry));
        self
    }

    /// Changes the entries of the hosts that were named until now: deadlines, attributes.
    pub fn entries(mut self, change: impl FnMut(&mut HostEntry)) -> Self {
        self.entries.iter_mut().for_each(change);
        self
    }

    /// What every draw follows from: identities, addresses, faults with a chance. 0 unless set.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How long things take; nothing takes time unless set.
    pub fn timing(mut self, timing: SimTiming) -> Self {
        self.timing = timing;
        self
    }

    /// Takes an ability away from all hosts, with the reason that a skipped test shows.
    pub fn without(mut self, ability: Ability, reason: impl Into<String>) -> Self {
        self.abilities.remove(ability, reason);
        self
    }

    /// Breaks a behaviour for good.
    pub fn defect(mut self, defect: Defect) -> Self {
        self.defects.push(defect);
        self
    }

    /// Breaks the VIFs of all guests.
    pub fn netback(mut self, fault: NetbackFault) -> Self {
        self.netback = Some(fault);
        self
    }

    /// The lab.
    pub fn build(self) -> SimLab {
        let world = World::new(self.seed, self.timing, self.defects, self.netback);
        let machine =
            |entry| Arc::new(Machine::new(Arc::clone(&world), entry, self.abilities.clone()));
        let machines = self.entries.into_iter().map(machine).collect();
        SimLab { machines: Arc::new(Mutex::new(machines)), abilities: self.abilities, world }
    }
}

impl SimLab {
    /// Describes a lab; two hosts, seed 0, and nothing takes time, unless said otherwise.
    pub fn builder() -> SimLabBuilder {
        let abilities = Abilities::of(Ability::ALL);
        let builder = SimLabBuilder {
            entries: Vec::new(),
            seed: 0,
            timing: SimTiming::default(),
            abilities,
            defects: Vec::new(),
            netback: None,
        };
        builder.hosts(2)
    }

    /// Two hosts, seed 0, and nothing takes time.
    pub fn new() -> Self {
        Self::builder().build()
    }

    fn machines(&self) -> MutexGuard<'_, Vec<Arc<Machine>>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn machine(&self, name: &str) -> Result<Arc<Machine>> {
        let machines = self.machines();
        let found = machines.iter().find(|machine| machine.entry.name == name);
        found.cloned().ok_or_else(|| Error::NotFound {
            kind: "simulated host",
            name: name.to_owned(),
            known: machines.iter().map(|machine| machine.entry.name.clone()).collect(),
        })
    }

    /// The host with this number, from 0.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn host(&self, number: usize) -> Arc<dyn Host> {
        let machines = self.machines();
        assert!(
            number < machines.len(),
            "the lab has {} hosts, no number {number}",
            machines.len()
        );
        Arc::new(SimHost::new(Arc::clone(&machines[number]), Scope::default()))
    }

    /// All hosts, in order.
    pub fn hosts(&self) -> Vec<Arc<dyn Host>> {
        let host = |machine: &Arc<Machine>| -> Arc<dyn Host> {
            Arc::new(SimHost::new(Arc::clone(machine), Scope::default()))
        };
        self.machines().iter().map(host).collect()
    }

    /// The host of this entry, made where there is none of its name.
    pub(super) fn connect(&self, entry: &HostEntry) -> Arc<dyn Host> {
        let mut machines = self.machines();
        let known = machines.iter().find(|machine| machine.entry.name == entry.name).cloned();
        let machine = known.unwrap_or_else(|| {
            let entry = catalogue::complete(entry.clone());
            let made = Machine::new(Arc::clone(&self.world), entry, self.abilities.clone());
            let made = Arc::new(made);
            machines.push(Arc::clone(&made));
            made
        });
        Arc::new(SimHost::new(machine, Scope::default()))
    }

    /// Makes something go wrong from now on.
    pub fn inject(&self, fault: Fault) -> FaultId {
        self.world.faults.inject(fault)
    }

    /// Ends a fault; one that has ended already is no error.
    pub fn lift(&self, fault: FaultId) {
        self.world.faults.lift(fault);
    }

    /// How often a fault struck.
    pub fn hits(&self, fault: FaultId) -> u64 {
        self.world.faults.hits(fault)
    }

    /// Crashes the guest `guest` of the host `host`, if it has a domain.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a host that there is not.
    pub fn crash_guest(&self, host: &str, guest: &str) -> Result<()> {
        self.machine(host)?.crash(guest);
        Ok(())
    }

    /// Reboots a host under its guests.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a host that there is not.
    pub fn reboot_host(&self, host: &str) -> Result<()> {
        self.machine(host)?.reboot();
        Ok(())
    }

    /// Takes the connection to a host away for so long; zero gives it back.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a host that there is not.
    pub fn cut_connection(&self, host: &str, away: Duration) -> Result<()> {
        self.machine(host)?.cut(away);
        Ok(())
    }

    /// Has an empty file or device at `path` in dom0 of a host from now on, or no more: what comes and goes
    /// there without a command that the shells know. It can be a disk of a guest.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a host that there is not.
    pub fn set_file(&self, host: &str, path: &str, there: bool) -> Result<()> {
        let machine = self.machine(host)?;
        let files = &mut machine.state().files;
        if there {
            files.insert(path.to_owned(), Arc::default());
        } else {
            files.remove(path);
        }
        Ok(())
    }

    /// Teaches all shells an answer. `answer` is given the place and the line of a command, before
    /// the shells look for it themselves, and returns nothing for what it does not know. What was
    /// taught last is asked first.
    ///
    /// ```
    /// # use xenrt_core::sim::{SimAnswer, SimLab};
    /// let lab = SimLab::new();
    /// lab.answer(|place, line| {
    ///     (place.guest.is_some() && line.starts_with("iperf ")).then(|| SimAnswer::text("9.4 Gbit/s\n"))
    /// });
    /// ```
    pub fn answer<F>(&self, answer: F)
    where
        F: Fn(&SimPlace<'_>, &str) -> Option<SimAnswer> + Send + Sync + 'static,
    {
        self.world.teach(Arc::new(answer));
    }

    /// The commands that no shell knew; they ended with status 127. The first 1,000 are kept.
    pub fn unknown_commands(&self) -> Vec<SimCommandRecord> {
        self.world.unknown()
    }

    /// Records every call from now on, or stops that.
    pub fn record_calls(&self, on: bool) {
        self.world.record(on);
    }

    /// Takes what was recorded: `h0: Request start tiny`, in order.
    pub fn take_calls(&self) -> Vec<String> {
        self.world.take_calls()
    }

    /// What stands on all hosts, with no fault in between: `h0: domain tiny`.
    pub async fn everything(&self) -> HostInventory {
        let machines: Vec<_> = self.machines().clone();
        let mut objects = Vec::new();
        for machine in machines {
            let lines = machine.stock();
            objects.extend(lines.into_iter().map(|line| format!("{}: {line}", machine.entry.name)));
        }
        HostInventory { objects }
    }
}

impl Default for SimLab {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl LabProvider for SimLab {
    fn description(&self) -> String {
        "the simulated lab".to_owned()
    }

    fn machines(&self) -> Option<usize> {
        Some(self.machines().iter().filter(|machine| !machine.entry.shared).count())
    }

    async fn acquire(
        &self,
        demands: &[HostDemand],
        note: &(dyn Fn(LabNote) + Send + Sync),
    ) -> Result<Vec<Arc<dyn Host>>> {
        let hosts = self.hosts();
        if hosts.len() < demands.len() {
            return Err(Error::lab(format!(
                "the run needs {} hosts and the simulated lab has {}; build it with more",
                demands.len(),
                hosts.len()
            )));
        }
        note(LabNote { message: "simulating".to_owned(), fraction: Some(1.0) });
        Ok(hosts.into_iter().take(demands.len()).collect())
    }

    async fn collect_evidence(&self, _folder: &Path) -> Result<()> {
        // There is no machine below a simulated host that could know more than it does.
        Ok(())
    }

    async fn release(&self) -> Result<()> {
        Ok(())
    }

    async fn keep(&self) -> Result<String> {
        Ok("simulated hosts end with the program".to_owned())
    }
}
