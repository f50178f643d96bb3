//! Once more what did not go well.

use std::collections::{BTreeMap, HashMap};

use super::PastRun;
use crate::sequencer::{Plan, TestIndex};
use crate::testcase::OutcomeKind;
use crate::{Error, Result};

/// A plan that was cut down to what did not go well in an earlier run.
///
/// | the test, last time | now selected | now not selected |
/// |---|---|---|
/// | Failed, Errored or Blocked | runs | left out |
/// | began or was planned, and did not end | runs | left out |
/// | passed | left out | left out |
/// | Skipped | left out | left out |
/// | is not in that run | runs | left out |
///
/// "Last time" is the last run of a chain of reruns that has the test: one that passed in the first
/// rerun is not run in the second.
#[derive(Debug, Clone)]
pub struct Rerun {
    /// What is to be run.
    pub plan: Plan,
    /// How many of its tests Failed, Errored or were Blocked.
    pub failed: usize,
    /// How many of its tests did not end.
    pub not_ended: usize,
    /// How many of its tests were in none of the runs.
    pub new: usize,
    /// How many tests are left out because they passed.
    pub passed: usize,
    /// How many tests are left out because they were Skipped.
    pub skipped: usize,
}

/// The tests of `plan` that did not go well in `past` and in the runs that it is a rerun of.
///
/// # Errors
/// Those of [`PastRun::open`] for an earlier run of the chain, which must still be there.
pub fn rerun(plan: &Plan, past: &PastRun) -> Result<Rerun> {
    let mut last = HashMap::new();
    verdicts(past, &mut last);
    let mut seen = vec![past.run];
    let mut before = past.origin.rerun_of.clone();
    while let Some((run, folder)) = before.filter(|(run, _)| !seen.contains(run)) {
        let earlier = PastRun::open(&folder)?;
        if earlier.run != run {
            return Err(Error::invalid(
                format!("the run folder {}", folder.display()),
                format!(
                    "expected run {run}, which the later one is a rerun of; found {}",
                    earlier.run
                ),
            ));
        }
        verdicts(&earlier, &mut last);
        seen.push(run);
        before = earlier.origin.rerun_of.clone();
    }
    let mut counts = BTreeMap::new();
    let plan = plan.only(|test| {
        let key = (test.id.clone(), test.group.clone(), test.name.clone());
        let verdict = last.get(&key).copied().unwrap_or(Verdict::New);
        *counts.entry(verdict).or_default() += 1;
        !matches!(verdict, Verdict::Passed | Verdict::Skipped)
    });
    let count = |verdict| counts.get(&verdict).copied().unwrap_or(0);
    Ok(Rerun {
        plan,
        failed: count(Verdict::Failed),
        not_ended: count(Verdict::NotEnded),
        new: count(Verdict::New),
        passed: count(Verdict::Passed),
        skipped: count(Verdict::Skipped),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Passed,
    Skipped,
    Failed,
    NotEnded,
    New,
}

/// Id, group and name.
type Key = (String, String, String);

/// Notes what became of the tests of a run, where no later run said it.
fn verdicts(past: &PastRun, last: &mut HashMap<Key, Verdict>) {
    for (test, number) in past.tests.iter().zip(0..) {
        let outcome = past.ended.get(&TestIndex(number)).map(|(outcome, _)| outcome.kind());
        let verdict = match outcome {
            Some(OutcomeKind::Passed) => Verdict::Passed,
            Some(OutcomeKind::Skipped) => Verdict::Skipped,
            Some(OutcomeKind::Failed | OutcomeKind::Errored | OutcomeKind::Blocked) => {
                Verdict::Failed
            }
            None => Verdict::NotEnded,
        };
        let key = (test.id.clone(), test.group.clone(), test.name.clone());
        last.entry(key).or_insert(verdict);
    }
}
