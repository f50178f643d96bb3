//! Runs of one sequence in several places, held against each other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::document::{ReportDocument, TestDocument};
use crate::seconds::Readable;
use crate::sequencer::ExitCode;
use crate::testcase::OutcomeKind;

/// The same tests in several places: verdicts, times, measured values and observed states side by
/// side. A difference is a finding, also where every test passed.
///
/// ```
/// # use xenrt_core::report::{Comparison, ReportDocument};
/// # fn show(on_xl: ReportDocument, on_libvirt: ReportDocument) {
/// let comparison = Comparison::of(&[("xl".into(), on_xl), ("libvirt".into(), on_libvirt)]);
/// print!("{comparison}");
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The places, in the order of the columns.
    pub places: Vec<ComparedRun>,
    /// The tests, in the order of the sequence.
    pub tests: Vec<ComparedTest>,
}

/// A run in one of the places.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedRun {
    /// The name of the place.
    pub place: String,
    /// What gave it hosts.
    pub lab: String,
    /// The exit code that stands for it; absent where it did not finish.
    pub exit_code: Option<u8>,
    /// How long it took.
    pub seconds: f64,
}

/// A test in all places.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedTest {
    /// Its name, unique in the sequence.
    pub name: String,
    /// How it went in each place; `None` where the run did not come to it.
    pub results: Vec<Option<ComparedResult>>,
    /// What is not the same everywhere, a line each.
    pub differences: Vec<String>,
}

/// A test in one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparedResult {
    /// The verdict.
    pub verdict: OutcomeKind,
    /// What there is to say of it; empty for passed.
    pub message: String,
    /// How long it took.
    pub seconds: f64,
    /// What it measured: the median of each value, with its unit.
    pub values: BTreeMap<String, (f64, String)>,
    /// What its guests looked like when it had ended.
    pub observed: Vec<String>,
}

impl Comparison {
    /// Holds runs of one sequence against each other, each with the name of its place.
    pub fn of(runs: &[(String, ReportDocument)]) -> Self {
        let places = runs.iter().map(|(place, document)| ComparedRun {
            place: place.clone(),
            lab: document.run.lab.clone(),
            exit_code: document.run.exit_code,
            seconds: document.run.seconds,
        });
        let by_name = |document: &'_ ReportDocument| -> HashMap<String, ComparedResult> {
            let tests = document.tests.iter();
            tests.map(|test| (test.name.clone(), ComparedResult::of(test))).collect()
        };
        let mut found: Vec<_> = runs.iter().map(|(_, document)| by_name(document)).collect();
        let mut seen = HashSet::new();
        let names = runs.iter().flat_map(|(_, document)| &document.tests);
        let names = names.map(|test| test.name.as_str()).filter(|name| seen.insert(*name));
        let named: Vec<&str> = runs.iter().map(|(place, _)| place.as_str()).collect();
        let tests = names.map(|name| {
            let results: Vec<_> = found.iter_mut().map(|results| results.remove(name)).collect();
            let differences = differences(&named, &results);
            ComparedTest { name: name.to_owned(), results, differences }
        });
        let tests = tests.collect();
        Self { places: places.collect(), tests }
    }

    /// Whether all is the same everywhere.
    pub fn agrees(&self) -> bool {
        self.tests.iter().all(|test| test.differences.is_empty())
    }

    /// The exit code that stands for all runs together: the worst of theirs, and
    /// [`Failed`](ExitCode::Failed) where they passed and differ. A test that some place cannot run is
    /// told as a difference and is no fault.
    pub fn exit_code(&self) -> ExitCode {
        let order =
            [ExitCode::Cancelled, ExitCode::PreparationFailed, ExitCode::Failed, ExitCode::Errored];
        let codes = || self.places.iter().map(|place| place.exit_code);
        if let Some(worst) =
            order.into_iter().find(|code| codes().any(|own| own == Some(code.code())))
        {
            return worst;
        }
        if codes().any(|code| code.is_none()) {
            return ExitCode::Errored;
        }
        let nothing = ExitCode::NothingRan.code();
        match self.tests.iter().any(ComparedTest::is_a_finding) {
            true => ExitCode::Failed,
            false if codes().all(|own| own == Some(nothing)) => ExitCode::NothingRan,
            false => ExitCode::AllPassed,
        }
    }
}

impl ComparedTest {
    /// Whether places differ of which each could run it.
    fn is_a_finding(&self) -> bool {
        let ran = self.results.iter().flatten();
        let ran: Vec<_> = ran.filter(|result| result.verdict != OutcomeKind::Skipped).collect();
        ran.windows(2).any(|two| two[0].differs_from(two[1]))
    }
}

