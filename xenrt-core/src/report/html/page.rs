//! What stands on the page without any script.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

use askama::Template as _;

use super::super::document::{LogKind, RunDocument, TestDocument};
use super::rows::short;
use crate::remote::shorten_middle;
use crate::seconds::Readable;
use crate::testcase::OutcomeKind;

/// So many kinds of problems are shown above all else, and so many tests of each.
const MOST_PROBLEMS: usize = 12;
const MOST_TESTS_OF_A_PROBLEM: usize = 8;
/// So many tests are listed where no script runs.
const MOST_ROWS: usize = 500;
/// So many notes on the run.
const MOST_NOTES: usize = 30;

const CSS: &str = include_str!("../../../assets/report.css");
/// One script of all parts, none of which is seen by anything else on the page.
const SCRIPT: &str = concat!(
    "(() => {\n'use strict';\n",
    include_str!("../../../assets/core.js"),
    include_str!("../../../assets/table.js"),
    include_str!("../../../assets/timeline.js"),
    include_str!("../../../assets/plots.js"),
    include_str!("../../../assets/detail.js"),
    "})();\n",
);

#[derive(askama::Template)]
#[template(path = "report.html")]
struct Filled<'a> {
    nonce: &'a str,
    css: &'a str,
    script: &'a str,
    data_marker: &'a str,
    base: &'a str,
    run: &'a RunDocument,
    verdict: Verdict,
    began: String,
    took: String,
    short_id: String,
    counts: Vec<Count>,
    counts_label: String,
    bar: Vec<BarPart>,
    notes: Vec<Note>,
    problems: Vec<Problem>,
    problems_left: usize,
    rows: Vec<Row>,
    rows_left: usize,
    preparation: Vec<Step>,
    run_log: String,
    run_log_count: usize,
}

struct Verdict {
    class: &'static str,
    word: &'static str,
    mark: &'static str,
    sentence: String,
}

struct Count {
    key: &'static str,
    mark: &'static str,
    number: u32,
}

impl Count {
    fn shown(&self) -> String {
        grouped(self.number)
    }
}

struct BarPart {
    key: &'static str,
    x: String,
    width: String,
}

struct Note {
    class: &'static str,
    word: &'static str,
    text: String,
}

struct Problem {
    outcome: OutcomeKind,
    message: String,
    tests: Vec<Link>,
    more: usize,
}

struct Link {
    index: u32,
    label: String,
}

struct Row {
    index: u32,
    outcome: OutcomeKind,
    label: String,
    message: String,
    place: String,
    took: String,
}

struct Step {
    name: String,
    start: String,
    took: String,
    error: String,
}

/// Gathers what stands on the page at once.
#[derive(Default)]
pub(super) struct Page<'a> {
    base: &'a str,
    problems: Vec<Problem>,
    /// Where the problem with this outcome and message is.
    places: HashMap<(OutcomeKind, String), usize>,
    problems_left: usize,
    /// Of tests that did not pass, and of the others.
    bad_rows: Vec<Row>,
    good_rows: Vec<Row>,
    tests: usize,
}

impl<'a> Page<'a> {
    /// `base` is the way to the folder of the run.
    pub(super) fn new(base: &'a str) -> Self {
        Self { base, ..Self::default() }
    }

    /// Adds the next test of the plan.
    pub(super) fn test(&mut self, test: &TestDocument) {
        self.tests += 1;
        let kind = test.outcome.kind;
        let is_bad = matches!(kind, OutcomeKind::Failed | OutcomeKind::Errored);
        if is_bad || kind == OutcomeKind::Blocked {
            self.problem(test);
        }
        let rows = if kind == OutcomeKind::Passed || kind == OutcomeKind::Skipped {
            &mut self.good_rows
        } else {
            &mut self.bad_rows
        };
        if rows.len() < MOST_ROWS {
            rows.push(Row {
                index: test.index,
                outcome: kind,
                label: label(test),
                message: shorten_middle(&test.outcome.message, 1000),
                place: test.hosts.join(", "),
                took: test.start.map_or_else(String::new, |_| took(test.seconds)),
            });
        }
    }

