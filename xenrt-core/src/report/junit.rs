//! JUnit XML, for CI systems.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event as Xml};

use super::Reporter;
use super::collector::{Collector, write_whole};
use super::document::{AttemptDocument, LogDocument, LogKind, OutcomeDocument, TestDocument};
use super::text::indented;
use crate::sequencer::Event;
use crate::testcase::OutcomeKind;

/// Writes a JUnit XML file at the end of a run: a test suite for each group.
///
/// Failed is a `failure`, Errored an `error`, Skipped `skipped`. Blocked has no word in JUnit and
/// is an `error`, so that a run whose preparation failed does not look green. Earlier attempts at
/// a test that passed in the end are `flakyFailure` or `flakyError`, those at one that did not are
/// `rerunFailure` or `rerunError` (the words of Maven Surefire, which Jenkins reads). Arguments,
/// values, evidence and the number in a test management system are properties; what a test said
/// and the commands that it ran are its `system-out`, shortened at its beginning; leaks, findings
/// and warnings are its `system-err`.
#[derive(Debug)]
pub struct JUnit {
    path: PathBuf,
    collector: Collector,
}

/// The numbers of a suite, or of all.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    tests: u32,
    failures: u32,
    errors: u32,
    skipped: u32,
    seconds: f64,
}

impl Sums {
    fn count(&mut self, test: &TestDocument) {
        self.tests += 1;
        self.seconds += test.seconds;
        match test.outcome.kind {
            OutcomeKind::Passed => {}
            OutcomeKind::Failed => self.failures += 1,
            OutcomeKind::Errored | OutcomeKind::Blocked => self.errors += 1,
            OutcomeKind::Skipped => self.skipped += 1,
        }
    }
}

impl JUnit {
    /// The name of the report in the folder of a run.
    pub const FILE: &'static str = "junit.xml";

    /// A report that will be written to `path` when the run ends.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), collector: Collector::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The report of what was told so far. Tests that have not ended are errors: that is what they
    /// are in the journal of a run that was killed.
    ///
    /// # Errors
    /// When what was gathered cannot be read back from disk.
    pub fn to_xml(&mut self) -> io::Result<String> {
        self.collector.complete()?;
        let mut xml = Vec::new();
        self.write_to(&mut xml)?;
        String::from_utf8(xml).map_err(io::Error::other)
    }

    /// Writes the report of what was told so far; done by itself at the end.
    ///
    /// # Errors
    /// When the file or its folder cannot be written.
    pub fn write(&mut self) -> io::Result<()> {
        self.collector.complete()?;
        let path = self.path.clone();
        write_whole(&path, |writer| self.write_to(writer))
    }

