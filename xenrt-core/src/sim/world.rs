//! What all hosts of a lab share.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::commands::{SimAnswer, SimPlace};
use super::defect::Defect;
use super::faults::Faults;
use super::machine::Machine;
use super::netback::NetbackFault;
use super::time::SimTiming;

/// A command that a simulated shell was given and did not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimCommandRecord {
    /// Which shell: `root@h0 (dom0)`.
    pub target: String,
    /// The command.
    pub command: String,
}

/// An answer to a command that the simulation does not know by itself.
pub(super) type Responder = Arc<dyn Fn(&SimPlace<'_>, &str) -> Option<SimAnswer> + Send + Sync>;

/// So many commands that nobody knew are kept.
const MOST_UNKNOWN: usize = 1000;

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) timing: SimTiming,
    pub(super) faults: Faults,
    began: Instant,
    defects: Vec<Defect>,
    /// What is wrong with the VIFs of guests.
    pub(super) netback_fault: Option<NetbackFault>,
    next_address: AtomicU32,
    /// Which guest an address belongs to, and where that is now: the switch between the hosts.
    addresses: Mutex<HashMap<IpAddr, (Weak<Machine>, Uuid)>>,
    responders: RwLock<Vec<Responder>>,
    unknown: Mutex<Vec<SimCommandRecord>>,
    recording: AtomicBool,
    calls: Mutex<Vec<String>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.seed).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holder makes one change to a collection; none can leave it half made.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(
        seed: u64,
        timing: SimTiming,
        defects: Vec<Defect>,
        netback_fault: Option<NetbackFault>,
    ) -> Arc<Self> {
        Arc::new(Self {
            seed,
            timing,
            faults: Faults::default(),
            began: Instant::now(),
            defects,
            netback_fault,
            next_address: AtomicU32::new(0),
            addresses: Mutex::default(),
            responders: RwLock::default(),
            unknown: Mutex::default(),
            recording: AtomicBool::new(false),
            calls: Mutex::default(),
        })
    }

    /// Whether this lab has that defect.
    pub(super) fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }

    /// The time of day on all clocks of the lab, as a time since the epoch: they are all right.
    pub(super) fn clock(&self) -> Duration {
        // Any day will do, as long as it is the same for everybody.
        const MIDNIGHT: Duration = Duration::from_secs(1_750_032_000);
        MIDNIGHT + Instant::now().saturating_duration_since(self.began)
    }

    /// The next address that no guest of the lab had.
    pub(super) fn new_address(&self) -> Ipv4Addr {
        // 10.1.0.0 upwards; dom0 has 10.0.0.1 on each host.
        let number = self.next_address.fetch_add(1, Ordering::Relaxed);
        Ipv4Addr::from(0x0a01_0000 | (number & 0x00fe_ffff))
    }

    pub(super) fn place(&self, address: IpAddr, machine: &Arc<Machine>, guest: Uuid) {
        locked(&self.addresses).insert(address, (Arc::downgrade(machine), guest));
    }

    pub(super) fn forget(&self, address: IpAddr) {
        locked(&self.addresses).remove(&address);
    }

    pub(super) fn guest_at(&self, address: IpAddr) -> Option<(Arc<Machine>, Uuid)> {
        let addresses = locked(&self.addresses);
        addresses.get(&address).and_then(|(machine, guest)| Some((machine.upgrade()?, *guest)))
    }

    pub(super) fn teach(&self, responder: Responder) {
        self.responders.write().unwrap_or_else(PoisonError::into_inner).push(responder);
    }

    /// What a taught answer to `line` is, the one that was taught last first.
    pub(super) fn taught(&self, place: &SimPlace<'_>, line: &str) -> Option<SimAnswer> {
        let responders = self.responders.read().unwrap_or_else(PoisonError::into_inner);
        responders.iter().rev().find_map(|responder| responder(place, line))
    }

    pub(super) fn note_unknown(&self, target: &str, command: &str) {
        let mut unknown = locked(&self.unknown);
        if unknown.len() < MOST_UNKNOWN {
            let (target, command) = (target.to_owned(), command.to_owned());
            unknown.push(SimCommandRecord { target, command });
        }
    }

    pub(super) fn unknown(&self) -> Vec<SimCommandRecord> {
        locked(&self.unknown).clone()
    }

    pub(super) fn record(&self, on: bool) {
        self.recording.store(on, Ordering::Relaxed);
    }

    pub(super) fn note_call(&self, what: impl FnOnce() -> String) {
        if self.recording.load(Ordering::Relaxed) {
            locked(&self.calls).push(what());
        }
    }

    pub(super) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.calls))
    }
}

/// A number that follows from the seed, some words and a count, and from nothing else: not from
/// the order in which hosts are asked. FNV-1a over the input, mixed by splitmix64's last steps.
pub(super) fn draw(seed: u64, words: &[&str], count: u64) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    seed.to_le_bytes().into_iter().chain(count.to_le_bytes()).for_each(&mut eat);
    for word in words {
        word.bytes().for_each(&mut eat);
        eat(0xff);
    }
    let mut mixed = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A UUID that follows from the seed.
pub(super) fn draw_uuid(seed: u64, words: &[&str], count: u64) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&draw(seed, words, count).to_le_bytes());
    bytes[8..].copy_from_slice(&draw(!seed, words, count).to_le_bytes());
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