    /// Tests that say the same are one problem.
    fn problem(&mut self, test: &TestDocument) {
        let link = || Link { index: test.index, label: label(test) };
        let key = (test.outcome.kind, short(&test.outcome.message));
        if let Some(at) = self.places.get(&key) {
            let problem = &mut self.problems[*at];
            if problem.tests.len() < MOST_TESTS_OF_A_PROBLEM {
                problem.tests.push(link());
            } else {
                problem.more += 1;
            }
        } else if self.problems.len() < MOST_PROBLEMS {
            self.places.insert(key, self.problems.len());
            self.problems.push(Problem {
                outcome: test.outcome.kind,
                message: shorten_middle(&test.outcome.message, 1500),
                tests: vec![link()],
                more: 0,
            });
        } else {
            self.problems_left += 1;
        }
    }

    /// The page before and after its data.
    pub(super) fn render(self, run: &RunDocument) -> io::Result<(String, String)> {
        // Nobody can know them who wrote something for a test to say.
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let data_marker = uuid::Uuid::new_v4().simple().to_string();
        let mut problems = self.problems;
        // What a blocked test waits for is told by the one that failed.
        problems.sort_by_key(|problem| problem.outcome == OutcomeKind::Blocked);
        let mut rows = self.bad_rows;
        rows.extend(self.good_rows);
        rows.truncate(MOST_ROWS);
        rows.sort_by_key(|row| row.index);
        let counts = counts(run);
        let named = counts.iter().filter(|count| count.number > 0);
        let named: Vec<_> = named.map(|count| format!("{} {}", count.number, count.key)).collect();
        let filled = Filled {
            nonce: &nonce,
            css: CSS,
            script: SCRIPT,
            data_marker: &data_marker,
            base: self.base,
            run,
            verdict: verdict(run, self.tests),
            began: began(&run.started),
            took: took(run.seconds),
            short_id: run.id.chars().take(8).collect(),
            counts_label: named.join(", "),
            bar: bar(&counts),
            counts,
            notes: notes(run),
            problems,
            problems_left: self.problems_left,
            rows_left: self.tests - rows.len(),
            rows,
            preparation: steps(run),
            run_log: run_log(run),
            run_log_count: run.log.entries.len(),
        };
        let text = filled.render().map_err(io::Error::other)?;
        let (before, after) = text.split_once(&data_marker).unwrap_or((text.as_str(), ""));
        Ok((before.to_owned(), after.to_owned()))
    }
}

fn label(test: &TestDocument) -> String {
    match test.id.rsplit_once('.') {
        Some((group, name)) if group == test.group && name == test.name => test.id.clone(),
        _ if test.group.is_empty() => test.name.clone(),
        _ => format!("{}/{}", test.group, test.name),
    }
}

fn verdict(run: &RunDocument, tests: usize) -> Verdict {
    let counts = &run.counts;
    let (class, word, mark) = match () {
        () if counts.failed > 0 => ("failed", "Failed", "\u{2717}"),
        () if !run.finished => ("errored", "Did not finish", "!"),
        () if run.cancelled.is_some() => ("blocked", "Cancelled", "\u{2298}"),
        () if counts.errored > 0 => ("errored", "Errored", "!"),
        () if counts.blocked > 0 => ("blocked", "Blocked", "\u{2298}"),
        () if counts.passed > 0 => ("passed", "Passed", "\u{2713}"),
        () if counts.skipped > 0 => ("skipped", "Skipped", "\u{2013}"),
        () => ("skipped", "Nothing was run", "\u{2013}"),
    };
    let plural = |number: u32| if number == 1 { "test" } else { "tests" };
    let all = grouped(u32::try_from(tests).unwrap_or(u32::MAX));
    let mut sentence = match () {
        () if tests == 0 => "No test was selected.".to_owned(),
        () if tests == counts.passed as usize && tests == 1 => "The only test passed.".to_owned(),
        () if tests == counts.passed as usize => format!("All {all} tests passed."),
        () => format!("{} of {all} tests passed.", grouped(counts.passed)),
    };
    for (number, what) in [
        (counts.flaky, "passed on a retry"),
        (counts.leaked, "left something behind"),
        (counts.with_findings, "had findings in consoles or logs"),
    ] {
        if number > 0 {
            let _ = write!(sentence, " {number} {} {what}.", plural(number));
        }
    }
    Verdict { class, word, mark, sentence }
}

