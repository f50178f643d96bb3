//! The hosts and guests of a run, as its tests find them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::model::{Guest, Host, HostInventory};

/// The hosts and guests of a run.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    /// The run's own, then the one that other runs use too, where there is one.
    pub(crate) hosts: Vec<RunHost>,
    /// How many of them are the run's own.
    pub(crate) own: usize,
    pub(crate) guests: Vec<RunGuest>,
}

/// A host of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunHost {
    /// `RESOURCE_HOST_<n>`, the alias, the lab's name.
    pub(crate) names: Vec<String>,
    /// In the scope of the run.
    pub(crate) host: Arc<dyn Host>,
    pub(crate) ledger: Arc<Ledger>,
    /// The boot that it ran when it was last looked at; `None` where that is not known.
    pub(crate) boot_id: Arc<tokio::sync::Mutex<Option<String>>>,
}

/// A guest that the preparation made.
#[derive(Debug)]
pub(crate) struct RunGuest {
    pub(crate) name: String,
    pub(crate) guest: Arc<dyn Guest>,
    /// The number of its host among the hosts of the run.
    pub(crate) host: usize,
}

impl Resources {
    pub(crate) fn host(&self, name: &str) -> Result<usize, Error> {
        let own = &self.hosts[..self.own];
        let position = own.iter().position(|host| host.names.iter().any(|own| own == name));
        position.ok_or_else(|| Error::NotFound {
            kind: "host",
            name: name.to_owned(),
            known: own.iter().flat_map(|host| host.names.clone()).collect(),
        })
    }

    pub(crate) fn guest(&self, name: &str) -> Result<usize, Error> {
        let position = self.guests.iter().position(|guest| guest.name == name);
        position.ok_or_else(|| Error::NotFound {
            kind: "guest of the preparation",
            name: name.to_owned(),
            known: self.guests.iter().map(|guest| guest.name.clone()).collect(),
        })
    }
}

/// What is known of the objects on a host, and which tests are at work there: what it takes to say
/// which test left something behind.
///
/// A host is only compared when nobody is at work on it. A test that had it for itself is told
/// apart from tests that ran side by side.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<LedgerState>);

#[derive(Debug, Default)]
struct LedgerState {
    /// The objects before the tests that are at work now; `None` where they could not be listed.
    before: Option<HostInventory>,
    at_work: usize,
    /// Counts the tests that ever began, so that a comparison knows that one began meanwhile.
    begun: u64,
    /// The tests that used the host since it was last compared.
    tests: Vec<String>,
}

/// The right to compare a host, for the last test that was at work on it.
#[derive(Debug)]
pub(crate) struct Turn {
    begun: u64,
}

impl Ledger {
    /// What stands on the host before the first test.
    pub(crate) fn begin(&self, inventory: Option<HostInventory>) {
        self.lock().before = inventory;
    }

    /// A test begins to use the host.
    pub(crate) fn enter(&self, test: &str) {
        let mut state = self.lock();
        state.at_work += 1;
        state.begun += 1;
        state.tests.push(test.to_owned());
    }

    /// A test is done with the host. The last one has the turn to compare.
    pub(crate) fn leave(&self) -> Option<Turn> {
        let mut state = self.lock();
        state.at_work -= 1;
        (state.at_work == 0).then_some(Turn { begun: state.begun })
    }

    /// The objects that came since the last comparison, and the tests that used the host since.
    /// `None` where a test began meanwhile: the objects may be its own, so whoever is last after it
    /// compares.
    pub(crate) fn compare(
        &self,
        turn: &Turn,
        after: HostInventory,
    ) -> Option<(Vec<String>, Vec<String>)> {
        let mut state = self.lock();
        if state.at_work > 0 || state.begun != turn.begun {
            return None;
        }
        let added = state.before.as_ref().map(|before| after.added_since(before));
        state.before = Some(after);
        Some((added.unwrap_or_default(), std::mem::take(&mut state.tests)))
    }

    fn lock(&self) -> MutexGuard<'_, LedgerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(names: &[&str]) -> HostInventory {
        HostInventory { objects: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn the_last_one_compares_and_only_while_nobody_else_began() {
        let ledger = Ledger::default();
        ledger.begin(Some(objects(&["domain a"])));
        ledger.enter("one");
        ledger.enter("two");
        assert!(ledger.leave().is_none(), "`two` is still at work");
        let turn = ledger.leave().unwrap();
        ledger.enter("three");
        assert_eq!(ledger.compare(&turn, objects(&["domain a", "domain b"])), None);
        let turn = ledger.leave().unwrap();
        let (added, tests) = ledger.compare(&turn, objects(&["domain a", "domain b"])).unwrap();
        assert_eq!(added, ["domain b"]);
        assert_eq!(tests, ["one", "two", "three"]);
        ledger.enter("four");
        let turn = ledger.leave().unwrap();
        let (added, tests) = ledger.compare(&turn, objects(&["domain b"])).unwrap();
        assert_eq!((added.len(), tests), (0, vec!["four".to_owned()]));
    }
}
