//! The tree of a plan, walked: what runs after what, what beside what, and what blocks what.
//!
//! # What happens
//!
//! | Situation | What happens |
//! |---|---|
//! | a test Failed or Errored, and is no blocker | the steps after it run: it blocks nobody |
//! | a test Failed or Errored, and is a `blocker` | the steps after it in its serial block are Blocked; in a parallel block, its siblings run on, and the block counts as blocked |
//! | a blocker was Skipped, or Blocked itself | it blocks nobody (but see the next rows) |
//! | a block is blocked, by a step or from outside | its remaining steps are Blocked, its `finally` blocks run |
//! | a blocked block is no `blocker` | the steps after it run |
//! | a blocked block is a `blocker` | it blocks the steps after it, as a test would |
//! | a step of a parallel block is a blocked block | the parallel block counts as blocked, even where the step is no blocker |
//! | an `<action>` failed | it blocks as a blocker does |
//! | the preparation failed | all tests are Blocked by it, but those in `finally` whose hosts and guests are there |
//! | `depends` names a test that did not pass, or has not ended | Skipped, with its name and outcome |
//! | `depends` names a test that comes later, or that there is not | the sequence is refused |
//! | abilities or hosts are missing that a test `requires` | Skipped with the reason, before it claims or builds anything; it blocks nobody |
//! | a test failed and has `retries` left | it is tried again from its beginning; passing then, it is Passed and marked flaky |
//! | a test or block has `repeat` or `duration` | it runs so often; each test has one verdict, the worst of its rounds, which says which rounds |
//! | a round of a block ends blocked, or with the time over, or without a test that ran | no further round begins |
//! | the `timeout` of a test is over | it is interrupted and Errored, by the test; its clean-up has time of its own |
//! | the `timeout` of a block is over | its tests at work are interrupted, cleaned up after and Blocked by it; the others are Blocked; `finally` runs; the block counts as blocked |
//! | the time of the run is over but for what is kept back | the same for the whole run, as if it were cancelled |
//! | the run is cancelled | the same, and the preparation is undone at the end |
//! | the run is cancelled again | it ends at once; nothing more is undone |
//! | a `finally` block, after anything but a second cancellation | runs; where the time is over or the run is cancelled, at most the time that is kept back |
//! | a blocker failed in a `finally` block | blocks the rest of that `finally` block and nothing else |
//! | a step of a `finally` block failed | is in the results as any other test |
//! | tests claim the same host or guest, one of them for itself | they run one after the other |
//! | a test asks for a host or guest that it did not claim | it gets it, unless somebody else has claimed it so that both do not go together: then it is Errored and told to claim it |
//! | a test leaves something on its hosts | it keeps its outcome and is marked leaked; the run fails unless leaks are allowed |
//! | a test panics | Errored by the test; in `run`, the panic of an assertion is Failed |
//! | a test blocks its thread | Errored when its time is over; the thread is given up |
//!
//! # Where this differs from the original
//!
//! * `finally` was Blocked too when the preparation failed, and what ran in it was in no result.
//! * `depends` on a test that there is not ended the whole run with an internal error, or looked at
//!   the test before; one that passed partly counted as failed.
//! * There were no timeouts for tests and blocks, and a cancelled run waited for its tests.
//! * A blocker was one too when it said `blocker="0"`.
//! * `sleep` without a time ended the run.

mod action;
mod block;
mod order;
mod tally;
mod test;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

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
