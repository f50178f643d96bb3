//! The events of a run, put together by test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use super::document::{
    AttemptDocument, FindingDocument, LogDocument, LogEntryDocument, LogKind, OutcomeDocument,
    PhaseDocument, PreparationDocument, RunDocument, StepDocument, TestDocument, ValueDocument,
};
use super::text::command_text;
use crate::Blame;
use crate::sequencer::{Event, EventKind, Level, PlannedTest, TestIndex};
use crate::testcase::{Outcome, OutcomeKind, Phase};

/// Puts the events of a run together: what is known of the run, and of each test when it ends. A
/// test that has ended is forgotten, so what is kept does not grow with the run.
#[derive(Debug, Default)]
pub(super) struct Gather {
    pub(super) run: RunDocument,
    pub(super) plan: Arc<[Arc<PlannedTest>]>,
    started: Option<Timestamp>,
    running: BTreeMap<TestIndex, Building>,
    /// Steps of the preparation that go on.
    preparing: BTreeMap<String, f64>,
    log: Log,
}

/// So much is kept of what one test did; more than anybody reads, and what a soak test of a week
/// must not exceed. The journal has everything.
const MOST_ENTRIES: usize = 1000;
const MOST_VALUES: usize = 10_000;

impl Gather {
    /// Takes an event; a test that it ends is given back.
    pub(super) fn take(&mut self, event: &Event) -> Option<TestDocument> {
        let at = self.since_start(event.at);
        self.run.seconds = self.run.seconds.max(at);
        let Some(index) = event.test else {
            self.of_the_run(event, at);
            return None;
        };
        self.running.entry(index).or_default().take(&event.what, at);
        if let EventKind::TestFinished { outcome, marks, seconds } = &event.what {
            let building = self.running.remove(&index)?;
            let seconds = seconds.0.as_secs_f64();
            let mut test = building.end(
                index,
                self.plan.get(index.0 as usize).map(Arc::as_ref),
                outcome,
                seconds,
            );
            test.flaky = marks.flaky;
            test.leaked.clone_from(&marks.leaked);
            self.count(&test);
            return Some(test);
        }
        None
    }

    /// What there is to say about a test that has no end: the run was killed.
    pub(super) fn unfinished(&mut self, index: TestIndex) -> TestDocument {
        let building = self.running.remove(&index).unwrap_or_default();
        let message = match building.start {
            Some(_) => "the run ended before the test did",
            None => "the run ended before the test began",
        };
        let outcome = Outcome::Errored {
            phase: building.phase.map_or(Phase::Prepare, |(phase, _)| phase),
            blame: Blame::Infrastructure,
            message: message.to_owned(),
        };
        let seconds = building.start.map_or(0.0, |start| self.run.seconds - start);
        let test = building.end(
            index,
            self.plan.get(index.0 as usize).map(Arc::as_ref),
            &outcome,
            seconds,
        );
        self.count(&test);
        test
    }

    /// Puts what was said outside of tests into the run.
    pub(super) fn close(&mut self) {
        self.run.log = self.log.clone().document();
    }

    fn count(&mut self, test: &TestDocument) {
        self.add_to_counts(test, |count, is| *count += u32::from(is));
    }

    /// Takes back what was counted for a test that ended again: the run was resumed.
    pub(super) fn uncount(&mut self, test: &TestDocument) {
        self.add_to_counts(test, |count, was| *count = count.saturating_sub(u32::from(was)));
    }

    fn add_to_counts(&mut self, test: &TestDocument, add: impl Fn(&mut u32, bool)) {
        let counts = &mut self.run.counts;
        let count = match test.outcome.kind {
            OutcomeKind::Passed => &mut counts.passed,
            OutcomeKind::Failed => &mut counts.failed,
            OutcomeKind::Errored => &mut counts.errored,
            OutcomeKind::Skipped => &mut counts.skipped,
            OutcomeKind::Blocked => &mut counts.blocked,
        };
        add(count, true);
        add(&mut counts.flaky, test.flaky);
        add(&mut counts.leaked, !test.leaked.is_empty());
        add(&mut counts.with_findings, !test.findings.is_empty());
    }

