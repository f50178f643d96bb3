//! What a person reads while a run goes on, and at its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};

use super::Reporter;
use super::live::Live;
use super::record::{TestRecord, Tests, command_text, indented};
use crate::sequencer::{Event, EventKind, Level, Summary, TestIndex};
use crate::testcase::{Marks, Outcome, OutcomeKind};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const ODD: Style = AnsiColor::Yellow.on_default().bold();
const BROKEN: Style = AnsiColor::Magenta.on_default().bold();
const DIM: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

/// Shows a run to a person: a line for each test that ended, failures in full at once and again at
/// the end, and - on a terminal - what is running now.
///
/// Colours are used on a terminal alone, and not where `NO_COLOR` is set.
pub struct Console {
    out: Out,
    colour: bool,
    /// What is shown with the next flush.
    text: String,
    tests: Tests,
    /// The tests that are to be shown again at the end.
    failures: Vec<(TestIndex, TestRecord)>,
    /// The last message of each step of the preparation that goes on.
    preparing: BTreeMap<String, String>,
    ended: usize,
    /// The last event has come.
    over: bool,
    run_folder: Option<PathBuf>,
}

enum Out {
    Lines(Box<dyn Write + Send>),
    Terminal(Live),
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("live", &matches!(self.out, Out::Terminal(_)))
            .field("colour", &self.colour)
            .finish_non_exhaustive()
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

impl Console {
    /// On standard output: live where it is a terminal, else lines.
    pub fn new() -> Self {
        let stdout = io::stdout();
        let colour = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        if stdout.is_terminal() {
            return Self::of(Out::Terminal(Live::new()), colour);
        }
        Self::of(Out::Lines(Box::new(stdout)), colour)
    }

    /// Lines to `writer`, without colours unless `colour`.
    pub fn to_writer(writer: impl Write + Send + 'static, colour: bool) -> Self {
        Self::of(Out::Lines(Box::new(writer)), colour)
    }

    fn of(out: Out, colour: bool) -> Self {
        Self {
            out,
            colour,
            text: String::new(),
            tests: Tests::default(),
            failures: Vec::new(),
            preparing: BTreeMap::new(),
            ended: 0,
            over: false,
            run_folder: None,
        }
    }

    /// Sets the folder of the run, so that files are shown with their whole path.
    #[must_use]
    pub fn run_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.run_folder = Some(folder.into());
        self
    }

    /// One line: a word that the eye finds, the time, and what it is about.
    fn line(&mut self, style: Style, word: &str, seconds: Option<f64>, text: &str) {
        let time = match seconds {
            Some(seconds) => format!("[{seconds:>9.3}s]"),
            None => " ".repeat(12),
        };
        self.push(format_args!("{style}{word:>9}{style:#} {time} {}", indented(text, 23)));
    }

