//! The tree of a plan, walked: what runs after what, and what blocks what.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, StreamExt as _};

use super::life::live;
use super::plan::{PlanBlock, PlanNode};
use super::{EventKind, TestIndex};
use crate::seconds::Seconds;
use crate::sequence::BlockKind;
use crate::testcase::{Marks, Outcome, RunShared};

/// The walk through a plan.
///
/// A test that Failed or Errored and is a blocker blocks what follows it in its serial block, or
/// the parallel block that it is in (whose other steps run on). Any other test blocks nobody. A
/// block that is blocked and is a blocker itself passes that on to the block around it; so does any
/// blocked block to a parallel one.
pub(super) struct Walk {
    shared: Arc<RunShared>,
    went_wrong: AtomicBool,
}

/// Why something is blocked; shared, since it may be the reason of thousands of tests.
type Reason = Arc<str>;

/// What came of a step.
#[derive(Default)]
struct Walked {
    /// It is blocked, or became so on its way.
    blocked: Option<Reason>,
    /// It blocks what follows it.
    blocks: Option<Reason>,
}

impl Walk {
    pub(super) fn new(shared: Arc<RunShared>) -> Self {
        Self { shared, went_wrong: AtomicBool::new(false) }
    }

    /// Runs all tests; with a reason, none of them: they are Blocked by it.
    pub(super) async fn walk(&self, root: &PlanBlock, blocked: Option<String>) {
        self.block(root, blocked.map(Reason::from)).await;
    }

    /// Whether a test Failed or Errored.
    pub(super) fn went_wrong(&self) -> bool {
        self.went_wrong.load(Ordering::Relaxed)
    }

    fn block<'a>(
        &'a self,
        block: &'a PlanBlock,
        mut blocked: Option<Reason>,
    ) -> BoxFuture<'a, Walked> {
        Box::pin(async move {
            match block.kind {
                BlockKind::Serial => {
                    for step in &block.steps {
                        let walked = self.step(step, blocked.clone()).await;
                        blocked = blocked.or(walked.blocks);
                    }
                }
                BlockKind::Parallel { workers } => {
                    let at_once = workers.unwrap_or(block.steps.len()).max(1);
                    let outer = blocked.clone();
                    let steps = block.steps.iter();
                    let steps: Vec<BoxFuture<'_, Walked>> =
                        steps.map(|step| self.step(step, outer.clone()).boxed()).collect();
                    let mut steps = stream::iter(steps).buffer_unordered(at_once);
                    while let Some(walked) = steps.next().await {
                        blocked = blocked.or(walked.blocks).or(walked.blocked);
                    }
                }
            }
            let blocks = blocked.clone().filter(|_| block.blocker);
            Walked { blocked, blocks }
        })
    }

    async fn step(&self, step: &PlanNode, blocked: Option<Reason>) -> Walked {
        match step {
            PlanNode::Block(block) => self.block(block, blocked).await,
            PlanNode::Test(index) => self.test(*index, blocked).await,
        }
    }

    async fn test(&self, index: TestIndex, blocked: Option<Reason>) -> Walked {
        if let Some((outcome, _)) = self.shared.ended.get(&index) {
            // It ended before the run was interrupted: what follows from that follows now too.
            return self.ended(index, outcome);
        }
        self.shared.events.room().await;
        let cancelled = || self.shared.cancel.reason().filter(|_| blocked.is_none());
        let by = match (&blocked, cancelled()) {
            (Some(reason), _) => Some(reason.to_string()),
            (None, Some(reason)) => Some(format!("the run was cancelled ({reason})")),
            (None, None) => None,
        };
        if let Some(by) = by {
            let outcome = Outcome::Blocked { by };
            let marks = Marks::default();
            let what = EventKind::TestFinished { outcome, marks, seconds: Seconds::default() };
            self.shared.events.send(Some(index), what);
            return Walked::default();
        }
        let outcome = live(&self.shared, index).await;
        self.ended(index, &outcome)
    }

    /// What follows from how a test ended.
    fn ended(&self, index: TestIndex, outcome: &Outcome) -> Walked {
        let case = &self.shared.cases[index.0 as usize];
        let how = match outcome {
            Outcome::Failed { .. } => "failed",
            Outcome::Errored { .. } => "errored",
            Outcome::Passed | Outcome::Skipped { .. } | Outcome::Blocked { .. } => {
                return Walked::default();
            }
        };
        self.went_wrong.store(true, Ordering::Relaxed);
        let blocks = case.blocker.then(|| format!("{} {how}", case.planned.label()).into());
        Walked { blocked: None, blocks }
    }
}
