//! Many rounds of one test, as one verdict.

use std::time::Duration;

use crate::testcase::{Marks, Outcome, OutcomeKind};

/// How a test, or a round or an attempt of it, ended.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sequencer) struct Ended {
    pub(in crate::sequencer) outcome: Outcome,
    pub(in crate::sequencer) marks: Marks,
    /// How long it was at work.
    pub(in crate::sequencer) time: Duration,
}

impl Ended {
    /// It never began.
    pub(in crate::sequencer) fn at_once(outcome: Outcome) -> Self {
        Self { outcome, marks: Marks::default(), time: Duration::ZERO }
    }
}

/// The rounds of one test so far. It takes the same room after a million rounds as after ten.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rounds: u32,
    /// Of the outcomes so far, the worst; of those, the first.
    worst: Option<Outcome>,
    /// The rounds that ended so: the first ones, and how many in all.
    worst_rounds: Vec<u32>,
    worst_count: u32,
    /// How many rounds did not pass.
    bad_count: u32,
    marks: Marks,
    more_leaks: usize,
    time: Duration,
}

/// So many rounds are told by their numbers.
const MOST_ROUNDS: usize = 10;
/// So many leaks are told.
const MOST_LEAKS: usize = 100;

impl Tally {
    /// The number of the next round.
    pub(super) fn next_round(&self) -> u32 {
        self.rounds.saturating_add(1)
    }

    pub(super) fn add(&mut self, ended: Ended) {
        self.rounds = self.next_round();
        let kind = ended.outcome.kind();
        self.bad_count += u32::from(kind != OutcomeKind::Passed);
        match self.worst.as_ref().map(Outcome::kind) {
            Some(worst) if kind < worst => {}
            Some(worst) if kind == worst => {
                self.worst_count += 1;
                if self.worst_rounds.len() < MOST_ROUNDS {
                    self.worst_rounds.push(self.rounds);
                }
            }
            _ => {
                self.worst = Some(ended.outcome);
                self.worst_rounds = vec![self.rounds];
                self.worst_count = 1;
            }
        }
        self.marks.flaky |= ended.marks.flaky;
        for leak in ended.marks.leaked {
            if self.marks.leaked.len() < MOST_LEAKS {
                self.marks.leaked.push(leak);
            } else {
                self.more_leaks += 1;
            }
        }
        self.time += ended.time;
    }

    /// The worst of its outcomes, which says in which rounds it came; `None` before the first
    /// round. Flaky is only what passed in the end.
    pub(super) fn verdict(mut self) -> Option<Ended> {
        let rounds = self.place();
        let mut outcome = self.worst?;
        match (&mut outcome, rounds) {
            (
                Outcome::Failed { message, .. }
                | Outcome::Errored { message, .. }
                | Outcome::Skipped { reason: message }
                | Outcome::Blocked { by: message },
                Some(rounds),
            ) => *message = format!("{rounds}: {message}"),
            (Outcome::Passed, _) | (_, None) => {}
        }
        if self.more_leaks > 0 {
            self.marks.leaked.push(format!("{} more", self.more_leaks));
        }
        self.marks.flaky &= outcome == Outcome::Passed;
        Some(Ended { outcome, marks: self.marks, time: self.time })
    }

    /// `round 3 of 10`, `rounds 3, 5 and 7 of 10, the first of them`; `None` where there is nothing
    /// to say.
    fn place(&self) -> Option<String> {
        let worst = self.worst.as_ref()?.kind();
        if worst == OutcomeKind::Passed || self.rounds == 1 {
            return None;
        }
        let of = self.rounds;
        let mut text = match self.worst_rounds.as_slice() {
            _ if self.worst_count == of => format!("all {of} rounds, the first of them"),
            [one] => format!("round {one} of {of}"),
            rounds => {
                let numbers: Vec<String> = rounds.iter().map(u32::to_string).collect();
                let more = self.worst_count as usize - rounds.len();
                let (last, first) = match (more, numbers.split_last()) {
                    (0, Some((last, first))) => (last.clone(), first.join(", ")),
                    _ => (format!("{more} more"), numbers.join(", ")),
                };
                format!("rounds {first} and {last} of {of}, the first of them")
            }
        };
        let others = self.bad_count - self.worst_count;
        if others > 0 {
            text = format!("{text} ({others} more did not pass either)");
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testcase::Phase;

    fn failed(message: &str) -> Outcome {
        Outcome::Failed { phase: Phase::Run, message: message.to_owned() }
    }

    fn verdict(outcomes: impl IntoIterator<Item = Outcome>) -> Ended {
        let mut tally = Tally::default();
        for outcome in outcomes {
            tally.add(Ended { time: Duration::from_secs(1), ..Ended::at_once(outcome) });
        }
        tally.verdict().unwrap()
    }

    #[test]
    fn the_worst_round_is_the_verdict_and_is_named() {
        let skipped = || Outcome::Skipped { reason: "no PVH".to_owned() };
        let of = |outcomes: Vec<Outcome>| verdict(outcomes).outcome.message().to_owned();
        assert_eq!(verdict([Outcome::Passed, Outcome::Passed]).outcome, Outcome::Passed);
        assert_eq!(verdict([Outcome::Passed, Outcome::Passed]).time, Duration::from_secs(2));
        assert_eq!(of(vec![failed("no")]), "no");
        assert_eq!(of(vec![Outcome::Passed, failed("no"), Outcome::Passed]), "round 2 of 3: no");
        assert_eq!(
            of(vec![failed("a"), skipped(), failed("b"), Outcome::Passed, failed("c")]),
            "rounds 1, 3 and 5 of 5, the first of them (1 more did not pass either): a"
        );
        assert_eq!(of(vec![skipped(), skipped()]), "all 2 rounds, the first of them: no PVH");
        let many = verdict((0..1000).map(|round| match round % 2 {
            0 => Outcome::Passed,
            _ => failed("odd"),
        }));
        assert_eq!(
            many.outcome.message(),
            "rounds 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 490 more of 1000, the first of them: odd"
        );
    }

    #[test]
    fn flaky_is_only_what_passed_in_the_end() {
        let round = |outcome: Outcome, flaky: bool| Ended {
            marks: Marks { flaky, leaked: vec!["domain x".to_owned()] },
            ..Ended::at_once(outcome)
        };
        let mut tally = Tally::default();
        tally.add(round(Outcome::Passed, true));
        tally.add(round(Outcome::Passed, false));
        let marks = tally.verdict().unwrap().marks;
        assert!(marks.flaky && marks.leaked.len() == 2);
        let mut tally = Tally::default();
        tally.add(round(Outcome::Passed, true));
        tally.add(round(failed("no"), false));
        assert!(!tally.verdict().unwrap().marks.flaky);
        let mut tally = Tally::default();
        (0..1000).for_each(|_| tally.add(round(Outcome::Passed, false)));
        let leaked = tally.verdict().unwrap().marks.leaked;
        assert_eq!((leaked.len(), leaked.last().unwrap().as_str()), (101, "900 more"));
    }
}
