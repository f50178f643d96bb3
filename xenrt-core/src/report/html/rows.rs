//! The tests of a run as the script of the page reads them.
//!
//! What the table and the timeline need of every test is a short array in one list, which the
//! browser reads at once. All else stands in chunks of some hundred tests, which are read when
//! somebody looks at one of them.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::super::document::{LogDocument, RunDocument, TestDocument};
use super::safe::ScriptSafe;
use crate::testcase::OutcomeKind;

/// A chunk of details is so long, unless one test alone says more.
const CHUNK: usize = 256 * 1024;
/// More details than this make a page that is slow to load; passed tests then keep their logs for
/// the journal.
const MOST_DETAILS: usize = 64 * 1024 * 1024;
/// So much of its log is shown of a test that passed, and of another one.
const LOG_OF_A_PASSED_TEST: usize = 8 * 1024;
const LOG_OF_A_TEST: usize = 64 * 1024;
/// So many points are plotted of one value, and bars of repeated tests drawn.
const MOST_POINTS: usize = 50_000;
const MOST_BARS: usize = 200_000;

/// Writes the data of the page: the list of tests into one writer, the details into another one.
pub(super) struct Rows<L: Write, D: Write> {
    list: ScriptSafe<L>,
    details: ScriptSafe<D>,
    tests: usize,
    groups: Numbers<String>,
    ids: Numbers<String>,
    host_sets: Numbers<Vec<String>>,
    bars: Vec<Value>,
    series: BTreeMap<(String, String), Series>,
    chunk: Vec<u8>,
    chunks: usize,
    details_bytes: usize,
}

#[derive(Default)]
struct Series {
    points: Vec<Value>,
    left_out: usize,
}

/// Gives each value a number, so that it is written once.
struct Numbers<T>(HashMap<T, usize>);

impl<T: std::hash::Hash + Eq + Clone> Numbers<T> {
    fn of(&mut self, value: &T) -> usize {
        if let Some(number) = self.0.get(value) {
            return *number;
        }
        let number = self.0.len();
        self.0.insert(value.clone(), number);
        number
    }

    fn list(self) -> Vec<T> {
        let mut list: Vec<_> = self.0.into_iter().collect();
        list.sort_by_key(|(_, number)| *number);
        list.into_iter().map(|(value, _)| value).collect()
    }
}

impl<L: Write, D: Write> Rows<L, D> {
    pub(super) fn new(list: L, details: D) -> Self {
        Self {
            list: ScriptSafe(list),
            details: ScriptSafe(details),
            tests: 0,
            groups: Numbers(HashMap::new()),
            ids: Numbers(HashMap::new()),
            host_sets: Numbers(HashMap::new()),
            bars: Vec::new(),
            series: BTreeMap::new(),
            chunk: Vec::new(),
            chunks: 0,
            details_bytes: 0,
        }
    }

    /// Adds the next test of the plan.
    pub(super) fn test(&mut self, test: &TestDocument) -> io::Result<()> {
        if self.tests == 0 {
            // Not JSON, so it does not go through the escaping.
            self.list.0.write_all(b"<script type=\"application/json\" id=\"data\">{\"rows\":[")?;
        } else {
            self.list.write_all(b",\n")?;
        }
        self.tests += 1;
        let chunk = self.detail(test)?;
        let flags = u8::from(test.flaky)
            | u8::from(!test.leaked.is_empty()) << 1
            | u8::from(!test.warnings.is_empty()) << 2
            | u8::from(!test.findings.is_empty()) << 3;
        let row = json!([
            test.name,
            self.groups.of(&test.group),
            self.ids.of(&test.id),
            code(test.outcome.kind),
            test.start.map_or(-1.0, milliseconds),
            milliseconds(test.seconds),
            test.lane,
            self.host_sets.of(&test.hosts),
            flags,
            short(&test.outcome.message),
            test.attempts.len().max(1),
            chunk,
        ]);
        serde_json::to_writer(&mut self.list, &row)?;
        for attempt in &test.attempts {
            if self.bars.len() < MOST_BARS {
                let (start, took) = (milliseconds(attempt.start), milliseconds(attempt.seconds));
                let outcome = code(attempt.outcome.kind);
                self.bars.push(json!([test.index, start, took, outcome, attempt.lane]));
            }
        }
        for value in &test.values {
            let series = self.series.entry((value.name.clone(), value.unit.clone())).or_default();
            if series.points.len() < MOST_POINTS {
                let at = milliseconds(value.at);
                let point = json!([test.index, at, value.value, value.round, value.attempt]);
                series.points.push(point);
            } else {
                series.left_out += 1;
            }
        }
        Ok(())
    }

    /// Adds what is known of a test besides its row; returns the number of the chunk, or -1 where
    /// there is nothing.
    fn detail(&mut self, test: &TestDocument) -> io::Result<i64> {
        let full = self.details_bytes > MOST_DETAILS;
        let detail = detail(test, full);
        if detail.as_object().is_none_or(serde_json::Map::is_empty) {
            return Ok(-1);
        }
        if self.chunk.len() > CHUNK {
            self.end_chunk()?;
        }
        self.chunk.push(if self.chunk.is_empty() { b'{' } else { b',' });
        write!(self.chunk, "\"{}\":", test.index)?;
        serde_json::to_writer(&mut self.chunk, &detail)?;
        i64::try_from(self.chunks).map_err(io::Error::other)
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let number = self.chunks;
        write!(self.details.0, "<script type=\"application/json\" id=\"d{number}\">")?;
        self.chunk.push(b'}');
        self.details.write_all(&self.chunk)?;
        self.details.0.write_all(b"</script>\n")?;
        self.details_bytes += self.chunk.len();
        self.chunk.clear();
        self.chunks += 1;
        Ok(())
    }