    fn push(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn of_the_run(&mut self, what: &EventKind) {
        match what {
            EventKind::RunStarted { sequence, lab, tests, run, .. } => {
                self.tests.planned.clone_from(tests);
                let text = format!("{} of {sequence}, lab: {lab}, run {run}", count(tests.len()));
                self.line(STRONG, "RUN", None, &text);
            }
            EventKind::PrepareStarted { step } => {
                self.preparing.insert(step.clone(), String::new());
            }
            EventKind::PrepareProgress { step, message, fraction } => {
                self.progress(step, message, *fraction);
            }
            EventKind::PrepareFinished { step, seconds, error } => {
                self.preparing.remove(step);
                let seconds = Some(seconds.0.as_secs_f64());
                match error {
                    None => self.line(DIM, "PREPARED", seconds, step),
                    Some(error) => self.line(BAD, "FAILED", seconds, &format!("{step}: {error}")),
                }
            }
            EventKind::Log { level: Level::Warning, text } => self.line(ODD, "WARNING", None, text),
            EventKind::Undone { undo, error: Some(error), .. } => {
                self.line(ODD, "WARNING", None, &format!("could not {undo}: {error}"));
            }
            EventKind::Cancelled { reason } => {
                let text = format!("{reason}: no more tests are started; once more ends at once");
                self.line(ODD, "CANCEL", None, &text);
            }
            EventKind::Kept { how } => self.line(STRONG, "KEPT", None, how),
            EventKind::RunFinished { summary, exit_code, seconds } => {
                self.end(summary, *exit_code, seconds.0.as_secs_f64());
            }
            _ => {}
        }
    }

    /// Lines for those who see no moving bar: one for each new message, without percentages.
    fn progress(&mut self, step: &str, message: &str, fraction: Option<f32>) {
        let last = self.preparing.entry(step.to_owned()).or_default();
        let is_new = !last.starts_with(message);
        *last = match fraction {
            Some(fraction) => format!("{message} ({:.0} %)", fraction * 100.0),
            None => message.to_owned(),
        };
        if is_new && matches!(self.out, Out::Lines(_)) {
            let text = format!("{step}: {message}");
            self.line(DIM, "PREPARE", None, &text);
        }
    }

    fn of_a_test(&mut self, test: TestIndex, event: &Event) {
        let record = self.tests.running.entry(test).or_default();
        record.take(event);
        if let EventKind::TestFinished { outcome, marks, seconds } = &event.what {
            let Some(record) = self.tests.running.remove(&test) else { return };
            self.ended += 1;
            self.test_ended(test, &record, outcome, marks, seconds.0.as_secs_f64());
            let bad = matches!(outcome.kind(), OutcomeKind::Failed | OutcomeKind::Errored);
            if bad || !marks.leaked.is_empty() {
                self.failures.push((test, record));
            }
        }
    }

    fn test_ended(
        &mut self,
        test: TestIndex,
        record: &TestRecord,
        outcome: &Outcome,
        marks: &Marks,
        seconds: f64,
    ) {
        let (style, word) = word(outcome, marks);
        let label = self.tests.label(test);
        match outcome {
            Outcome::Skipped { reason: why } | Outcome::Blocked { by: why } => {
                self.line(style, word, Some(seconds), &format!("{label}: {why}"));
            }
            Outcome::Passed | Outcome::Failed { .. } | Outcome::Errored { .. } => {
                self.line(style, word, Some(seconds), &label);
            }
        }
        self.details(record, outcome, marks);
    }

    /// What there is to say about a test that did not simply pass.
    fn details(&mut self, record: &TestRecord, outcome: &Outcome, marks: &Marks) {
        let verdict = match outcome {
            Outcome::Failed { phase, message } => Some((format!("in {phase}"), message)),
            Outcome::Errored { phase, blame, message } => {
                Some((format!("in {phase}, by the {blame}"), message))
            }
            _ => None,
        };
        if let Some((place, message)) = &verdict {
            self.detail(place, message);
        }
        for leak in &marks.leaked {
            self.detail("leaked", leak);
        }
        for warning in &record.warnings {
            self.detail("warning", warning);
        }
        if verdict.is_none() {
            return;
        }
        if !record.steps.is_empty() {
            let steps: Vec<_> = record.steps.iter().map(String::as_str).collect();
            self.detail("last steps", &steps.join("\n"));
        }
        if let Some(command) = &record.last_failed_command {
            let text = crate::remote::shorten_middle(&command_text(command), 2000);
            self.detail(&format!("last failed command, on {}", command.target), &text);
        }
        if let Some(file) = record.evidence.first() {
            let folder = std::path::Path::new(file).iter().take(2).collect::<PathBuf>();
            let files = match record.evidence.len() {
                1 => "1 file".to_owned(),
                many => format!("{many} files"),
            };
            let text = format!("{} ({files})", self.in_run_folder(&folder));
            self.detail("evidence", &text);
        }
    }

    fn detail(&mut self, what: &str, text: &str) {
        if text.trim_end().contains('\n') {
            self.push(format_args!("{:10}{DIM}{what}:{DIM:#}", ""));
            self.push(format_args!("{:14}{}", "", indented(text, 14)));
        } else {
            self.push(format_args!("{:10}{DIM}{what}:{DIM:#} {}", "", text.trim_end()));
        }
    }

    fn end(&mut self, summary: &Summary, exit_code: u8, seconds: f64) {
        self.over = true;
        let failures = std::mem::take(&mut self.failures);
        if !failures.is_empty() {
            self.push(format_args!("{DIM}{}{DIM:#}", "-".repeat(60)));
        }
        for (test, record) in &failures {
            if let Some((outcome, marks, time)) = &record.outcome {
                self.test_ended(*test, record, outcome, marks, time.as_secs_f64());
            }
        }
        self.push(format_args!("{DIM}{}{DIM:#}", "-".repeat(60)));
        let good = exit_code == 0;
        let text = format!("{}, exit code {exit_code}", counts(summary));
        self.line(if good { GOOD } else { BAD }, "DONE", Some(seconds), &text);
        let not_ended = self.tests.planned.len().saturating_sub(self.ended);
        if not_ended > 0 {
            self.detail("without an end", &count(not_ended));
        }
        if !good {
            let journal = self.in_run_folder(std::path::Path::new(super::Journal::FILE));
            self.detail("how to look further", &format!("{journal} has every event and command"));
        }
    }

    fn in_run_folder(&self, file: &std::path::Path) -> String {
        match &self.run_folder {
            Some(folder) => folder.join(file).display().to_string(),
            None => file.display().to_string(),
        }
    }
}

fn count(tests: usize) -> String {
    if tests == 1 { "1 test".to_owned() } else { format!("{tests} tests") }
}

/// `9 tests: 4 passed (1 flaky), 2 failed, 1 leaked`.
fn counts(summary: &Summary) -> String {
    let flaky = match summary.flaky {
        0 => String::new(),
        flaky => format!(" ({flaky} flaky)"),
    };
    let parts = [
        (summary.passed, format!("passed{flaky}")),
        (summary.failed, "failed".to_owned()),
        (summary.errored, "errored".to_owned()),
        (summary.skipped, "skipped".to_owned()),
        (summary.blocked, "blocked".to_owned()),
        (summary.leaked, "leaked".to_owned()),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, what)| format!("{number} {what}")).collect();
    let tests = count(summary.total() as usize);
    if parts.is_empty() { tests } else { format!("{tests}: {}", parts.join(", ")) }
}

