//! The steps of a block, its rounds, and its `finally`.

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::order::{behind_awaited, shuffled};
use super::{Around, Reason, Walk, Walked};
use crate::seconds::Readable;
use crate::sequence::{BlockKind, Rounds};
use crate::sequencer::plan::{PlanBlock, PlanNode};
use crate::sequencer::{Level, TestIndex};

/// So many steps of a parallel block are begun at once where it names no number of workers. It is
/// only there so that a block of a million steps does not take all memory.
const MOST_AT_ONCE: usize = 10_000;
/// Besides those that its workers are at, so many steps of a parallel block wait: where the first
/// of them cannot have their hosts, workers go on with others.
const LOOK_AHEAD: usize = 64;

impl Walk {
    pub(super) fn block<'a>(
        &'a self,
        block: &'a PlanBlock,
        around: Around,
        mut blocked: Option<Reason>,
    ) -> BoxFuture<'a, Walked> {
        Box::pin(async move {
            let _worker = self.worker(&around).await;
            let stop = match block.timeout {
                None => around.stop.clone(),
                Some(time) => around.stop.after(time, || {
                    format!("the time of {} is over ({})", block.describe(), Readable(time))
                }),
            };
            let repeated = around.repeated || !block.rounds.is_once();
            let inside = Around { stop, repeated, finally: around.finally, workers: None };
            let began = Instant::now();
            let mut ran = false;
            for round in 1.. {
                let walked = match block.kind {
                    BlockKind::Serial => self.serial(block, &inside, blocked.clone(), round).await,
                    BlockKind::Parallel { workers } => {
                        self.parallel(block, &inside, blocked.clone(), workers).await
                    }
                };
                ran |= walked.ran;
                blocked = walked.blocked;
                let more = another(block.rounds, round, began);
                if !more || blocked.is_some() || !walked.ran || inside.stop.reason().is_some() {
                    break;
                }
            }
            // What did not come to its end in its time is blocked, as if a step had been.
            if let (true, Some(over)) = (around.stop.reason().is_none(), inside.stop.reason()) {
                blocked = blocked.or_else(|| Some(over.before().into()));
            }
            if inside.repeated && !around.repeated {
                self.tell_verdicts(&block.steps);
            }
            self.finally(block, &around).await;
            let blocks = blocked.clone().filter(|_| block.blocker);
            Walked { blocked, blocks, ran }
        })
    }

    /// Runs what is to be run whatever came before. What goes wrong in it is its tests', and blocks
    /// nobody else.
    async fn finally(&self, block: &PlanBlock, around: &Around) {
        for finally in &block.finally {
            let around = Around {
                stop: around.stop.for_finally(self.limits.finally_reserve),
                finally: true,
                repeated: around.repeated,
                workers: None,
            };
            self.block(finally, around, None).await;
        }
    }

    async fn serial(
        &self,
        block: &PlanBlock,
        inside: &Around,
        mut blocked: Option<Reason>,
        round: u32,
    ) -> Walked {
        let mut ran = false;
        let seed = block.seed.or_else(|| {
            let own = u64::from(block.line).rotate_left(32);
            self.limits.seed.filter(|_| !inside.finally).map(|seed| seed ^ own)
        });
        let order = seed.map(|seed| {
            let (what, round_text) = (block.describe(), round_text(block.rounds, round));
            let text = format!("the order of {what}{round_text} is drawn from the seed {seed}");
            self.shared.events.log(Level::Info, text);
            let awaited = self.awaited.steps_within(block, &self.shared.cases);
            behind_awaited(shuffled(block.steps.len(), seed, round), &awaited)
        });
        for at in 0..block.steps.len() {
            let step = &block.steps[order.as_ref().map_or(at, |order| order[at])];
            let walked = self.step(step, inside.clone(), blocked.clone()).await;
            blocked = blocked.or(walked.blocks);
            ran |= walked.ran;
        }
        Walked { blocked, blocks: None, ran }
    }

    async fn parallel(
        &self,
        block: &PlanBlock,
        inside: &Around,
        mut blocked: Option<Reason>,
        workers: Option<usize>,
    ) -> Walked {
        let mut ran = false;
        // More workers than steps would only be counted.
        let workers = workers.filter(|workers| *workers < block.steps.len());
        let at_once = workers.map_or(MOST_AT_ONCE, |workers| workers.saturating_add(LOOK_AHEAD));
        let workers = workers.map(|workers| self.shared.claims.workers(workers));
        let inside = Around { workers: workers.as_ref().map(|own| own.resource), ..inside.clone() };
        let outer = blocked.clone();
        let awaited = self.awaited.within(block, &self.shared.cases);
        let order = match awaited.is_empty() {
            true => self.durations.longest_first(block, &self.shared.cases),
            // Who is waited for begins before those who wait.
            false => (0..block.steps.len()).collect(),
        };
        let (awaited, inside) = (&awaited, &inside);
        let steps = stream::iter(order);
        let mut steps = steps
            .map(|at| {
                let outer = outer.clone();
                async move {
                    if let Some(tests) = awaited.get(&at) {
                        self.wait_for(tests, &inside.stop).await;
                    }
                    self.step(&block.steps[at], inside.clone(), outer).await
                }
            })
            .buffer_unordered(at_once);
        while let Some(walked) = steps.next().await {
            blocked = blocked.or(walked.blocks).or(walked.blocked);
            ran |= walked.ran;
        }
        Walked { blocked, blocks: None, ran }
    }

    async fn step(&self, step: &PlanNode, around: Around, blocked: Option<Reason>) -> Walked {
        match step {
            PlanNode::Block(block) => self.block(block, around, blocked).await,
            PlanNode::Test(index) => self.test(*index, &around, blocked).await,
            PlanNode::Action(action) => self.action(action, &around, blocked).await,
        }
    }

    /// The verdicts of the tests in a block whose rounds are over.
    fn tell_verdicts(&self, steps: &[PlanNode]) {
        let mut tell = |index: TestIndex| {
            let tally = self.tallies().remove(&index);
            if let Some(ended) = tally.and_then(super::Tally::verdict) {
                self.finished(index, ended);
            }
        };
        steps.iter().for_each(|step| step.each_test(&mut tell));
    }
}

/// Whether another round begins after `round` of them.
pub(super) fn another(rounds: Rounds, round: u32, began: Instant) -> bool {
    if rounds.times.is_none() && rounds.duration.is_none() {
        return false;
    }
    rounds.times.is_none_or(|times| round < times)
        && rounds.duration.is_none_or(|duration| began.elapsed() < duration)
}

fn round_text(rounds: Rounds, round: u32) -> String {
    if rounds.is_once() { String::new() } else { format!(", round {round},") }
}