    fn write_to(&mut self, writer: &mut dyn Write) -> io::Result<()> {
        let groups = self.groups();
        let mut sums = vec![Sums::default(); groups.len()];
        let mut all = Sums::default();
        for (sum, (_, tests)) in sums.iter_mut().zip(&groups) {
            for index in tests {
                let test = self.collector.test(*index as usize)?;
                sum.count(&test);
                all.count(&test);
            }
        }
        let mut xml = Writer(quick_xml::Writer::new_with_indent(writer, b' ', 4));
        let run = self.collector.run().clone();
        xml.0.write_event(Xml::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let mut root = element("testsuites", &[("name", run.sequence.as_str())]);
        root.push_attribute(("tests", all.tests.to_string().as_str()));
        root.push_attribute(("failures", all.failures.to_string().as_str()));
        root.push_attribute(("errors", all.errors.to_string().as_str()));
        root.push_attribute(("time", seconds(run.seconds).as_str()));
        xml.0.write_event(Xml::Start(root))?;
        for ((group, tests), sum) in groups.iter().zip(sums) {
            let mut suite = element("testsuite", &[("name", group.as_str())]);
            suite.push_attribute(("tests", sum.tests.to_string().as_str()));
            suite.push_attribute(("failures", sum.failures.to_string().as_str()));
            suite.push_attribute(("errors", sum.errors.to_string().as_str()));
            suite.push_attribute(("skipped", sum.skipped.to_string().as_str()));
            suite.push_attribute(("time", seconds(sum.seconds).as_str()));
            if !run.started.is_empty() {
                suite.push_attribute(("timestamp", run.started.as_str()));
            }
            xml.0.write_event(Xml::Start(suite))?;
            if !run.id.is_empty() {
                xml.property("run", &run.id)?;
            }
            for index in tests {
                let test = self.collector.test(*index as usize)?;
                xml.test(&test)?;
            }
            xml.0.write_event(Xml::End(BytesEnd::new("testsuite")))?;
        }
        xml.0.write_event(Xml::End(BytesEnd::new("testsuites")))?;
        xml.0.get_mut().write_all(b"\n")
    }

    /// The tests by group, groups in the order of their first test.
    fn groups(&self) -> Vec<(String, Vec<u32>)> {
        let mut groups: Vec<(String, Vec<u32>)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (index, planned) in (0..).zip(self.collector.plan()) {
            let at = *places.entry(planned.group.as_str()).or_insert_with(|| {
                groups.push((planned.group.clone(), Vec::new()));
                groups.len() - 1
            });
            groups[at].1.push(index);
        }
        groups
    }
}

impl Reporter for JUnit {
    fn name(&self) -> String {
        format!("the JUnit report {}", self.path.display())
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.collector.take(event)
    }

    fn end(&mut self) -> io::Result<()> {
        self.write()
    }
}

struct Writer<'a>(quick_xml::Writer<&'a mut dyn Write>);

impl Writer<'_> {
    fn test(&mut self, test: &TestDocument) -> io::Result<()> {
        let mut case = element("testcase", &[("name", &test.name), ("classname", &test.id)]);
        case.push_attribute(("time", seconds(test.seconds).as_str()));
        self.0.write_event(Xml::Start(case))?;
        self.outcome(test)?;
        let said = properties(test) + &transcript(&test.log);
        if !said.is_empty() {
            self.text(element("system-out", &[]), &said)?;
        }
        let loud = loud(test);
        if !loud.is_empty() {
            self.text(element("system-err", &[]), &loud)?;
        }
        self.0.write_event(Xml::End(BytesEnd::new("testcase")))
    }

    /// The one property of a suite.
    fn property(&mut self, name: &str, value: &str) -> io::Result<()> {
        self.0.write_event(Xml::Start(BytesStart::new("properties")))?;
        let property = element("property", &[("name", name), ("value", value)]);
        self.0.write_event(Xml::Empty(property))?;
        self.0.write_event(Xml::End(BytesEnd::new("properties")))
    }

    fn outcome(&mut self, test: &TestDocument) -> io::Result<()> {
        let message = &test.outcome.message;
        let passed = test.outcome.kind == OutcomeKind::Passed;
        match test.outcome.kind {
            OutcomeKind::Passed => {}
            OutcomeKind::Skipped => {
                let skipped = element("skipped", &[("message", first_line(message))]);
                self.0.write_event(Xml::Empty(skipped))?;
            }
            OutcomeKind::Failed | OutcomeKind::Errored | OutcomeKind::Blocked => {
                let failed = test.outcome.kind == OutcomeKind::Failed;
                let name = if failed { "failure" } else { "error" };
                self.text(verdict(name, &test.outcome), message)?;
            }
        }
        let earlier = test.attempts.iter().filter(|attempt| is_bad(attempt));
        // The last attempt of a test that did not pass is its verdict.
        let verdict_is = test.attempts.iter().rposition(is_bad).filter(|_| !passed);
        let last = verdict_is.map(|at| (test.attempts[at].round, test.attempts[at].attempt));
        for attempt in earlier.filter(|attempt| Some((attempt.round, attempt.attempt)) != last) {
            let failed = attempt.outcome.kind == OutcomeKind::Failed;
            let name = match (passed, failed) {
                (true, true) => "flakyFailure",
                (true, false) => "flakyError",
                (false, true) => "rerunFailure",
                (false, false) => "rerunError",
            };
            let place = format!("round {}, attempt {}", attempt.round, attempt.attempt);
            self.text(
                verdict(name, &attempt.outcome),
                &format!("{place}: {}", attempt.outcome.message),
            )?;
        }
        Ok(())
    }

    fn text(&mut self, start: BytesStart<'_>, text: &str) -> io::Result<()> {
        let end = start.to_end().into_owned();
        self.0.write_event(Xml::Start(start.borrow()))?;
        self.0.write_event(Xml::Text(BytesText::new(&plain(text))))?;
        self.0.write_event(Xml::End(end))
    }
}

