//! What is known of each test of a run from its events so far.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use crate::remote::CommandRecord;
use crate::sequencer::{Event, EventKind, Level, PlannedTest, TestIndex};
use crate::testcase::{Marks, Outcome, Phase};

/// What is known of one test from its events so far.
#[derive(Debug, Clone, Default)]
pub(super) struct TestRecord {
    pub(super) started: Option<Timestamp>,
    pub(super) attempts: u32,
    pub(super) phase: Option<Phase>,
    /// The last ones.
    pub(super) steps: VecDeque<String>,
    pub(super) warnings: Vec<String>,
    pub(super) last_failed_command: Option<CommandRecord>,
    pub(super) values: Vec<(String, f64, String)>,
    pub(super) evidence: Vec<String>,
    pub(super) outcome: Option<(Outcome, Marks, std::time::Duration)>,
}

/// So many of the last steps of a test are kept.
const MOST_STEPS: usize = 5;

impl TestRecord {
    /// Takes one event of the test.
    pub(super) fn take(&mut self, event: &Event) {
        match &event.what {
            EventKind::TestStarted { attempt, .. } => {
                self.started.get_or_insert(event.at);
                self.attempts = *attempt;
                self.phase = Some(Phase::Prepare);
            }
            EventKind::PhaseStarted { phase } => self.phase = Some(*phase),
            EventKind::Step { text } => {
                if self.steps.len() == MOST_STEPS {
                    self.steps.pop_front();
                }
                self.steps.push_back(text.clone());
            }
            EventKind::Log { level: Level::Warning, text } => self.warnings.push(text.clone()),
            // What evidence finds broken is a consequence.
            EventKind::Command(record)
                if self.phase != Some(Phase::Evidence)
                    && !record.status.is_some_and(|status| status.success()) =>
            {
                self.last_failed_command = Some(record.clone());
            }
            EventKind::Value { name, value, unit } => {
                self.values.push((name.clone(), *value, unit.clone()));
            }
            EventKind::Evidence { file } => self.evidence.push(file.clone()),
            EventKind::Undone { undo, error: Some(error), .. } => {
                self.warnings.push(format!("could not {undo}: {error}"));
            }
            EventKind::TestFinished { outcome, marks, seconds } => {
                self.outcome = Some((outcome.clone(), marks.clone(), seconds.0));
            }
            _ => {}
        }
    }
}

/// The tests of a run by number, as its first event lists them.
#[derive(Debug, Default)]
pub(super) struct Tests {
    pub(super) planned: Vec<PlannedTest>,
    pub(super) running: BTreeMap<TestIndex, TestRecord>,
}

impl Tests {
    /// The test of this number; `None` only for a journal that is not whole.
    pub(super) fn planned(&self, test: TestIndex) -> Option<&PlannedTest> {
        self.planned.get(test.0 as usize)
    }

    pub(super) fn label(&self, test: TestIndex) -> String {
        self.planned(test).map_or_else(|| format!("test {}", test.0), PlannedTest::label)
    }
}

/// `text` with `indent` spaces before each line but the first.
pub(super) fn indented(text: &str, indent: usize) -> String {
    text.trim_end().replace('\n', &format!("\n{:indent$}", ""))
}

/// A command with what came of it, as a person would have seen it.
pub(crate) fn command_text(record: &CommandRecord) -> String {
    let mut text = format!("$ {}", record.command);
    for output in [&record.stdout, &record.stderr] {
        if !output.trim_end().is_empty() {
            text = format!("{text}\n{}", output.trim_end());
        }
    }
    let end = match (&record.status, &record.error) {
        (Some(status), _) => status.to_string(),
        (None, Some(error)) => error.clone(),
        (None, None) => "no status".to_owned(),
    };
    format!("{text}\n[{end}]")
}