    fn since_start(&self, at: Timestamp) -> f64 {
        let started = self.started.unwrap_or(at);
        // Clocks that are set back while a run goes on do not make times negative.
        microseconds(at.duration_since(started).as_secs_f64().max(0.0))
    }

    fn of_the_run(&mut self, event: &Event, at: f64) {
        let run = &mut self.run;
        match &event.what {
            EventKind::RunStarted { run: id, version, sequence, lab, tests, .. } => {
                self.started = Some(event.at);
                run.id = id.to_string();
                run.xenrt.clone_from(version);
                run.sequence.clone_from(sequence);
                run.lab.clone_from(lab);
                run.started = event.at.to_string();
                self.plan = Arc::clone(tests);
            }
            EventKind::RunResumed { .. } => {
                run.resumed.push(at);
                // It ended, if it did, by being cancelled; what counts is how it ends now.
                (run.finished, run.exit_code) = (false, None);
                (run.cancelled, run.kept) = (None, None);
                // Those that were running were interrupted and are run again from their beginning.
                self.running.clear();
            }
            EventKind::PrepareStarted { step } => {
                self.preparing.insert(step.clone(), at);
            }
            EventKind::PrepareFinished { step, seconds, error } => {
                let seconds = seconds.0.as_secs_f64();
                let start = self.preparing.remove(step).unwrap_or((at - seconds).max(0.0));
                let (step, error) = (step.clone(), error.clone());
                push(&mut run.preparation, PreparationDocument { step, start, seconds, error });
            }
            EventKind::ActionFinished { action, seconds, error, .. } => {
                let seconds = seconds.0.as_secs_f64();
                let start = microseconds((at - seconds).max(0.0));
                let (step, error) = (action.clone(), error.clone());
                push(&mut run.actions, PreparationDocument { step, start, seconds, error });
            }
            EventKind::Log { level: Level::Warning, text } => push(&mut run.warnings, text.clone()),
            EventKind::Undone { undo, error: Some(error), .. } => {
                push(&mut run.warnings, format!("could not {undo}: {error}"));
            }
            EventKind::Finding { source, pattern, excerpt } => {
                push(&mut run.findings, finding(source, pattern, excerpt));
            }
            EventKind::Cancelled { reason } => run.cancelled = Some(reason.clone()),
            EventKind::Kept { how } => run.kept = Some(how.clone()),
            EventKind::RunFinished { exit_code, seconds, .. } => {
                run.finished = true;
                run.exit_code = Some(*exit_code);
                run.seconds = run.seconds.max(seconds.0.as_secs_f64());
            }
            _ => {}
        }
        self.log.take(&event.what, at);
    }
}

/// What is known of a test that goes on.
#[derive(Debug, Default)]
struct Building {
    start: Option<f64>,
    lane: u32,
    hosts: Vec<String>,
    attempts: Vec<AttemptDocument>,
    /// The attempt that goes on: round, number, beginning, lane.
    attempt: Option<(u32, u32, f64, u32)>,
    /// The phase that goes on.
    phase: Option<(Phase, f64)>,
    phases: VecDeque<PhaseDocument>,
    steps: VecDeque<StepDocument>,
    values: Vec<ValueDocument>,
    warnings: Vec<String>,
    findings: Vec<FindingDocument>,
    evidence: Vec<String>,
    observed: Vec<String>,
    log: Log,
    last: f64,
    steps_left_out: usize,
    values_left_out: usize,
}

