//! What a guest should be, kept beside what it is.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, Memory, PowerState, Vif};

/// What a guest should be now, after all verbs that were used on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedGuest {
    /// The power state.
    pub power: PowerState,
    /// vCPUs in use.
    pub vcpus: u32,
    /// Memory.
    pub memory: Memory,
    /// Disks.
    pub disks: Vec<Disk>,
    /// Network interfaces.
    pub vifs: Vec<Vif>,
    /// The address of the first VIF, once it is known.
    pub address: Option<IpAddr>,
    /// Whether a login into it should work: true from the first time that it did, as long as it
    /// runs.
    pub reachable: bool,
}

/// The expected state of one guest, shared by all handles to it. Verbs write it; checks read it.
///
/// A test that changes a guest behind the library's back says so with [`update`](Self::update).
#[derive(Debug, Clone)]
pub struct Expectation(Arc<Mutex<ExpectedGuest>>);

impl Expectation {
    /// Begins with `expected`.
    pub fn new(expected: ExpectedGuest) -> Self {
        Self(Arc::new(Mutex::new(expected)))
    }

    /// A copy of what is expected now.
    pub fn get(&self) -> ExpectedGuest {
        self.lock().clone()
    }

    /// Changes what is expected.
    pub fn update(&self, change: impl FnOnce(&mut ExpectedGuest)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, ExpectedGuest> {
        // A panic between two plain assignments leaves nothing half done that matters here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
