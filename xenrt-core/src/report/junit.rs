//! JUnit XML, for CI systems.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use quick_junit::{
    NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestRerun, TestSuite,
};

use super::Reporter;
use super::record::{TestRecord, Tests, command_text, indented};
use crate::Blame;
use crate::sequencer::{Event, EventKind, Level, PlannedTest, RunId, TestIndex};
use crate::testcase::{Marks, Outcome, OutcomeKind, Phase};

/// Writes a JUnit XML file at the end of a run: a test suite for each group.
///
/// Failed is a `failure`, Errored an `error`, Skipped `skipped`. Blocked has no word in JUnit and
/// is an `error`, so that a run whose preparation failed does not look green. Arguments, values and
/// the number in a test management system are properties; what a test said and the commands that
/// it ran are its `system-out`, shortened at its beginning; leaks are its `system-err`.
#[derive(Debug)]
pub struct JUnit {
    path: PathBuf,
    run: Option<(RunId, String, Timestamp)>,
    time: Duration,
    tests: Tests,
    said: BTreeMap<TestIndex, Transcript>,
}

impl JUnit {
    /// A report that will be written to `path` when the run ends.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            run: None,
            time: Duration::ZERO,
            tests: Tests::default(),
            said: BTreeMap::new(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The report of what was told so far. Tests that have not ended are errors: that is what they
    /// are in the journal of a run that was killed.
    ///
    /// # Errors
    /// When XML cannot be made of it.
    pub fn to_xml(&self) -> io::Result<String> {
        let (name, id) = match &self.run {
            Some((run, sequence, _)) => (sequence.as_str(), Some(run.0)),
            None => ("", None),
        };
        let mut report = Report::new(name);
        report.set_time(self.time);
        if let Some(id) = id {
            report.set_uuid(id);
        }
        let mut suites: Vec<TestSuite> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (number, planned) in (0..).zip(&self.tests.planned) {
            let case = self.case(TestIndex(number), planned);
            let at = *places.entry(planned.group.as_str()).or_insert_with(|| {
                suites.push(TestSuite::new(planned.group.as_str()));
                suites.len() - 1
            });
            suites[at].add_test_case(case);
        }
        for suite in &mut suites {
            let times = suite.test_cases.iter().filter_map(|case| case.time);
            suite.set_time(times.sum());
            if let Some((_, _, started)) = &self.run {
                suite.extra.insert("timestamp".into(), started.to_string().into());
            }
        }
        report.add_test_suites(suites);
        report.to_string().map_err(io::Error::other)
    }

    /// Writes the report of what was told so far; done by itself when the run ends.
    ///
    /// # Errors
    /// When the file or its folder cannot be written.
    pub fn write(&self) -> io::Result<()> {
        let xml = self.to_xml()?;
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // A reader never sees half of it.
        let mut aside = self.path.clone().into_os_string();
        aside.push(".new");
        std::fs::write(&aside, xml)?;
        std::fs::rename(&aside, &self.path)
    }

    fn case(&self, index: TestIndex, planned: &PlannedTest) -> TestCase {
        let nothing = TestRecord::default();
        let record = self.tests.running.get(&index).unwrap_or(&nothing);
        let unfinished = (
            Outcome::Errored {
                phase: record.phase.unwrap_or(Phase::Prepare),
                blame: Blame::Infrastructure,
                message: match record.started {
                    Some(_) => "the run ended before the test did".to_owned(),
                    None => "the run ended before the test began".to_owned(),
                },
            },
            Marks::default(),
            Duration::ZERO,
        );
        let (outcome, marks, time) = record.outcome.as_ref().unwrap_or(&unfinished);
        let mut case = TestCase::new(planned.name.as_str(), status(outcome, marks, record));
        case.set_classname(planned.id.as_str());
        case.set_time(*time);
        if let Some(started) = record.started {
            case.extra.insert("timestamp".into(), started.to_string().into());
        }
        if let Some(tc) = &planned.tc {
            case.add_property(Property::new("tc", tc.as_str()));
        }
        for argument in &planned.arguments {
            case.add_property(Property::new("argument", argument.as_str()));
        }
        for (name, value, unit) in &record.values {
            let value = format!("{value} {unit}");
            case.add_property(Property::new(name.as_str(), value.trim_end()));
        }
        for file in &record.evidence {
            case.add_property(Property::new("evidence", file.as_str()));
        }
        if let Some(said) = self.said.get(&index).filter(|said| !said.lines.is_empty()) {
            case.set_system_out(said.text());
        }
        if !marks.leaked.is_empty() {
            case.set_system_err(format!("leaked:\n{}", marks.leaked.join("\n")));
        }
        case
    }
}

fn status(outcome: &Outcome, marks: &Marks, record: &TestRecord) -> TestCaseStatus {
    let (kind, type_) = match outcome {
        Outcome::Passed => {
            let mut status = TestCaseStatus::success();
            if marks.flaky {
                for attempt in 1..record.attempts {
                    let mut rerun = TestRerun::new(NonSuccessKind::Failure);
                    rerun.set_message(format!("attempt {attempt} did not pass"));
                    status.add_rerun(rerun);
                }
            }
            return status;
        }
        Outcome::Skipped { reason } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.as_str());
            return status;
        }
        Outcome::Failed { phase, .. } => (NonSuccessKind::Failure, format!("failed in {phase}")),
        Outcome::Errored { phase, blame, .. } => {
            (NonSuccessKind::Error, format!("errored in {phase}, {blame}"))
        }
        Outcome::Blocked { .. } => (NonSuccessKind::Error, OutcomeKind::Blocked.to_string()),
    };
    let mut status = TestCaseStatus::non_success(kind);
    let message = outcome.message();
    status.set_type(type_);
    status.set_message(message.lines().next().unwrap_or_default());
    status.set_description(message);
    status
}