impl Building {
    fn take(&mut self, what: &EventKind, at: f64) {
        self.last = at;
        match what {
            EventKind::TestStarted { attempt, round, lane, hosts } => {
                if self.start.is_none() {
                    self.start = Some(at);
                    self.lane = *lane;
                }
                for host in hosts {
                    if !self.hosts.contains(host) {
                        self.hosts.push(host.clone());
                    }
                }
                self.end_attempt(at, None);
                self.phase = Some((Phase::Prepare, at));
                self.attempt = Some((*round, *attempt, at, *lane));
            }
            EventKind::AttemptFinished { outcome, seconds, .. } => {
                self.end_attempt(at, Some((outcome, seconds.0.as_secs_f64())));
            }
            EventKind::PhaseStarted { phase } => {
                self.end_phase(at);
                self.phase = Some((*phase, at));
            }
            EventKind::Step { text } => {
                self.end_step(at);
                if self.steps.len() == MOST_ENTRIES {
                    self.steps.pop_front();
                    self.steps_left_out += 1;
                }
                self.steps.push_back(StepDocument { text: text.clone(), start: at, seconds: -1.0 });
            }
            EventKind::Log { level: Level::Warning, text } => {
                push(&mut self.warnings, text.clone());
            }
            EventKind::Value { name, value, unit } => self.value(name, *value, unit, at),
            EventKind::Finding { source, pattern, excerpt } => {
                push(&mut self.findings, finding(source, pattern, excerpt));
            }
            EventKind::Evidence { file } => push(&mut self.evidence, file.clone()),
            EventKind::Observed { object, state } => {
                push(&mut self.observed, format!("{object}: {state}"));
            }
            EventKind::Undone { undo, error: Some(error), .. } => {
                push(&mut self.warnings, format!("could not {undo}: {error}"));
            }
            _ => {}
        }
        // The files of evidence say what the commands said that made them.
        let collecting = self.phase.is_some_and(|(phase, _)| phase == Phase::Evidence);
        if !(collecting && matches!(what, EventKind::Command(_))) {
            self.log.take(what, at);
        }
    }

    fn value(&mut self, name: &str, value: f64, unit: &str, at: f64) {
        if self.values.len() == MOST_VALUES {
            self.values_left_out += 1;
            return;
        }
        let (round, attempt) = self.attempt.map_or((1, 1), |(round, attempt, ..)| (round, attempt));
        let (name, unit) = (name.to_owned(), unit.to_owned());
        self.values.push(ValueDocument { name, value, unit, at, round, attempt });
    }

    fn end_step(&mut self, at: f64) {
        if let Some(step) = self.steps.back_mut().filter(|step| step.seconds < 0.0) {
            step.seconds = microseconds(at - step.start);
        }
    }

    fn end_phase(&mut self, at: f64) {
        // A step is a part of the phase that it began in.
        self.end_step(at);
        if let Some((phase, start)) = self.phase.take() {
            if self.phases.len() == MOST_ENTRIES {
                self.phases.pop_front();
            }
            let seconds = microseconds(at - start);
            self.phases.push_back(PhaseDocument { phase, start, seconds });
        }
    }

    /// Ends the attempt that goes on; without an outcome it was interrupted.
    fn end_attempt(&mut self, at: f64, end: Option<(&Outcome, f64)>) {
        self.end_phase(at);
        let Some((round, attempt, start, lane)) = self.attempt.take() else { return };
        let interrupted = || OutcomeDocument {
            kind: OutcomeKind::Errored,
            phase: None,
            blame: Some(Blame::Infrastructure),
            message: "it was interrupted".to_owned(),
        };
        let outcome = end.map_or_else(interrupted, |(outcome, _)| outcome_document(outcome));
        let seconds = end.map_or(microseconds(at - start), |(_, seconds)| seconds);
        if self.attempts.len() < MOST_VALUES {
            let document = AttemptDocument { round, attempt, start, seconds, lane, outcome };
            self.attempts.push(document);
        }
    }

