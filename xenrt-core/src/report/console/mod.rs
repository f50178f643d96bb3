//! What a person reads while a run goes on, and at its end.

mod board;
mod keys;
mod live;
mod record;
mod slowest;
mod watcher;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};

use self::board::Board;
use self::live::Live;
use self::record::TestRecord;
use self::slowest::Slowest;
use self::watcher::Watcher;
use super::Reporter;
use super::text::{command_text, indented};
use crate::seconds::Readable;
use crate::sequencer::{Event, EventKind, Level, Summary, TestIndex};
use crate::testcase::{Marks, Outcome, OutcomeKind};

/// What is kept for a time: `59 min 59 s` has so many characters; what is longer pushes the rest on.
const TIME: usize = 11;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const ODD: Style = AnsiColor::Yellow.on_default().bold();
const BROKEN: Style = AnsiColor::Magenta.on_default().bold();
const DIM: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

/// Shows a run to a person: a line for each test that ended with what it measured, failures in full
/// at once and again at the end, and - on a terminal - what is running now and for how long.
///
/// One that is [on standard output](Self::new) says on standard error where each test is - phase,
/// step, since when, last command - whenever the process gets SIGUSR1, or somebody presses `t` on
/// its terminal. Keys are read where standard input and error are terminals, and only in a program
/// that handles Ctrl-C and SIGTERM, as with
/// [`cancel_on_ctrl_c`](crate::sequencer::cancel_on_ctrl_c): the terminal is put back at its end.
///
/// Colours are used on a terminal alone, and not where `NO_COLOR` is set.
pub struct Console {
    out: Out,
    colour: bool,
    /// What is shown with the next flush.
    text: String,
    board: Board,
    /// On standard output alone, from the first event on.
    watcher: Option<Watcher>,
    watches: bool,
    /// The tests that are to be shown again at the end.
    failures: Vec<(TestIndex, TestRecord)>,
    /// Those that are too many for that.
    more_failures: usize,
    slowest: Slowest,
    findings: usize,
    /// The last event has come.
    over: bool,
    run_folder: Option<PathBuf>,
    reports: Vec<PathBuf>,
}

