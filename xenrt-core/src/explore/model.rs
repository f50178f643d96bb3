//! What is legal, and what it leaves behind.

use std::collections::BTreeMap;

use super::program::{Step, Verb};
use crate::model::{GuestAction, PowerState};

/// The most disks and VIFs that are attached to one guest.
const MOST_DEVICES: usize = 3;

/// A guest as it should be, by what was done to it: the model's own account, which does not rest on
/// that of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelGuest {
    /// The power state.
    pub power: PowerState,
    /// vCPUs.
    pub vcpus: u32,
    /// MiB beyond the memory of its image.
    pub more_memory: u32,
    /// Disks that were attached.
    pub disks: usize,
    /// VIFs that were attached, beside the first one.
    pub vifs: usize,
    /// How often it was renamed.
    pub renames: u32,
    /// The number of the host that it is on.
    pub host: usize,
    /// Whether it was up, so that a login works whenever it runs.
    pub up: bool,
}

/// All guests of an exploration as they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    hosts: usize,
    guests: BTreeMap<usize, ModelGuest>,
}

impl Model {
    /// No guests, on so many hosts.
    pub fn new(hosts: usize) -> Self {
        Self { hosts, guests: BTreeMap::new() }
    }

    /// A guest as it should be; `None` where there is none.
    pub fn guest(&self, number: usize) -> Option<&ModelGuest> {
        self.guests.get(&number)
    }

    /// Whether a step is legal now.
    pub fn allows(&self, step: &Step) -> bool {
        use PowerState::{Crashed, Halted, Paused, Running, Suspended};
        let Some(guest) = self.guests.get(&step.guest) else { return step.verb == Verb::Create };
        let from = |states: &[PowerState]| states.contains(&guest.power);
        match step.verb {
            Verb::Create => false,
            Verb::Start | Verb::StartPaused => from(&[Halted]),
            Verb::PowerOff => from(&[Running, Paused, Suspended, Crashed]),
            Verb::Reset => from(GuestAction::Reset.allowed_from()),
            // A guest that is not up cannot hear what it is asked.
            Verb::Shutdown | Verb::Reboot => from(&[Running]) && guest.up,
            Verb::Pause => from(GuestAction::Pause.allowed_from()),
            Verb::Unpause => from(GuestAction::Unpause.allowed_from()),
            Verb::Suspend | Verb::Migrate if !guest.up => false,
            Verb::Suspend => from(&[Running]),
            Verb::Resume => from(&[Suspended]),
            Verb::Migrate => from(&[Running]) && self.hosts > 1 && guest.disks == 0,
            Verb::SetVcpus(_) | Verb::SetMemory(_) => from(&[Halted, Running]) && self.heard(guest),
            Verb::AttachDisk => from(&[Halted, Running]) && guest.disks < MOST_DEVICES,
            Verb::AttachVif => from(&[Halted, Running]) && guest.vifs < MOST_DEVICES,
            Verb::DetachDisk => from(&[Halted, Running]) && guest.disks > 0 && self.heard(guest),
            Verb::DetachVif => from(&[Halted, Running]) && guest.vifs > 0 && self.heard(guest),
            Verb::Rename => from(&[Halted, Running, Paused]),
            Verb::Delete => from(&[Halted, Suspended, Crashed]),
            Verb::CutConnection => true,
        }
    }

    /// Whether a guest that runs has drivers that follow.
    fn heard(&self, guest: &ModelGuest) -> bool {
        guest.power != PowerState::Running || guest.up
    }

    /// What a legal step leaves behind.
    pub fn apply(&mut self, step: &Step) {
        if step.verb == Verb::Create {
            let guest = ModelGuest {
                power: PowerState::Halted,
                vcpus: 1,
                more_memory: 0,
                disks: 0,
                vifs: 0,
                renames: 0,
                host: 0,
                up: false,
            };
            self.guests.insert(step.guest, guest);
            return;
        }
        if step.verb == Verb::Delete {
            self.guests.remove(&step.guest);
            return;
        }
        let hosts = self.hosts;
        let Some(guest) = self.guests.get_mut(&step.guest) else { return };
        match step.verb {
            Verb::Start => (guest.power, guest.up) = (PowerState::Running, true),
            Verb::StartPaused => guest.power = PowerState::Paused,
            Verb::Shutdown | Verb::PowerOff => {
                (guest.power, guest.up) = (PowerState::Halted, false);
            }
            Verb::Reset | Verb::Unpause | Verb::Resume => guest.power = PowerState::Running,
            Verb::Pause => guest.power = PowerState::Paused,
            Verb::Suspend => guest.power = PowerState::Suspended,
            Verb::SetVcpus(vcpus) => guest.vcpus = vcpus,
            Verb::SetMemory(more) => guest.more_memory = more,
            Verb::AttachDisk => guest.disks += 1,
            Verb::DetachDisk => guest.disks -= 1,
            Verb::AttachVif => guest.vifs += 1,
            Verb::DetachVif => guest.vifs -= 1,
            Verb::Rename => guest.renames += 1,
            Verb::Migrate => guest.host = (guest.host + 1) % hosts,
            Verb::Create | Verb::Delete | Verb::Reboot | Verb::CutConnection => {}
        }
    }
}
