//! A sequence with its tests found and named.

mod build;
mod error;
mod feasible;
mod select;
mod show;
mod skips;

use std::sync::Arc;
use std::time::Duration;

use super::{PlannedTest, TestIndex};
use crate::model::Ability;
use crate::seconds::Readable;
use crate::sequence::{
    Action, BlockKind, Claim, HostChoice, Place, Prepare, Rounds, Sequence, Word,
};
use crate::testcase::{Args, Registry, TestDescriptor};

pub use error::{IncludedFile, PlanError, PlanProblem, PlanReport};
pub use skips::PlanHost;
pub(super) use skips::{HostsFound, hosts_from, named_guest, reason_to_skip};

/// What is to be run: the tree of a sequence in which every test was found, has a unique name and
/// knows its arguments.
///
/// Shown with `{}`, it is the tree as `--dry-run` prints it.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) file: String,
    pub(super) preprepare: Prepare,
    pub(super) prepare: Prepare,
    /// The two as the file has them, where an `<allhosts>` of it means all machines of the lab.
    pub(super) all_hosts: Option<Arc<[Prepare; 2]>>,
    /// How many tests of a class may be at work at the same time.
    pub(super) semaphores: Arc<[usize]>,
    pub(super) cases: Arc<[PlannedCase]>,
    pub(super) root: Option<PlanBlock>,
    /// `PREPARE_WORKERS`: how many things are made at once.
    pub(super) workers: Option<usize>,
    /// What whoever runs it should know.
    pub(super) warnings: Vec<String>,
}

/// A test of a plan, with everything that it takes to run it.
#[derive(Debug, Clone)]
pub(crate) struct PlannedCase {
    pub(crate) planned: Arc<PlannedTest>,
    /// Shared by all steps that run the test.
    pub(crate) descriptor: Arc<TestDescriptor>,
    pub(crate) args: Args,
    pub(crate) host: Option<HostChoice>,
    pub(crate) guest: Option<Word>,
    pub(crate) blocker: bool,
    /// Tests that must have passed before.
    pub(crate) depends: Box<[TestIndex]>,
    /// Instead of the test's own.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: Option<u32>,
    pub(crate) rounds: Rounds,
    /// What it needs besides what the test itself says.
    pub(crate) requires: Box<[Ability]>,
    /// How it uses its hosts, instead of what the test itself says.
    pub(crate) claim: Option<Claim>,
    /// The number of the semaphore of its class.
    pub(crate) semaphore: Option<u32>,
}

impl PlannedCase {
    /// Every ability that its hosts must have.
    pub(crate) fn abilities(&self) -> impl Iterator<Item = Ability> + '_ {
        self.descriptor.requires.abilities.iter().chain(&self.requires).copied()
    }
}

#[derive(Debug, Clone)]
pub(super) struct PlanBlock {
    pub(super) kind: BlockKind,
    pub(super) blocker: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) rounds: Rounds,
    pub(super) seed: Option<u64>,
    pub(super) steps: Vec<PlanNode>,
    pub(super) finally: Vec<PlanBlock>,
    pub(super) line: u32,
}

impl PlanBlock {
    /// What it is called in messages: `the serial block at line 12`.
    pub(super) fn describe(&self) -> String {
        let kind = match self.kind {
            BlockKind::Serial => "serial",
            BlockKind::Parallel { .. } => "parallel",
        };
        format!("the {kind} block at line {}", self.line)
    }

    /// Calls `found` with every test in it, those of its `finally` blocks included.
    pub(super) fn each_test(&self, found: &mut impl FnMut(TestIndex)) {
        for step in &self.steps {
            step.each_test(found);
        }
        self.finally.iter().for_each(|block| block.each_test(found));
    }
}

impl PlanNode {
    pub(super) fn each_test(&self, found: &mut impl FnMut(TestIndex)) {
        match self {
            Self::Block(block) => block.each_test(found),
            Self::Test(index) => found(*index),
            Self::Action(_) => {}
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum PlanNode {
    Block(PlanBlock),
    Test(TestIndex),
    Action(PlanAction),
}

/// Something that is done between tests.
#[derive(Debug, Clone)]
pub(super) struct PlanAction {
    pub(super) action: Action,
    pub(super) place: Place,
}

impl PlanAction {
    /// `sleep 10 s`, `prepare`.
    pub(super) fn name(&self) -> String {
        match self.action {
            Action::Sleep(time) => format!("sleep {}", Readable(time)),
            Action::Prepare => "prepare".to_owned(),
        }
    }
}

impl Plan {
    /// The plan of a sequence whose tests are in `registry`.
    ///
    /// # Errors
    /// All that cannot be done, each with its place: tests that are not known, with the nearest
    /// known id; dependencies on tests that there are not, or that come later; a `PREPARE_WORKERS`
    /// that is no number. What the preparation asks for and this library cannot carry out is told by
    /// [`carried_out`](Self::carried_out).
    pub fn new(sequence: &Sequence, registry: &Registry) -> Result<Self, PlanError> {
        Self::with(sequence, |id| build::find_in(registry, id))
    }

    /// The plan of a sequence whose tests `find` finds by their ids; what it returns instead of an
    /// unknown test is the message of the problem.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with(
        sequence: &Sequence,
        find: impl Fn(&str) -> Result<TestDescriptor, String>,
    ) -> Result<Self, PlanError> {
        build::build(sequence, find)
    }

    /// The sequence file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its tests, by number.
    pub fn tests(&self) -> impl ExactSizeIterator<Item = &PlannedTest> {
        self.cases.iter().map(|case| case.planned.as_ref())
    }

    /// The same, shared: a run tells of them in its first event and in its report.
    pub(super) fn shared_tests(&self) -> Arc<[Arc<PlannedTest>]> {
        self.cases.iter().map(|case| Arc::clone(&case.planned)).collect()
    }
}

/// A sequence file of four thousand million tests has other problems than this one.
fn next_index(len: usize) -> TestIndex {
    TestIndex(u32::try_from(len).unwrap_or(u32::MAX))
}
