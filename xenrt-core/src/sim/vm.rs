//! One guest of a simulated host, as it really is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::disks::Content;
use super::netback::Netback;
use crate::model::{
    CrashAction, Disk, DomainView, GuestKind, GuestView, InsideView, MacAddress, Memory,
    PowerState, Snapshot, Vif,
};

/// The files of a machine, by path.
pub(super) type Files = BTreeMap<String, Arc<[u8]>>;

/// A guest: what the toolstack has on record, and its domain.
#[derive(Debug, Clone)]
pub(super) struct Vm {
    pub(super) uuid: Uuid,
    pub(super) name: String,
    pub(super) kind: GuestKind,
    pub(super) image: Option<String>,
    pub(super) vcpus: u32,
    pub(super) max_vcpus: u32,
    pub(super) memory: Memory,
    pub(super) max_memory: Memory,
    pub(super) disks: Vec<VmDisk>,
    /// The folder of the storage that its disks are made on, where that is not its own.
    pub(super) storage: Option<String>,
    pub(super) vifs: Vec<Vif>,
    pub(super) address: Option<IpAddr>,
    pub(super) on_crash: CrashAction,
    /// Its memory on the host's storage.
    pub(super) saved: Option<Box<Saved>>,
    pub(super) domain: Option<Domain>,
    /// What it wrote on its console.
    pub(super) console: String,
    /// Files on its disks.
    pub(super) files: Option<Box<Files>>,
    /// What the toolstack says of its power state where it is wrong for good.
    pub(super) claimed: Option<PowerState>,
    /// Whether the toolstack leaves it out of its list.
    pub(super) unlisted: bool,
    /// What it had when it was defined, for toolstacks that forget changes.
    pub(super) at_definition: (u32, Memory),
    /// Its snapshots, each with the guest as it was.
    pub(super) snapshots: Vec<(Snapshot, Vm)>,
    /// In what a snapshot keeps: what was on its disks.
    pub(super) contents: BTreeMap<String, Content>,
    /// How many it ever had.
    pub(super) snapshots_made: u64,
}

#[derive(Debug, Clone)]
pub(super) struct VmDisk {
    pub(super) disk: Disk,
    /// Whether it was made for the guest.
    pub(super) owned: bool,
}

/// A domain of the hypervisor.
#[derive(Debug, Clone)]
pub(super) struct Domain {
    pub(super) domid: u32,
    pub(super) name: String,
    pub(super) power: PowerState,
    pub(super) vcpus: u32,
    pub(super) memory: Memory,
    /// When a login works.
    pub(super) ready: Instant,
    pub(super) boot_id: Uuid,
    /// When it was made.
    pub(super) made: Instant,
    /// Processor time before the present stretch, and when that began.
    ran: Duration,
    running_since: Option<Instant>,
    /// What it will do, and when.
    pub(super) ahead: Option<(Instant, Ahead)>,
    /// Files in its memory.
    pub(super) files: Option<Box<Files>>,
    /// Where what is seen inside differs from what it was given.
    pub(super) inside: Option<Box<Inside>>,
    /// Its first VIF, once something went over it.
    pub(super) netback: Option<Box<Netback>>,
}

/// What a guest was asked to do and has not done yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    Halt,
    Reboot,
}

/// What is seen inside where it differs from what the guest was given.
#[derive(Debug, Clone, Default)]
pub(super) struct Inside {
    pub(super) vcpus: Option<u32>,
    pub(super) hidden_disks: Vec<String>,
    pub(super) ghost_disks: Vec<String>,
    pub(super) hidden_vifs: Vec<MacAddress>,
}

/// The memory of a guest, written somewhere.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    pub(super) uuid: Uuid,
    pub(super) domain: Domain,
}

/// A share of the time that an idle guest runs.
const LOAD: u32 = 50;

impl Domain {
    pub(super) fn new(
        domid: u32,
        vm: &Vm,
        power: PowerState,
        now: Instant,
        boot: Duration,
        boot_id: Uuid,
    ) -> Self {
        Self {
            domid,
            name: vm.name.clone(),
            power,
            vcpus: vm.vcpus,
            memory: vm.memory,
            ready: now + boot,
            boot_id,
            made: now,
            ran: Duration::ZERO,
            running_since: (power == PowerState::Running).then_some(now),
            ahead: None,
            files: None,
            inside: None,
            netback: None,
        }
    }

    /// Schedules it or stops that.
    pub(super) fn set_power(&mut self, power: PowerState, now: Instant) {
        if let Some(since) = self.running_since.take() {
            self.ran += now.saturating_duration_since(since);
            // What it had to do until it is up takes as long as before.
            if power != PowerState::Running {
                self.ready = now + self.ready.saturating_duration_since(now);
            }
        }
        if power == PowerState::Running {
            self.running_since = Some(now);
        }
        self.power = power;
    }

