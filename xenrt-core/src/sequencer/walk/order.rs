//! In which order the steps of a block begin.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use crate::sequence::BlockKind;
use crate::sequencer::plan::{PlanBlock, PlanNode, PlannedCase};

/// The numbers of `count` steps in an order drawn from `seed`, another one each round.
///
/// Written here and not taken from a crate: whoever repeats a run years later with the seed of its
/// journal must get the same order, and random number crates change theirs. (Fisher and Yates'
/// shuffle with the numbers of splitmix64.)
pub(super) fn shuffled(count: usize, seed: u64, round: u32) -> Vec<usize> {
    let mut state = seed ^ u64::from(round).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        // The upper half of the product: a number below `at + 1` without a division.
        let below = u128::from(next()) * (at as u128 + 1);
        order.swap(at, usize::try_from(below >> 64).unwrap_or(at));
    }
    order
}

/// `order` with each step behind those that it waits for, which come before it in the file: always
/// the first of `order` that waits for none any more. A step that waits for none and is waited for by
/// none is moved back by those alone that had to come before it.
pub(super) fn behind_awaited(
    order: Vec<usize>,
    awaited: &HashMap<usize, Vec<usize>>,
) -> Vec<usize> {
    if awaited.is_empty() {
        return order;
    }
    let mut place = vec![0; order.len()];
    let mut missing = vec![0_usize; order.len()];
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); order.len()];
    for (at, step) in order.iter().enumerate() {
        place[*step] = at;
    }
    for (step, others) in awaited {
        missing[*step] = others.len();
        others.iter().for_each(|other| waiting[*other].push(*step));
    }
    let free = (0..order.len()).filter(|step| missing[*step] == 0);
    let mut free: BinaryHeap<_> = free.map(|step| Reverse(place[step])).collect();
    let mut sorted = Vec::with_capacity(order.len());
    while let Some(Reverse(at)) = free.pop() {
        let step = order[at];
        sorted.push(step);
        for later in &waiting[step] {
            missing[*later] -= 1;
            if missing[*later] == 0 {
                free.push(Reverse(place[*later]));
            }
        }
    }
    sorted
}

/// How long tests took before, by their labels.
#[derive(Debug, Default)]
pub(super) struct Durations {
    known: HashMap<String, Duration>,
    /// What is assumed of a test that is not known: the mean of the others.
    mean: Duration,
}

impl Durations {
    pub(super) fn new(known: HashMap<String, Duration>) -> Self {
        let count = u32::try_from(known.len()).unwrap_or(u32::MAX).max(1);
        let mean = known.values().sum::<Duration>() / count;
        Self { known, mean }
    }

    /// The numbers of the steps of a parallel block, the longest first: what is long must not begin
    /// when all else has ended. Where nothing is known, the order of the file.
    pub(super) fn longest_first(&self, block: &PlanBlock, cases: &[PlannedCase]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..block.steps.len()).collect();
        if !self.known.is_empty() {
            let lengths: Vec<_> =
                block.steps.iter().map(|step| self.of_step(step, cases)).collect();
            order.sort_by_key(|at| Reverse(lengths[*at]));
        }
        order
    }

    fn of_step(&self, step: &PlanNode, cases: &[PlannedCase]) -> Duration {
        match step {
            PlanNode::Block(block) => self.of_block(block, cases),
            PlanNode::Test(index) => {
                let case = &cases[index.0 as usize];
                let once = self.known.get(&case.planned.label()).copied().unwrap_or(self.mean);
                rounds(case.rounds.times, case.rounds.duration, once)
            }
            PlanNode::Action(action) => match action.action {
                crate::sequence::Action::Sleep(time) => time,
                crate::sequence::Action::Prepare => self.mean,
            },
        }
    }

    fn of_block(&self, block: &PlanBlock, cases: &[PlannedCase]) -> Duration {
        let steps = block.steps.iter().map(|step| self.of_step(step, cases));
        let once = match block.kind {
            BlockKind::Serial => steps.sum(),
            BlockKind::Parallel { workers } => {
                let (sum, longest) = steps.fold((Duration::ZERO, Duration::ZERO), |all, step| {
                    (all.0 + step, all.1.max(step))
                });
                let workers = workers.unwrap_or(block.steps.len()).max(1);
                longest.max(sum / u32::try_from(workers).unwrap_or(u32::MAX))
            }
        };
        let rounds = rounds(block.rounds.times, block.rounds.duration, once);
        let limited = block.timeout.map_or(rounds, |timeout| rounds.min(timeout));
        let finally = block.finally.iter().map(|inner| self.of_block(inner, cases));
        limited + finally.sum::<Duration>()
    }
}

fn rounds(times: Option<u32>, limit: Option<Duration>, once: Duration) -> Duration {
    match (times, limit) {
        (Some(times), Some(limit)) => once.saturating_mul(times).min(limit.max(once)),
        (Some(times), None) => once.saturating_mul(times),
        (None, Some(limit)) => limit.max(once),
        (None, None) => once,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_order_for_ever_and_each_round_another() {
        assert_eq!(shuffled(8, 7, 1), [3, 5, 1, 4, 0, 2, 6, 7]);
        assert_eq!(shuffled(8, 7, 1), shuffled(8, 7, 1));
        assert_ne!(shuffled(8, 7, 1), shuffled(8, 7, 2));
        assert_ne!(shuffled(8, 7, 1), shuffled(8, 8, 1));
        let mut all = shuffled(1000, 3, 5);
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        assert_eq!(shuffled(0, 1, 1), [0; 0]);
    }

    #[test]
    fn who_is_waited_for_comes_first_and_the_rest_stays_as_it_was_drawn() {
        let awaited = |pairs: &[(usize, &[usize])]| {
            pairs.iter().map(|(step, others)| (*step, others.to_vec())).collect()
        };
        let drawn = vec![3, 5, 1, 4, 0, 2];
        assert_eq!(behind_awaited(drawn.clone(), &awaited(&[])), drawn);
        let sorted = behind_awaited(drawn.clone(), &awaited(&[(3, &[0]), (5, &[1, 2])]));
        assert_eq!(sorted, [1, 4, 0, 3, 2, 5]);
        let chain: HashMap<usize, Vec<usize>> =
            (1..1000).map(|step| (step, vec![step - 1])).collect();
        assert_eq!(behind_awaited(shuffled(1000, 3, 1), &chain), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn every_order_is_as_likely_as_any_other() {
        let mut seen: HashMap<Vec<usize>, u32> = HashMap::new();
        for seed in 0..6000 {
            *seen.entry(shuffled(3, seed, 1)).or_default() += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|count| (850..1150).contains(count)), "{seen:?}");
    }
}