fn counts(run: &RunDocument) -> Vec<Count> {
    let counts = &run.counts;
    [
        ("passed", "\u{2713}", counts.passed),
        ("failed", "\u{2717}", counts.failed),
        ("errored", "!", counts.errored),
        ("skipped", "\u{2013}", counts.skipped),
        ("blocked", "\u{2298}", counts.blocked),
        ("flaky", "\u{21bb}", counts.flaky),
        ("leaked", "\u{25be}", counts.leaked),
        ("findings", "\u{2691}", counts.with_findings),
    ]
    .into_iter()
    .map(|(key, mark, number)| Count { key, mark, number })
    .collect()
}

/// The first five counts as parts of a bar that is 1000 wide; even one of many can be seen.
fn bar(counts: &[Count]) -> Vec<BarPart> {
    const GAP: f64 = 2.0;
    let counts: Vec<_> = counts[..5].iter().filter(|count| count.number > 0).collect();
    let all: f64 = counts.iter().map(|count| f64::from(count.number)).sum();
    let widths = counts.iter().map(|count| (f64::from(count.number) / all * 1000.0).max(6.0));
    let whole: f64 = widths.clone().sum();
    let mut x = 0.0;
    let parts = counts.iter().zip(widths).map(|(count, width)| {
        let width = width * 1000.0 / whole;
        let part = BarPart {
            key: count.key,
            x: format!("{x:.1}"),
            width: format!("{:.1}", (width - GAP).max(2.0)),
        };
        x += width;
        part
    });
    parts.collect()
}

fn notes(run: &RunDocument) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |class, word, text: String| notes.push(Note { class, word, text });
    if !run.finished {
        let text = "the run was killed or its journal breaks off; tests without an end count as \
                    errored";
        note("bad", "Not finished:", text.to_owned());
    }
    for step in run.preparation.iter().chain(&run.actions) {
        if let Some(error) = &step.error {
            note("bad", "Failed:", format!("{}: {error}", step.step));
        }
    }
    if let Some(reason) = &run.cancelled {
        note("odd", "Cancelled:", reason.clone());
    }
    for at in &run.resumed {
        note("info", "Resumed", format!("{} after the run began", took(*at)));
    }
    if let Some(how) = &run.kept {
        note("info", "Kept running:", how.clone());
    }
    for finding in &run.findings {
        let text = format!("{} in {}\n{}", finding.pattern, finding.source, finding.excerpt);
        note("bad", "Found:", text);
    }
    for warning in &run.warnings {
        note("odd", "Warning:", warning.clone());
    }
    let more = notes.len().saturating_sub(MOST_NOTES);
    notes.truncate(MOST_NOTES);
    if more > 0 {
        let text = format!("{more} more notes are in the journal");
        notes.push(Note { class: "info", word: "And", text });
    }
    notes
}

fn steps(run: &RunDocument) -> Vec<Step> {
    let steps = run.preparation.iter().chain(&run.actions);
    let step = |step: &super::super::document::PreparationDocument| Step {
        name: step.step.clone(),
        start: if step.start > 0.0 { format!("+{}", took(step.start)) } else { "0".to_owned() },
        took: took(step.seconds),
        error: step.error.clone().unwrap_or_default(),
    };
    steps.take(200).map(step).collect()
}

fn run_log(run: &RunDocument) -> String {
    let mut text = String::new();
    if run.log.left_out > 0 {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "[{} earlier entries are in the journal]", run.log.left_out);
    }
    for entry in &run.log.entries {
        let word = if entry.kind == LogKind::Warning { "warning: " } else { "" };
        let line = shorten_middle(entry.text.trim_end(), 4000);
        let _ = writeln!(text, "+{:<9} {word}{line}", took(entry.at));
    }
    text
}

/// `99,900`.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2026-01-02 03:04:05 UTC`.
fn began(started: &str) -> String {
    match started.parse::<jiff::Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => "not known".to_owned(),
    }
}

/// A duration as the script of the page writes it, too.
fn took(seconds: f64) -> String {
    Readable::seconds(seconds).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_failure_of_many_can_be_seen_in_the_bar() {
        let count = |key, number| Count { key, mark: "", number };
        let counts = [
            count("passed", 99_999),
            count("failed", 1),
            count("errored", 0),
            count("skipped", 0),
            count("blocked", 0),
        ];
        let bar = bar(&counts);
        assert_eq!(bar.len(), 2);
        assert!(bar[1].width.parse::<f64>().unwrap() > 3.0);
    }
}