    pub(super) fn cpu_seconds(&self, now: Instant) -> f64 {
        let stretch = self.running_since.map(|since| now.saturating_duration_since(since));
        (self.ran + stretch.unwrap_or_default()).as_secs_f64() / f64::from(LOAD)
    }

    /// It was busy on one processor for so long, where it would have been idle.
    pub(super) fn burn(&mut self, busy: Duration) {
        self.ran += busy * LOAD;
    }

    pub(super) fn view(&self, uuid: Uuid, now: Instant) -> DomainView {
        DomainView {
            domid: self.domid,
            name: self.name.clone(),
            uuid: Some(uuid),
            power: self.power,
            vcpus: self.vcpus,
            memory: self.memory,
            cpu_seconds: self.cpu_seconds(now),
        }
    }

    pub(super) fn inside(&mut self) -> &mut Inside {
        self.inside.get_or_insert_default()
    }
}

impl Vm {
    pub(super) fn object(&self) -> String {
        format!("guest {:?}", self.name)
    }

    pub(super) fn power(&self) -> PowerState {
        match (&self.domain, &self.saved) {
            (Some(domain), _) => domain.power,
            (None, Some(_)) => PowerState::Suspended,
            (None, None) => PowerState::Halted,
        }
    }

    /// As the toolstack describes it.
    pub(super) fn view(&self) -> GuestView {
        GuestView {
            power: self.claimed.unwrap_or_else(|| self.power()),
            vcpus: self.vcpus,
            max_vcpus: self.max_vcpus,
            memory: self.memory,
            disks: self.disks.iter().map(|disk| disk.disk.clone()).collect(),
            vifs: self.vifs.clone(),
        }
    }

    /// As it sees itself; `None` while nothing answers in it.
    pub(super) fn inside_view(&self) -> Option<InsideView> {
        let domain = self.domain.as_ref()?;
        let nothing = Inside::default();
        let odd = domain.inside.as_deref().unwrap_or(&nothing);
        let disks = self.disks.iter().map(|disk| disk.disk.device.clone());
        let disks = disks.filter(|device| !odd.hidden_disks.contains(device));
        let macs = self.vifs.iter().map(|vif| vif.mac);
        Some(InsideView {
            vcpus: odd.vcpus.unwrap_or(domain.vcpus),
            // The kernel keeps a sixteenth for itself.
            memory: Memory::bytes(domain.memory.as_bytes() / 16 * 15),
            macs: macs.filter(|mac| !odd.hidden_vifs.contains(mac)).collect(),
            disks: disks.chain(odd.ghost_disks.iter().cloned()).collect(),
        })
    }

    /// Why a login does not work now; `None` when it does.
    pub(super) fn login_problem(&self, now: Instant, paused_runs: bool) -> Option<String> {
        match &self.domain {
            None => Some("no route to host".to_owned()),
            Some(domain) if domain.power == PowerState::Paused && paused_runs => None,
            Some(domain) if domain.power != PowerState::Running => {
                Some("no route to host".to_owned())
            }
            Some(domain) if now < domain.ready => Some("connection refused".to_owned()),
            Some(domain) if domain.netback.as_ref().is_some_and(|vif| !vif.is_connected()) => {
                Some("no route to host".to_owned())
            }
            Some(domain) => {
                let hidden = domain.inside.as_deref().map(|odd| odd.hidden_vifs.as_slice());
                let first = self.vifs.first().map(|vif| vif.mac);
                let seen = first.is_some_and(|mac| !hidden.unwrap_or_default().contains(&mac));
                (!seen).then(|| "no route to host".to_owned())
            }
        }
    }

    /// Writes a line on its console, of which the last 64 KiB are kept.
    pub(super) fn print(&mut self, line: &str) {
        const MOST: usize = 64 * 1024;
        self.console.push_str(line);
        self.console.push('\n');
        if self.console.len() > MOST {
            let from = self.console.ceil_char_boundary(self.console.len() - MOST);
            self.console.drain(..from);
        }
    }

    /// What was written on its console until now.
    pub(super) fn console_text(&self, now: Instant) -> String {
        let mut text = self.console.clone();
        let up = self.domain.as_ref().filter(|domain| domain.ready <= now);
        if let Some(domain) = up.filter(|domain| domain.power != PowerState::Crashed) {
            text.push_str(&format!("\n{} login: ", domain.name));
        }
        text
    }
}