impl ComparedResult {
    fn of(test: &TestDocument) -> Self {
        let mut values: BTreeMap<&str, (Vec<f64>, &str)> = BTreeMap::new();
        for value in &test.values {
            values.entry(&value.name).or_insert((Vec::new(), &value.unit)).0.push(value.value);
        }
        let median = |mut several: Vec<f64>| {
            several.sort_by(f64::total_cmp);
            several[several.len() / 2]
        };
        let values = values
            .into_iter()
            .map(|(name, (several, unit))| (name.to_owned(), (median(several), unit.to_owned())));
        let mut observed = test.observed.clone();
        observed.sort();
        Self {
            verdict: test.outcome.kind,
            message: test.outcome.message.clone(),
            seconds: test.seconds,
            values: values.collect(),
            observed,
        }
    }

    fn differs_from(&self, other: &Self) -> bool {
        self.verdict != other.verdict || self.observed != other.observed
    }
}

fn differences(places: &[&str], results: &[Option<ComparedResult>]) -> Vec<String> {
    let mut told = Vec::new();
    let there: Vec<(&str, &ComparedResult)> = places
        .iter()
        .zip(results)
        .filter_map(|(place, result)| result.as_ref().map(|result| (*place, result)))
        .collect();
    for (place, _) in places.iter().zip(results).filter(|(_, result)| result.is_none()) {
        told.push(format!("{place} did not come to it"));
    }
    if there.windows(2).any(|two| two[0].1.verdict != two[1].1.verdict) {
        let verdicts = there.iter().map(|(place, result)| {
            let first = result.message.lines().next().unwrap_or_default();
            let why = if first.is_empty() { String::new() } else { format!(" ({first})") };
            format!("{place} {}{why}", result.verdict)
        });
        told.push(format!("verdict: {}", verdicts.collect::<Vec<_>>().join("; ")));
    }
    let ran: Vec<_> =
        there.iter().filter(|(_, result)| result.verdict != OutcomeKind::Skipped).collect();
    let lines: std::collections::BTreeSet<&String> =
        ran.iter().flat_map(|(_, result)| &result.observed).collect();
    for line in lines {
        let seen: Vec<&str> = ran
            .iter()
            .filter(|(_, result)| result.observed.contains(line))
            .map(|(place, _)| *place)
            .collect();
        if seen.len() < ran.len() {
            told.push(format!("only on {}: {line}", seen.join(", ")));
        }
    }
    told
}

/// A table with a line for each test, then what differs.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |result: &Option<ComparedResult>| match result {
            Some(result) => {
                format!("{} {}", result.verdict, Readable::seconds(result.seconds))
            }
            None => "-".to_owned(),
        };
        let mut rows: Vec<Vec<String>> = vec![
            std::iter::once("test".to_owned())
                .chain(self.places.iter().map(|place| place.place.clone()))
                .collect(),
        ];
        for test in &self.tests {
            let cells = test.results.iter().map(cell);
            rows.push(std::iter::once(test.name.clone()).chain(cells).collect());
            let mut names: Vec<&String> =
                test.results.iter().flatten().flat_map(|result| result.values.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let values = test.results.iter().map(|result| {
                    let value = result.as_ref().and_then(|result| result.values.get(name));
                    value.map_or_else(
                        || "-".to_owned(),
                        |(value, unit)| format!("{} {unit}", number(*value)).trim_end().to_owned(),
                    )
                });
                rows.push(std::iter::once(format!("  {name}")).chain(values).collect());
            }
        }
        let whole = self.places.iter().map(|place| Readable::seconds(place.seconds).to_string());
        rows.push(std::iter::once("in all".to_owned()).chain(whole).collect());
        let columns = self.places.len() + 1;
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        if self.agrees() {
            return writeln!(f, "\nno difference");
        }
        writeln!(f, "\ndifferences:")?;
        for test in self.tests.iter().filter(|test| !test.differences.is_empty()) {
            writeln!(f, "  {}", test.name)?;
            for difference in &test.differences {
                writeln!(f, "    {difference}")?;
            }
        }
        Ok(())
    }
}