/// So many failures are shown again at the end of a run: more is what reports are for.
const MOST_FAILURES: usize = 100;

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
        let out = match stdout.is_terminal() {
            true => Out::Terminal(Live::new()),
            false => Out::Lines(Box::new(stdout)),
        };
        Self { watches: true, ..Self::of(out, colour) }
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
            board: Board::default(),
            watcher: None,
            watches: false,
            failures: Vec::new(),
            more_failures: 0,
            slowest: Slowest::default(),
            findings: 0,
            over: false,
            run_folder: None,
            reports: Vec::new(),
        }
    }

    /// Names a file that another reporter writes, to be told at the end of the run.
    #[must_use]
    pub fn report_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.reports.push(file.into());
        self
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
            Some(seconds) => format!("[{:>TIME$}]", Readable::seconds(seconds).to_string()),
            None => " ".repeat(TIME + 2),
        };
        self.push(format_args!("{style}{word:>9}{style:#} {time} {}", indented(text, TIME + 13)));
    }

    fn push(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// Begins to listen to whoever asks where the tests are. A run goes on without it.
    fn watch(&mut self) {
        if !self.watches || self.watcher.is_some() {
            return;
        }
        let bars = match &self.out {
            Out::Terminal(live) => Some(live.bars()),
            Out::Lines(_) => None,
        };
        match Watcher::start(self.board.clone(), bars) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                let text = format!("the status of tests cannot be asked for: {error}");
                self.line(ODD, "WARNING", None, &text);
            }
        }
    }

    fn of_the_run(&mut self, event: &Event) {
        match &event.what {
            EventKind::RunStarted { sequence, lab, tests, run, .. } => {
                self.watch();
                let mut board = self.board.lock();
                board.planned = std::sync::Arc::clone(tests);
                board.started = Some(event.at);
                drop(board);
                let text = format!("{} of {sequence}, lab: {lab}, run {run}", count(tests.len()));
                self.line(STRONG, "RUN", None, &text);
            }
            EventKind::RunResumed { lab, ended, .. } => {
                // Those that were running are run again.
                let mut board = self.board.lock();
                board.running.clear();
                board.ended = *ended as usize;
                drop(board);
                (self.over, self.failures) = (false, Vec::new());
                let text = format!("{} had ended, lab: {lab}", count(*ended as usize));
                self.line(STRONG, "RESUMED", None, &text);
            }
            EventKind::PrepareStarted { step } => {
                self.board.lock().preparing.insert(step.clone(), (String::new(), event.at));
            }
            EventKind::PrepareProgress { step, message, fraction } => {
                self.progress(step, message, *fraction, event.at);
            }
            EventKind::PrepareFinished { step, seconds, error } => {
                self.board.lock().preparing.remove(step);
                let seconds = Some(seconds.0.as_secs_f64());
                match error {
                    None => self.line(DIM, "PREPARED", seconds, step),
                    Some(error) => self.line(BAD, "FAILED", seconds, &format!("{step}: {error}")),
                }
            }
            EventKind::ActionFinished { action, seconds, error, .. } => {
                let seconds = Some(seconds.0.as_secs_f64());
                match error {
                    None => self.line(DIM, "DID", seconds, action),
                    Some(error) => self.line(BAD, "FAILED", seconds, &format!("{action}: {error}")),
                }
            }
            EventKind::Finding { source, pattern, excerpt } => {
                self.line(BAD, "FOUND", None, &format!("{pattern} in {source}\n{excerpt}"));
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
                self.summary(summary, *exit_code, seconds.0.as_secs_f64());
            }
            _ => {}
        }
    }

    /// Lines for those who see no moving bar: one for each new message, without percentages.
    fn progress(&mut self, step: &str, message: &str, fraction: Option<f32>, at: jiff::Timestamp) {
        let mut board = self.board.lock();
        let (last, _) =
            board.preparing.entry(step.to_owned()).or_insert_with(|| (String::new(), at));
        let is_new = !last.starts_with(message);
        *last = match fraction {
            Some(fraction) => format!("{message} ({:.0} %)", fraction * 100.0),
            None => message.to_owned(),
        };
        drop(board);
        if is_new && matches!(self.out, Out::Lines(_)) {
            let text = format!("{step}: {message}");
            self.line(DIM, "PREPARE", None, &text);
        }
    }

    fn of_a_test(&mut self, test: TestIndex, event: &Event) {
        let mut board = self.board.lock();
        board.running.entry(test).or_default().take(event);
        match &event.what {
            EventKind::TestFinished { outcome, marks, seconds } => {
                board.ended += 1;
                let record = board.running.remove(&test);
                let label = board.label(test);
                drop(board);
                let Some(record) = record else { return };
                let seconds = seconds.0.as_secs_f64();
                self.test_ended(&label, &record, outcome, marks, seconds);
                self.slowest.take(test, seconds);
                self.findings += usize::from(!record.findings.first.is_empty());
                let bad = matches!(outcome.kind(), OutcomeKind::Failed | OutcomeKind::Errored);
                if bad || !marks.leaked.is_empty() || !record.findings.first.is_empty() {
                    if self.failures.len() < MOST_FAILURES {
                        self.failures.push((test, record));
                    } else {
                        self.more_failures += 1;
                    }
                }
            }
            EventKind::AttemptFinished { attempt, round, outcome, seconds } => {
                let label = board.label(test);
                drop(board);
                if *outcome == Outcome::Passed {
                    return;
                }
                let (_, word) = word(outcome, &Marks::default());
                let round = match round {
                    1 => String::new(),
                    round => format!("round {round}, "),
                };
                let text =
                    format!("{label}: {round}attempt {attempt}: {}", outcome.message().trim_end());
                self.line(ODD, &format!("TRY {word}"), Some(seconds.0.as_secs_f64()), &text);
            }
            _ => {}
        }
    }

    fn test_ended(
        &mut self,
        label: &str,
        record: &TestRecord,
        outcome: &Outcome,
        marks: &Marks,
        seconds: f64,
    ) {
        let (mut style, word) = word(outcome, marks);
        if *outcome == Outcome::Passed && !record.findings.first.is_empty() {
            style = ODD;
        }
        match outcome {
            Outcome::Skipped { reason: why } | Outcome::Blocked { by: why } => {
                self.line(style, word, Some(seconds), &format!("{label}: {why}"));
            }
            Outcome::Passed | Outcome::Failed { .. } | Outcome::Errored { .. } => {
                self.line(style, word, Some(seconds), label);
            }
        }
        self.details(record, outcome, marks);
    }

    /// What there is to say about a test besides how it ended.
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
        for (source, pattern, excerpt) in &record.findings.first {
            self.detail("found", &format!("{pattern} in {source}\n{excerpt}"));
        }
        for warning in &record.warnings.first {
            self.detail("warning", warning);
        }
        let more = record.warnings.more + record.findings.more;
        if more > 0 {
            self.detail("more warnings and findings", &more.to_string());
        }
        self.values(record);
        if verdict.is_none() {
            return;
        }
        if !record.steps.is_empty() {
            let steps: Vec<_> = record.steps.iter().map(|(step, _)| step.as_str()).collect();
            self.detail("last steps", &steps.join("\n"));
        }
        if let Some(command) = &record.last_failed_command {
            let text = crate::remote::shorten_middle(&command_text(command), 2000);
            self.detail(&format!("last failed command, on {}", command.target), &text);
        }
        if let Some(file) = &record.first_evidence {
            let folder = std::path::Path::new(file).iter().take(2).collect::<PathBuf>();
            let files = match record.evidence {
                1 => "1 file".to_owned(),
                many => format!("{many} files"),
            };
            let text = format!("{} ({files})", self.in_run_folder(&folder));
            self.detail("evidence", &text);
        }
    }

    fn values(&mut self, record: &TestRecord) {
        if record.values.first.is_empty() {
            return;
        }
        let mut values: Vec<_> = record.values.first.iter().map(ToString::to_string).collect();
        if record.values.more > 0 {
            values.push(format!("and {} more", record.values.more));
        }
        // A few short ones fit into a line.
        let line = values.join(", ");
        let text = if line.len() <= 80 { line } else { values.join("\n") };
        self.detail("measured", &text);
    }

    fn detail(&mut self, what: &str, text: &str) {
        if text.trim_end().contains('\n') {
            self.push(format_args!("{:10}{DIM}{what}:{DIM:#}", ""));
            self.push(format_args!("{:14}{}", "", indented(text, 14)));
        } else {
            self.push(format_args!("{:10}{DIM}{what}:{DIM:#} {}", "", text.trim_end()));
        }
    }

    fn summary(&mut self, summary: &Summary, exit_code: u8, seconds: f64) {
        self.over = true;
        let failures = std::mem::take(&mut self.failures);
        if !failures.is_empty() {
            self.push(format_args!("{DIM}{}{DIM:#}", "-".repeat(60)));
        }
        for (test, record) in &failures {
            if let Some((outcome, marks, time)) = &record.outcome {
                let label = self.board.lock().label(*test);
                self.test_ended(&label, record, outcome, marks, time.as_secs_f64());
            }
        }
        if self.more_failures > 0 {
            self.detail("not shown again", &count(self.more_failures));
        }
        self.push(format_args!("{DIM}{}{DIM:#}", "-".repeat(60)));
        let good = exit_code == 0;
        let text = format!("{}, exit code {exit_code}", counts(summary));
        self.line(if good { GOOD } else { BAD }, "DONE", Some(seconds), &text);
        if self.findings > 0 {
            let text = format!("{} with findings in consoles or logs", count(self.findings));
            self.detail("look at", &text);
        }
        let board = self.board.lock();
        let not_ended = board.planned.len().saturating_sub(board.ended);
        let slowest = self.slowest.text(|test| board.label(test));
        drop(board);
        if not_ended > 0 {
            self.detail("without an end", &count(not_ended));
        }
        if let Some(slowest) = slowest {
            self.detail("slowest", &slowest);
        }
        for report in std::mem::take(&mut self.reports) {
            self.detail("report", &report.display().to_string());
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
            None => self.of_the_run(event),
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
            Out::Terminal(live) => live.show(&text, &self.board.lock()),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        // Puts the terminal back.
        self.watcher = None;
        if !self.over {
            let board = self.board.lock();
            let (ended, all) = (board.ended, board.planned.len());
            drop(board);
            let text = format!("the run has no end: {ended} of {all} tests ended");
            self.line(BAD, "BROKE OFF", None, &text);
            self.over = true;
            self.flush()?;
        }
        match &mut self.out {
            Out::Lines(_) => Ok(()),
            Out::Terminal(live) => live.end(),
        }
    }
}