    fn end(
        mut self,
        index: TestIndex,
        planned: Option<&PlannedTest>,
        outcome: &Outcome,
        seconds: f64,
    ) -> TestDocument {
        let at = self.last;
        if let Some((.., start, _)) = self.attempt {
            self.end_attempt(at, Some((outcome, microseconds(at - start))));
        }
        self.end_phase(at);
        if self.attempts.len() == 1 {
            self.attempts.clear();
        }
        // A test that told no phase did nothing in any.
        if self.phases.len() == 1 && self.phases[0].phase == Phase::Prepare {
            self.phases.clear();
        }
        let mut left_out = Vec::new();
        for (number, what) in [(self.steps_left_out, "steps"), (self.values_left_out, "values")] {
            if number > 0 {
                left_out.push(format!("{number} {what}"));
            }
        }
        // Only a journal that lacks its first event has tests that it never planned.
        let unknown = || format!("test {}", index.0);
        TestDocument {
            index: index.0,
            id: planned.map_or_else(unknown, |planned| planned.id.clone()),
            name: planned.map_or_else(unknown, |planned| planned.name.clone()),
            group: planned.map(|planned| planned.group.clone()).unwrap_or_default(),
            tc: planned.and_then(|planned| planned.tc.clone()),
            line: planned.map_or(0, |planned| planned.line),
            arguments: planned.map(|planned| planned.arguments.clone()).unwrap_or_default(),
            tags: planned.map(|planned| planned.tags.clone()).unwrap_or_default(),
            priority: planned.and_then(|planned| planned.priority),
            outcome: outcome_document(outcome),
            flaky: false,
            leaked: Vec::new(),
            start: self.start,
            seconds: microseconds(seconds),
            lane: self.lane,
            hosts: self.hosts,
            attempts: self.attempts,
            phases: self.phases.into(),
            steps: self.steps.into(),
            values: self.values,
            warnings: self.warnings,
            findings: self.findings,
            observed: self.observed,
            evidence: self.evidence,
            log: self.log.document(),
            left_out,
        }
    }
}

/// The end of what was said and done.
#[derive(Debug, Clone, Default)]
struct Log {
    entries: VecDeque<LogEntryDocument>,
    bytes: usize,
    left_out: u64,
}

impl Log {
    /// CI systems read reports whole; the journal has everything.
    const MOST_BYTES: usize = 128 * 1024;

    fn take(&mut self, what: &EventKind, at: f64) {
        let (kind, text) = match what {
            EventKind::PhaseStarted { phase } => (LogKind::Phase, phase.to_string()),
            EventKind::Step { text } => (LogKind::Step, text.clone()),
            EventKind::Log { level: Level::Info, text } => (LogKind::Info, text.clone()),
            EventKind::Log { level: Level::Warning, text } => (LogKind::Warning, text.clone()),
            EventKind::Command(record) => {
                let good = record.status.is_some_and(|status| status.success());
                let kind = if good { LogKind::Command } else { LogKind::FailedCommand };
                (kind, format!("[{}] {}", record.target, command_text(record)))
            }
            EventKind::Undone { undo, error: None, .. } => {
                (LogKind::Undone, format!("undone: {undo}"))
            }
            EventKind::Undone { undo, error: Some(error), .. } => {
                (LogKind::Warning, format!("not undone: {undo}: {error}"))
            }
            _ => return,
        };
        // A phase in which nothing was said is not worth a line.
        if kind == LogKind::Phase
            && let Some(last) = self.entries.back_mut().filter(|last| last.kind == LogKind::Phase)
        {
            (last.at, last.text) = (at, text);
            return;
        }
        self.bytes += text.len();
        self.entries.push_back(LogEntryDocument { at, kind, text });
        while self.bytes > Self::MOST_BYTES
            && self.entries.len() > 1
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= oldest.text.len();
            self.left_out += 1;
        }
    }

    fn document(mut self) -> LogDocument {
        if self.entries.back().is_some_and(|last| last.kind == LogKind::Phase) {
            self.entries.pop_back();
        }
        LogDocument { left_out: self.left_out, entries: self.entries.into() }
    }
}

pub(super) fn outcome_document(outcome: &Outcome) -> OutcomeDocument {
    let (phase, blame) = match outcome {
        Outcome::Failed { phase, .. } => (Some(*phase), None),
        Outcome::Errored { phase, blame, .. } => (Some(*phase), Some(*blame)),
        Outcome::Passed | Outcome::Skipped { .. } | Outcome::Blocked { .. } => (None, None),
    };
    let message = outcome.message().to_owned();
    OutcomeDocument { kind: outcome.kind(), phase, blame, message }
}

fn finding(source: &str, pattern: &str, excerpt: &str) -> FindingDocument {
    FindingDocument {
        source: source.to_owned(),
        pattern: pattern.to_owned(),
        excerpt: excerpt.to_owned(),
    }
}

/// Adds to a list that must not grow for ever.
fn push<T>(list: &mut Vec<T>, entry: T) {
    if list.len() < MOST_ENTRIES {
        list.push(entry);
    }
}

fn microseconds(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}