    /// Adds what is not of one test, and ends.
    pub(super) fn end(mut self, run: &RunDocument, base: &str) -> io::Result<()> {
        self.end_chunk()?;
        if self.tests == 0 {
            self.list.0.write_all(b"<script type=\"application/json\" id=\"data\">{\"rows\":[")?;
        }
        let steps = run.preparation.iter().chain(&run.actions);
        let steps: Vec<Value> = steps
            .map(|step| {
                json!([step.step, milliseconds(step.start), milliseconds(step.seconds), step.error])
            })
            .collect();
        let series: Vec<Value> = std::mem::take(&mut self.series)
            .into_iter()
            .map(|((name, unit), Series { points, left_out })| {
                json!({"name": name, "unit": unit, "points": points, "left_out": left_out})
            })
            .collect();
        write!(self.list, "],\"groups\":")?;
        serde_json::to_writer(&mut self.list, &self.groups.list())?;
        write!(self.list, ",\"ids\":")?;
        serde_json::to_writer(&mut self.list, &self.ids.list())?;
        write!(self.list, ",\"hostsets\":")?;
        serde_json::to_writer(&mut self.list, &self.host_sets.list())?;
        write!(self.list, ",\"bars\":")?;
        serde_json::to_writer(&mut self.list, &self.bars)?;
        write!(self.list, ",\"series\":")?;
        serde_json::to_writer(&mut self.list, &series)?;
        write!(self.list, ",\"preparation\":")?;
        serde_json::to_writer(&mut self.list, &steps)?;
        write!(self.list, ",\"base\":")?;
        serde_json::to_writer(&mut self.list, base)?;
        write!(self.list, ",\"took\":{}}}", milliseconds(run.seconds))?;
        self.list.0.write_all(b"</script>\n")?;
        self.list.flush()?;
        self.details.flush()
    }
}

/// All that is known of a test and is not in its row.
fn detail(test: &TestDocument, without_log_if_passed: bool) -> Value {
    let mut detail = serde_json::Map::new();
    let mut put = |name: &str, value: Value, is_there: bool| {
        if is_there {
            detail.insert(name.to_owned(), value);
        }
    };
    let passed = test.outcome.kind == OutcomeKind::Passed;
    let message = crate::remote::shorten_middle(&test.outcome.message, 16 * 1024);
    put("message", json!(message), message != short(&test.outcome.message));
    put("phase", json!(test.outcome.phase), test.outcome.phase.is_some());
    put("blame", json!(test.outcome.blame), test.outcome.blame.is_some());
    put("tc", json!(test.tc), test.tc.is_some());
    put("arguments", json!(test.arguments), !test.arguments.is_empty());
    put("priority", json!(test.priority), test.priority.is_some());
    put("warnings", json!(test.warnings), !test.warnings.is_empty());
    put("leaked", json!(test.leaked), !test.leaked.is_empty());
    put("findings", json!(test.findings), !test.findings.is_empty());
    put("values", json!(test.values), !test.values.is_empty());
    put("attempts", json!(test.attempts), !test.attempts.is_empty());
    put("evidence", json!(test.evidence), !test.evidence.is_empty());
    put("left_out", json!(test.left_out), !test.left_out.is_empty());
    let part = |start, seconds| (milliseconds(start), milliseconds(seconds));
    let phases = test.phases.iter().map(|phase| {
        let (start, took) = part(phase.start, phase.seconds);
        json!([phase.phase, start, took])
    });
    put("phases", phases.collect(), !test.phases.is_empty());
    let steps = test.steps.iter().map(|step| {
        let (start, took) = part(step.start, step.seconds);
        json!([step.text, start, took])
    });
    put("steps", steps.collect(), !test.steps.is_empty());
    let most = if passed { LOG_OF_A_PASSED_TEST } else { LOG_OF_A_TEST };
    if !(passed && without_log_if_passed) {
        put("log", log(&test.log, most), !test.log.is_empty());
    }
    if !detail.is_empty() {
        detail.insert("line".to_owned(), json!(test.line));
    }
    Value::Object(detail)
}

/// The last entries of a log that are together not longer than `most`.
fn log(log: &LogDocument, most: usize) -> Value {
    let mut bytes = 0;
    let fits = |text: &str| {
        bytes += text.len();
        bytes <= most
    };
    let kept = log.entries.iter().rev().map(|entry| entry.text.as_str());
    let kept = kept.map_while({
        let mut fits = fits;
        move |text| fits(text).then_some(())
    });
    let kept = kept.count().max(usize::from(!log.entries.is_empty()));
    let from = log.entries.len() - kept;
    let entries = log.entries[from..].iter().map(|entry| {
        json!([entry.at, entry.kind, crate::remote::shorten_middle(&entry.text, most)])
    });
    json!({"left_out": log.left_out + from as u64, "entries": entries.collect::<Vec<_>>()})
}

/// The number of an outcome in the list, as the script of the page knows it.
fn code(kind: OutcomeKind) -> u8 {
    match kind {
        OutcomeKind::Passed => 0,
        OutcomeKind::Failed => 1,
        OutcomeKind::Errored => 2,
        OutcomeKind::Skipped => 3,
        OutcomeKind::Blocked => 4,
    }
}

fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}

/// The first line of a message, not too long for a row.
pub(super) fn short(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}\u{2026}", &line[..end]),
        None => line.to_owned(),
    }
}
