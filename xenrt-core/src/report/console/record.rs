//! What the console knows of a test that is running.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::remote::CommandRecord;
use crate::sequencer::{Event, EventKind, Level};
use crate::testcase::{Marks, Outcome, Phase};

/// What is known of one test from its events so far. However long it runs, this does not grow.
#[derive(Debug, Clone, Default)]
pub(super) struct TestRecord {
    pub(super) started: Option<Timestamp>,
    pub(super) hosts: Vec<String>,
    pub(super) phase: Option<(Phase, Timestamp)>,
    /// The last ones, with their beginning.
    pub(super) steps: VecDeque<(String, Timestamp)>,
    pub(super) warnings: Few<String>,
    /// Source, pattern and excerpt.
    pub(super) findings: Few<(String, String, String)>,
    /// Attempts before the last one that did not pass.
    pub(super) last_command: Option<(CommandRecord, Timestamp)>,
    pub(super) last_failed_command: Option<CommandRecord>,
    pub(super) values: Few<Measured>,
    pub(super) evidence: usize,
    pub(super) first_evidence: Option<String>,
    pub(super) outcome: Option<(Outcome, Marks, std::time::Duration)>,
}

/// The first of many, and how many more there were.
#[derive(Debug, Clone)]
pub(super) struct Few<T> {
    pub(super) first: Vec<T>,
    pub(super) more: usize,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: Vec::new(), more: 0 }
    }
}

impl<T> Few<T> {
    const MOST: usize = 20;

    fn push(&mut self, entry: T) {
        if self.first.len() < Self::MOST {
            self.first.push(entry);
        } else {
            self.more += 1;
        }
    }
}

/// All values of one name.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) unit: String,
    count: usize,
    least: f64,
    most: f64,
    last: f64,
}

impl std::fmt::Display for Measured {
    /// `throughput 940.2 Mbit/s`, or the span of several values with the last one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, unit, count, least, most, last } = self;
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        if *count == 1 {
            return write!(f, "{name} {}{unit}", short(*last));
        }
        let (least, most, last) = (short(*least), short(*most), short(*last));
        write!(f, "{name} {least} to {most}{unit} ({count} values, the last {last})")
    }
}

/// A number without digits that say nothing.
fn short(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        return format!("{value}");
    }
    let digits = (5 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// So many of the last steps of a test are kept.
const MOST_STEPS: usize = 5;

impl TestRecord {
    /// Takes one event of the test.
    pub(super) fn take(&mut self, event: &Event) {
        match &event.what {
            EventKind::TestStarted { hosts, .. } => {
                self.started.get_or_insert(event.at);
                self.hosts.clone_from(hosts);
                self.phase = Some((Phase::Prepare, event.at));
            }
            EventKind::PhaseStarted { phase } => self.phase = Some((*phase, event.at)),
            EventKind::Step { text } => {
                if self.steps.len() == MOST_STEPS {
                    self.steps.pop_front();
                }
                self.steps.push_back((text.clone(), event.at));
            }
            EventKind::Log { level: Level::Warning, text } => self.warnings.push(text.clone()),
            EventKind::Finding { source, pattern, excerpt } => {
                self.findings.push((source.clone(), pattern.clone(), excerpt.clone()));
            }
            EventKind::Command(record) => self.command(record, event.at),
            EventKind::Value { name, value, unit } => self.value(name, *value, unit),
            EventKind::Evidence { file } => {
                self.evidence += 1;
                self.first_evidence.get_or_insert_with(|| file.clone());
            }
            EventKind::Undone { undo, error: Some(error), .. } => {
                self.warnings.push(format!("could not {undo}: {error}"));
            }
            EventKind::TestFinished { outcome, marks, seconds } => {
                self.outcome = Some((outcome.clone(), marks.clone(), seconds.0));
            }
            _ => {}
        }
    }

    fn command(&mut self, record: &CommandRecord, at: Timestamp) {
        let good = record.status.is_some_and(|status| status.success());
        // What evidence finds broken is a consequence.
        if !good && self.phase.is_none_or(|(phase, _)| phase != Phase::Evidence) {
            self.last_failed_command = Some(record.clone());
        }
        self.last_command = Some((record.clone(), at));
    }

    fn value(&mut self, name: &str, value: f64, unit: &str) {
        let known = self.values.first.iter_mut().find(|own| own.name == name && own.unit == unit);
        if let Some(known) = known {
            known.count += 1;
            known.least = known.least.min(value);
            known.most = known.most.max(value);
            known.last = value;
            return;
        }
        let (name, unit) = (name.to_owned(), unit.to_owned());
        self.values.push(Measured { name, unit, count: 1, least: value, most: value, last: value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let all = [3.0, 940.5, 0.1 + 0.2, 1.0 / 3.0, 123_456.789, -0.000_012_5, 1e18].map(short);
        assert_eq!(
            all,
            ["3", "940.5", "0.3", "0.333333", "123457", "-0.0000125", "1000000000000000000"]
        );
    }
}