impl Reporter for JUnit {
    fn name(&self) -> String {
        format!("the JUnit report {}", self.path.display())
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        match &event.what {
            EventKind::RunStarted { run, sequence, tests, .. } => {
                self.run = Some((*run, sequence.clone(), event.at));
                self.tests.planned.clone_from(tests);
            }
            EventKind::RunFinished { seconds, .. } => {
                self.time = seconds.0;
                self.write()?;
            }
            _ => {}
        }
        let Some(test) = event.test else { return Ok(()) };
        let record = self.tests.running.entry(test).or_default();
        record.take(event);
        // The files of evidence say what its commands said.
        let is_evidence = record.phase == Some(Phase::Evidence);
        if is_evidence && matches!(event.what, EventKind::Command(_)) {
            return Ok(());
        }
        if let EventKind::PhaseStarted { phase } = event.what {
            self.said.entry(test).or_default().phase = Some(phase);
        } else if let Some(line) = said(&event.what) {
            self.said.entry(test).or_default().push(line);
        }
        Ok(())
    }
}

/// What an event adds to the output of its test.
fn said(what: &EventKind) -> Option<String> {
    Some(match what {
        EventKind::Step { text } => format!("* {}", indented(text, 2)),
        EventKind::Log { level: Level::Info, text } => format!("  {}", indented(text, 2)),
        EventKind::Log { level: Level::Warning, text } => {
            format!("  warning: {}", indented(text, 2))
        }
        EventKind::Command(record) => {
            format!("  [{}] {}", record.target, indented(&command_text(record), 2))
        }
        EventKind::Undone { undo, error: None, .. } => format!("  undone: {undo}"),
        EventKind::Undone { undo, error: Some(error), .. } => {
            format!("  not undone: {undo}: {}", indented(error, 2))
        }
        _ => return None,
    })
}

/// The end of what a test said.
#[derive(Debug, Default)]
struct Transcript {
    lines: VecDeque<String>,
    /// The phase in which nothing was said yet.
    phase: Option<Phase>,
    bytes: usize,
    left_out: usize,
}

impl Transcript {
    /// CI systems read these files whole; the journal has everything.
    const MOST_BYTES: usize = 128 * 1024;

    fn push(&mut self, line: String) {
        if let Some(phase) = self.phase.take() {
            self.push(format!("-- {phase}"));
        }
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > Self::MOST_BYTES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
            self.left_out += 1;
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if self.left_out > 0 {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "[{} earlier entries are in the journal]", self.left_out);
        }
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}