/// Three digits that count, and no more.
fn number(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{OutcomeDocument, RunDocument, ValueDocument};

    fn document(exit_code: ExitCode, tests: Vec<TestDocument>) -> ReportDocument {
        let run = RunDocument {
            lab: "a lab".into(),
            seconds: 70.0,
            exit_code: Some(exit_code.code()),
            finished: true,
            ..RunDocument::default()
        };
        let (format, version) = (ReportDocument::FORMAT.into(), ReportDocument::VERSION);
        ReportDocument { format, version, run, tests }
    }

    fn test(name: &str, kind: OutcomeKind, message: &str) -> TestDocument {
        let text = format!(
            r#"{{"index":0,"id":"{name}","name":"{name}","group":"","line":1,"outcome":{{"kind":"passed"}},
                "seconds":12.5,"lane":0}}"#
        );
        let mut test: TestDocument = serde_json::from_str(&text).unwrap();
        test.outcome =
            OutcomeDocument { kind, phase: None, blame: None, message: message.to_owned() };
        test
    }

    fn seen(mut test: TestDocument, observed: &str) -> TestDocument {
        test.observed = vec![observed.to_owned()];
        test
    }

    fn compare(a: ReportDocument, b: ReportDocument) -> Comparison {
        Comparison::of(&[("xl".into(), a), ("libvirt-qemu".into(), b)])
    }

    const RUNNING: &str =
        "guest tiny: Running, 1 vCPU of 1, 128 MiB, 0 disks, 1 VIF; domain Running, 1 vCPU";

    #[test]
    fn the_same_everywhere_is_no_difference() {
        let one = || {
            let mut test = seen(test("network.hfx745", OutcomeKind::Passed, ""), RUNNING);
            let value = |value| ValueDocument {
                name: "dropped".into(),
                value,
                unit: "packets".into(),
                at: 1.0,
                round: 1,
                attempt: 1,
            };
            test.values = vec![value(3.0), value(2000.0), value(45.25)];
            document(ExitCode::AllPassed, vec![test])
        };
        let comparison = compare(one(), one());
        assert_eq!(comparison.exit_code(), ExitCode::AllPassed);
        insta::assert_snapshot!(comparison, @r"
        test            xl             libvirt-qemu
        network.hfx745  passed 12.5 s  passed 12.5 s
          dropped       45.2 packets   45.2 packets
        in all          1 min 10 s     1 min 10 s

        no difference
        ");
    }

    #[test]
    fn a_state_that_differs_is_a_finding_although_all_passed() {
        let other = RUNNING.replace("128 MiB", "127 MiB");
        let comparison = compare(
            document(ExitCode::AllPassed, vec![seen(test("a", OutcomeKind::Passed, ""), RUNNING)]),
            document(ExitCode::AllPassed, vec![seen(test("a", OutcomeKind::Passed, ""), &other)]),
        );
        assert_eq!(comparison.exit_code(), ExitCode::Failed);
        insta::assert_snapshot!(comparison, @r"
        test    xl             libvirt-qemu
        a       passed 12.5 s  passed 12.5 s
        in all  1 min 10 s     1 min 10 s

        differences:
          a
            only on libvirt-qemu: guest tiny: Running, 1 vCPU of 1, 127 MiB, 0 disks, 1 VIF; domain Running, 1 vCPU
            only on xl: guest tiny: Running, 1 vCPU of 1, 128 MiB, 0 disks, 1 VIF; domain Running, 1 vCPU
        ");
    }

    #[test]
    fn what_a_place_cannot_run_is_told_and_no_fault() {
        let skipped = test("a", OutcomeKind::Skipped, "needs migration, which it lacks");
        let comparison = compare(
            document(ExitCode::AllPassed, vec![seen(test("a", OutcomeKind::Passed, ""), RUNNING)]),
            document(ExitCode::AllPassed, vec![skipped]),
        );
        assert!(!comparison.agrees());
        assert_eq!(comparison.exit_code(), ExitCode::AllPassed);
        insta::assert_snapshot!(comparison, @r"
        test    xl             libvirt-qemu
        a       passed 12.5 s  skipped 12.5 s
        in all  1 min 10 s     1 min 10 s

        differences:
          a
            verdict: xl passed; libvirt-qemu skipped (needs migration, which it lacks)
        ");
    }

    #[test]
    fn the_worst_of_all_runs_counts() {
        let red = || document(ExitCode::Failed, vec![test("a", OutcomeKind::Failed, "it is red")]);
        let green = || document(ExitCode::AllPassed, vec![test("a", OutcomeKind::Passed, "")]);
        assert_eq!(compare(green(), red()).exit_code(), ExitCode::Failed);
        assert_eq!(
            compare(green(), document(ExitCode::Cancelled, vec![])).exit_code(),
            ExitCode::Cancelled
        );
        let unfinished =
            ReportDocument { run: RunDocument { exit_code: None, ..green().run }, ..green() };
        assert_eq!(compare(green(), unfinished).exit_code(), ExitCode::Errored);
        insta::assert_snapshot!(compare(green(), document(ExitCode::Cancelled, vec![])), @r"
        test    xl             libvirt-qemu
        a       passed 12.5 s  -
        in all  1 min 10 s     1 min 10 s

        differences:
          a
            libvirt-qemu did not come to it
        ");
    }
}