fn word(outcome: &Outcome, marks: &Marks) -> (Style, &'static str) {
    match outcome {
        Outcome::Passed if !marks.leaked.is_empty() => (ODD, "LEAK"),
        Outcome::Passed if marks.flaky => (ODD, "FLAKY"),
        Outcome::Passed => (GOOD, "PASS"),
        Outcome::Failed { .. } => (BAD, "FAIL"),
        Outcome::Errored { .. } => (BROKEN, "ERROR"),
        Outcome::Skipped { .. } => (ODD, "SKIP"),
        Outcome::Blocked { .. } => (ODD, "BLOCKED"),
    }
}

impl Reporter for Console {
    fn name(&self) -> String {
        "the console".to_owned()
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        /// A run of thousands of tests a second is shown in pages, not in lines.
        const PAGE: usize = 64 * 1024;
        match event.test {
            None => self.of_the_run(&event.what),
            Some(test) => self.of_a_test(test, event),
        }
        if self.text.len() >= PAGE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        let text = if self.colour { text } else { anstream::adapter::strip_str(&text).to_string() };
        match &mut self.out {
            Out::Lines(writer) => {
                writer.write_all(text.as_bytes())?;
                writer.flush()
            }
            Out::Terminal(live) => {
                live.show(&text, &self.tests, &self.preparing, self.ended)?;
                if self.over { live.end() } else { Ok(()) }
            }
        }
    }
}