fn is_bad(attempt: &AttemptDocument) -> bool {
    matches!(attempt.outcome.kind, OutcomeKind::Failed | OutcomeKind::Errored)
}

fn verdict(name: &str, outcome: &OutcomeDocument) -> BytesStart<'static> {
    let mut type_ = outcome.kind.to_string();
    if let Some(phase) = outcome.phase {
        let _ = write!(type_, " in {phase}");
    }
    if let Some(blame) = outcome.blame {
        let _ = write!(type_, ", {blame}");
    }
    element(name, &[("message", first_line(&outcome.message)), ("type", &type_)])
}

fn element(name: &str, attributes: &[(&str, &str)]) -> BytesStart<'static> {
    let mut element = BytesStart::new(name.to_owned());
    for (name, value) in attributes {
        element.push_attribute((*name, plain(value).as_str()));
    }
    element
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.3}")
}

/// What XML may contain (<https://www.w3.org/TR/xml/#charsets>): without the other control
/// characters and without the colours of terminals.
fn plain(text: &str) -> String {
    let allowed = |c: &char| matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    anstream::adapter::strip_str(text).to_string().chars().filter(allowed).collect()
}

/// The properties and files of a test, in the form in which readers of JUnit look for them in its
/// output: the schema of Jenkins (junit-10.xsd of its xUnit plugin) has no place for them elsewhere.
fn properties(test: &TestDocument) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "[[PROPERTY|{name}={}]]", value.replace('\n', " "));
    };
    test.tc.iter().for_each(|tc| line("tc", tc));
    test.arguments.iter().for_each(|argument| line("argument", argument));
    for value in &test.values {
        line(&value.name, format!("{} {}", value.value, value.unit).trim_end());
    }
    for file in &test.evidence {
        let _ = writeln!(text, "[[ATTACHMENT|{file}]]");
    }
    text
}

fn transcript(log: &LogDocument) -> String {
    let mut text = String::new();
    if log.left_out > 0 {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "[{} earlier entries are in the journal]", log.left_out);
    }
    for entry in &log.entries {
        let line = indented(&entry.text, 2);
        let _ = match entry.kind {
            LogKind::Phase => writeln!(text, "-- {line}"),
            LogKind::Step => writeln!(text, "* {line}"),
            LogKind::Warning => writeln!(text, "  warning: {line}"),
            LogKind::Info | LogKind::Command | LogKind::FailedCommand | LogKind::Undone => {
                writeln!(text, "  {line}")
            }
        };
    }
    text
}

/// What must not be overlooked, whatever the verdict.
fn loud(test: &TestDocument) -> String {
    let mut text = String::new();
    if !test.leaked.is_empty() {
        let _ = writeln!(text, "leaked:\n{}", test.leaked.join("\n"));
    }
    for finding in &test.findings {
        let excerpt = indented(&finding.excerpt, 2);
        let _ = writeln!(text, "found: {} in {}\n  {excerpt}", finding.pattern, finding.source);
    }
    for warning in &test.warnings {
        let _ = writeln!(text, "warning: {}", indented(warning, 2));
    }
    text
}
