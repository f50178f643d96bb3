//! Programs of verbs, drawn from a seed.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::guests::MOST_MORE_MEMORY;
use super::model::Model;
use crate::model::{Ability, Host};

/// One verb, as a program has it. What it leaves open (which disk, which host) follows from what
/// was done before, so that a program stays sensible when steps are taken out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// Define the guest.
    Create,
    /// Start it, and wait until a login works.
    Start,
    /// Start it paused.
    StartPaused,
    /// Shut it down cleanly.
    Shutdown,
    /// Take its power away.
    PowerOff,
    /// Reboot it cleanly.
    Reboot,
    /// Reset it.
    Reset,
    /// Pause it.
    Pause,
    /// Unpause it.
    Unpause,
    /// Suspend it.
    Suspend,
    /// Resume it.
    Resume,
    /// Set its vCPUs.
    SetVcpus(u32),
    /// Set its memory to that of its image and so many MiB more.
    SetMemory(u32),
    /// Attach a new disk.
    AttachDisk,
    /// Detach the disk that was attached last.
    DetachDisk,
    /// Attach a VIF.
    AttachVif,
    /// Detach the VIF that was attached last.
    DetachVif,
    /// Give it another name.
    Rename,
    /// Move it to the next host.
    Migrate,
    /// Delete it.
    Delete,
    /// Take the connection to its host away for a moment, and wait until it is back.
    CutConnection,
}

impl Verb {
    /// All that can be drawn. Some numbers stand for each verb that has one.
    pub(super) const DRAWN: &[Self] = &[
        Self::Create,
        Self::Start,
        Self::StartPaused,
        Self::Shutdown,
        Self::PowerOff,
        Self::Reboot,
        Self::Reset,
        Self::Pause,
        Self::Unpause,
        Self::Suspend,
        Self::Resume,
        Self::SetVcpus(1),
        Self::SetVcpus(2),
        Self::SetVcpus(4),
        Self::SetMemory(0),
        Self::SetMemory(MOST_MORE_MEMORY),
        Self::AttachDisk,
        Self::DetachDisk,
        Self::AttachVif,
        Self::DetachVif,
        Self::Rename,
        Self::Migrate,
        Self::Delete,
        Self::CutConnection,
    ];

    /// The ability that it needs of a host, where it needs one whatever the guest's state.
    pub(super) fn needs(self) -> Option<Ability> {
        match self {
            Self::Suspend | Self::Resume => Some(Ability::Suspend),
            Self::SetVcpus(_) => Some(Ability::VcpuHotplug),
            Self::SetMemory(_) => Some(Ability::MemoryHotplug),
            Self::AttachDisk | Self::DetachDisk => Some(Ability::DiskHotplug),
            Self::AttachVif | Self::DetachVif => Some(Ability::VifHotplug),
            Self::Rename => Some(Ability::RenameRunning),
            Self::Migrate => Some(Ability::LiveMigration),
            _ => None,
        }
    }
}

/// One verb on one guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// The number of the guest, from 0.
    pub guest: usize,
    /// What is done.
    pub verb: Verb,
}

/// `g0 SetVcpus(2)`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{} {:?}", self.guest, self.verb)
    }
}

/// Steps in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Program {
    /// Draws `steps` legal steps on at most `guests` guests of `hosts` from `seed`. Verbs that the
    /// hosts cannot do are left out, and those of `without`.
    pub fn draw(
        seed: u64,
        steps: usize,
        guests: usize,
        hosts: &[std::sync::Arc<dyn Host>],
        without: &[Verb],
    ) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut model = Model::new(hosts.len());
        let able = |verb: &&Verb| {
            let needed = verb.needs();
            !without.contains(verb)
                && needed.is_none_or(|need| hosts.iter().all(|host| host.abilities().has(need)))
        };
        let verbs: Vec<Verb> = Verb::DRAWN.iter().filter(able).copied().collect();
        let mut program = Self::default();
        for _ in 0..steps {
            let guest = random.random_range(0..guests.max(1));
            let legal: Vec<Step> = verbs
                .iter()
                .map(|verb| Step { guest, verb: *verb })
                .filter(|step| model.allows(step))
                .collect();
            if let Some(step) = legal.choose(&mut random) {
                model.apply(step);
                program.steps.push(*step);
            }
        }
        program
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}. {step}", number + 1)?;
        }
        Ok(())
    }
}
