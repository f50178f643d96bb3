//! Tests of a parallel block that depend on others of it, and wait for them.
//!
//! A step of a parallel block waits, before it takes a worker, until all tests have ended that
//! something in it depends on and that stand in other steps of the block. Nobody waits for ever:
//! tests depend on tests before them in the file alone, the steps of such a block begin in the order
//! of the file, and who waits holds nothing.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

use super::{NOT_YET, Walk};
use crate::sequencer::TestIndex;
use crate::sequencer::plan::{PlanBlock, PlannedCase};
use crate::sequencer::stop::Stop;

/// The tests that others depend on, each with those who wait for its end.
#[derive(Debug, Default)]
pub(super) struct Awaited(HashMap<TestIndex, Notify>);

impl Awaited {
    pub(super) fn of(cases: &[PlannedCase]) -> Self {
        let all = cases.iter().flat_map(|case| &case.depends);
        Self(all.map(|index| (*index, Notify::new())).collect())
    }

    /// Tells those who wait that a test ended. How it ended is known already.
    pub(super) fn ended(&self, index: TestIndex) {
        if let Some(waiting) = self.0.get(&index) {
            waiting.notify_waiters();
        }
    }

    /// For each step of a parallel block that has to wait: for which tests.
    pub(super) fn within(
        &self,
        block: &PlanBlock,
        cases: &[PlannedCase],
    ) -> HashMap<usize, Vec<TestIndex>> {
        let mut awaited = HashMap::new();
        if self.0.is_empty() {
            return awaited;
        }
        // Tests are numbered as they stand in the file.
        let mut first_of_block = None;
        for (at, step) in block.steps.iter().enumerate() {
            let (mut first_of_step, mut depends) = (None, Vec::new());
            step.each_test(&mut |index| {
                first_of_block.get_or_insert(index);
                first_of_step.get_or_insert(index);
                depends.extend(&cases[index.0 as usize].depends);
            });
            let (Some(begin), Some(end)) = (first_of_block, first_of_step) else { continue };
            depends.retain(|index| (begin..end).contains(index));
            depends.sort_unstable();
            depends.dedup();
            if !depends.is_empty() {
                awaited.insert(at, depends);
            }
        }
        awaited
    }
}

impl Awaited {
    /// For each step of a block that has to come behind others of it: which.
    pub(super) fn steps_within(
        &self,
        block: &PlanBlock,
        cases: &[PlannedCase],
    ) -> HashMap<usize, Vec<usize>> {
        let awaited = self.within(block, cases);
        if awaited.is_empty() {
            return HashMap::new();
        }
        // Where each step that has tests begins, in the order of the file.
        let mut begins: Vec<(TestIndex, usize)> = Vec::new();
        for (at, step) in block.steps.iter().enumerate() {
            let mut first = None;
            step.each_test(&mut |index| {
                first.get_or_insert(index);
            });
            begins.extend(first.map(|first| (first, at)));
        }
        let step_of = |index: TestIndex| {
            let behind = begins.partition_point(|(first, _)| *first <= index);
            behind.checked_sub(1).map(|at| begins[at].1)
        };
        let steps = awaited.into_iter().map(|(at, tests)| {
            let mut others: Vec<usize> = tests.into_iter().filter_map(step_of).collect();
            others.dedup();
            (at, others)
        });
        steps.collect()
    }
}

impl Walk {
    /// Waits until these tests have ended, or all is to stop.
    pub(super) async fn wait_for(&self, tests: &[TestIndex], stop: &Stop) {
        for index in tests {
            let Some(waiting) = self.awaited.0.get(index) else { continue };
            let ended = waiting.notified();
            tokio::pin!(ended);
            // Whoever ends from here on is heard.
            ended.as_mut().enable();
            if self.last[index.0 as usize].load(Ordering::Acquire) != NOT_YET {
                continue;
            }
            tokio::select! {
                () = ended => {}
                _ = stop.stopped() => return,
            }
        }
    }
}
