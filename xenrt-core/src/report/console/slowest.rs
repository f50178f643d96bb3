//! The tests that took longest.

use super::TIME;
use crate::seconds::Readable;
use crate::sequencer::TestIndex;

/// The few tests of a run that took longest.
#[derive(Debug, Default)]
pub(super) struct Slowest {
    /// The longest first.
    tests: Vec<(f64, TestIndex)>,
    seen: usize,
}

impl Slowest {
    const MOST: usize = 5;
    /// In a run of fewer tests everybody sees which one was slow.
    const WORTH_TESTS: usize = 10;
    const WORTH_SECONDS: f64 = 1.0;

    pub(super) fn take(&mut self, test: TestIndex, seconds: f64) {
        self.seen += 1;
        let full = self.tests.len() == Self::MOST;
        if full && self.tests.last().is_some_and(|(least, _)| *least >= seconds) {
            return;
        }
        let at = self.tests.partition_point(|(other, _)| *other >= seconds);
        self.tests.insert(at, (seconds, test));
        self.tests.truncate(Self::MOST);
    }

    /// A line for each, where that says something.
    pub(super) fn text(&self, label: impl Fn(TestIndex) -> String) -> Option<String> {
        let worth = |(seconds, _): &&(f64, TestIndex)| *seconds >= Self::WORTH_SECONDS;
        let lines: Vec<_> = self.tests.iter().filter(worth).collect();
        if self.seen < Self::WORTH_TESTS || lines.is_empty() {
            return None;
        }
        let line = |(seconds, test): &&(f64, TestIndex)| {
            format!("{:>TIME$} {}", Readable::seconds(*seconds).to_string(), label(*test))
        };
        Some(lines.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_come_first_and_short_ones_not_at_all() {
        let mut slowest = Slowest::default();
        for (number, seconds) in (0..).zip([0.5, 3.0, 1.0, 9.0, 2.0, 7.0, 0.1, 4.0, 0.2]) {
            slowest.take(TestIndex(number), seconds);
        }
        let label = |test: TestIndex| format!("t{}", test.0);
        assert_eq!(slowest.text(label), None, "nine tests are few");
        slowest.take(TestIndex(9), 8.0);
        let text = slowest.text(label).unwrap();
        let names: Vec<_> = text.lines().map(|line| line.trim_start()).collect();
        assert_eq!(names, ["9 s t3", "8 s t9", "7 s t5", "4 s t7", "3 s t1"]);
    }
}
