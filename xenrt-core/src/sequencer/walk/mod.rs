//! The tree of a plan, walked: what runs after what, what beside what, and what blocks what. What
//! happens when stands in the documentation of the [sequencer](super), with the reasons.

mod action;
mod block;
mod depends;
mod order;
mod tally;
mod test;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use depends::Awaited;
use order::Durations;
pub(super) use tally::Ended;
use tally::Tally;

use super::lanes::Lanes;
use super::plan::PlanBlock;
use super::prepare::Preparation;
use super::stop::Stop;
use super::{EventKind, TestIndex};
use crate::seconds::micros;
use crate::testcase::RunShared;

/// The walk through a plan.
#[derive(Debug)]
pub(super) struct Walk {
    shared: Arc<RunShared>,
    preparation: Arc<Preparation>,
    limits: Limits,
    durations: Durations,
    lanes: Lanes,
    awaited: Awaited,
    /// How each test ended last; [`NOT_YET`] for those that did not.
    last: Box<[AtomicU8]>,
    /// The rounds so far of tests in blocks that are repeated.
    tallies: Mutex<HashMap<TestIndex, Tally>>,
    /// Why the preparation failed, or was not done again.
    unprepared: RwLock<Option<Reason>>,
    went_wrong: AtomicBool,
}

/// What a walk has to know besides the plan.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// For tests that do not say.
    pub(super) retries: u32,
    /// How long a `finally` block may take when the time is over.
    pub(super) finally_reserve: Duration,
    /// Shuffles the serial blocks that have no seed of their own.
    pub(super) seed: Option<u64>,
    /// How long tests took before, by their labels.
    pub(super) durations: HashMap<String, Duration>,
}

/// Why something is blocked; shared, since it may be the reason of thousands of tests.
type Reason = Arc<str>;

const NOT_YET: u8 = u8::MAX;

/// What is known about the place of a step in the tree.
#[derive(Debug, Clone)]
struct Around {
    stop: Stop,
    /// A block around it is repeated: its tests have one verdict for all rounds.
    repeated: bool,
    finally: bool,
    /// The workers of the parallel block that it is a step of.
    workers: Option<super::claims::Resource>,
}

/// What came of a step.
#[derive(Debug, Default)]
struct Walked {
    /// It is blocked, or became so on its way.
    blocked: Option<Reason>,
    /// It blocks what follows it.
    blocks: Option<Reason>,
    /// Something of it was done, and not only blocked or skipped.
    ran: bool,
}

impl Walk {
    pub(super) fn new(
        shared: Arc<RunShared>,
        preparation: Arc<Preparation>,
        mut limits: Limits,
    ) -> Self {
        let durations = Durations::new(std::mem::take(&mut limits.durations));
        Self {
            awaited: Awaited::of(&shared.cases),
            last: shared.cases.iter().map(|_| AtomicU8::new(NOT_YET)).collect(),
            shared,
            preparation,
            limits,
            durations,
            lanes: Lanes::default(),
            tallies: Mutex::default(),
            unprepared: RwLock::default(),
            went_wrong: AtomicBool::new(false),
        }
    }

    /// Runs all tests; with a reason why the preparation failed, none of them but those in
    /// `finally` blocks that can do without it: the others are Blocked by it.
    pub(super) async fn walk(&self, root: &PlanBlock, unprepared: Option<String>) {
        let unprepared = unprepared.map(Reason::from);
        self.set_unprepared(unprepared.clone());
        let around = Around {
            stop: Stop::when_cancelled(self.shared.cancel.clone()),
            repeated: false,
            finally: false,
            workers: None,
        };
        self.block(root, around, unprepared).await;
    }

    /// Whether a test Failed or Errored.
    pub(super) fn went_wrong(&self) -> bool {
        self.went_wrong.load(Ordering::Relaxed)
    }

    /// Tells that a test ended.
    fn finished(&self, index: TestIndex, ended: Ended) {
        let Ended { outcome, marks, time } = ended;
        let what = EventKind::TestFinished { outcome, marks, seconds: micros(time) };
        self.shared.events.send(Some(index), what);
    }

    fn set_unprepared(&self, reason: Option<Reason>) {
        *self.unprepared.write().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    fn unprepared(&self) -> Option<Reason> {
        self.unprepared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tallies(&self) -> MutexGuard<'_, HashMap<TestIndex, Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
