//! The JSON document against its types and its schema.

use xenrt_core::report::{JsonReport, ReportDocument};
use xenrt_core::sequencer::{EventKind, Summary};
use xenrt_core::testcase::{Marks, Outcome, OutcomeKind};

use crate::stream::{Stream, everything, many, planned, report, seconds};

#[test]
fn the_document_has_everything_that_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut json = JsonReport::new(folder.path().join(JsonReport::FILE));
    report(&mut json, |tell| everything(tell));
    let text = std::fs::read_to_string(json.path()).unwrap();
    let document: ReportDocument = serde_json::from_str(&text).unwrap();

    assert_eq!((document.format.as_str(), document.version), ("xenrt-report", 1));
    assert!(document.run.finished);
    assert_eq!(document.run.exit_code, Some(1));
    assert_eq!((document.run.counts.passed, document.run.counts.failed), (5, 2));
    assert_eq!(document.run.preparation.len(), 2);
    let names: Vec<u32> = document.tests.iter().map(|test| test.index).collect();
    assert_eq!(names, (0..10).collect::<Vec<_>>());

    let reboots = &document.tests[2];
    assert_eq!(reboots.outcome.kind, OutcomeKind::Failed);
    assert_eq!((reboots.steps.len(), reboots.steps[6].seconds), (7, 15.0 + 30.0));
    assert_eq!(reboots.leaked, ["domain tiny on alpha"]);
    assert_eq!(reboots.findings[0].pattern, "kernel panic");
    assert_eq!(reboots.evidence.len(), 5);
    let flaky = &document.tests[6];
    let attempts: Vec<_> = flaky.attempts.iter().map(|attempt| attempt.outcome.kind).collect();
    assert_eq!(attempts, [OutcomeKind::Failed, OutcomeKind::Failed, OutcomeKind::Passed]);
    assert_eq!(flaky.values[2].attempt, 3);
    assert_eq!(document.tests[7].attempts.len(), 24);
    // What was read is what was written: nothing is lost in the types.
    let again = serde_json::to_value(&document).unwrap();
    assert_eq!(again, serde_json::from_str::<serde_json::Value>(&text).unwrap());
}

#[test]
fn the_schema_is_the_one_that_is_documented() {
    let schema = serde_json::to_string_pretty(&ReportDocument::schema()).unwrap();
    // A change here is a change for every tool that reads reports: does it need a new VERSION?
    insta::assert_snapshot!(schema);
}

#[test]
fn every_test_of_a_large_run_is_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut json = JsonReport::new(folder.path().join(JsonReport::FILE));
    report(&mut json, |tell| many(3000, tell));
    let text = std::fs::read_to_string(json.path()).unwrap();
    let document: ReportDocument = serde_json::from_str(&text).unwrap();
    for (index, test) in document.tests.iter().enumerate() {
        assert_eq!(test.name, format!("noop({index})"));
        assert_eq!(test.outcome.kind == OutcomeKind::Failed, index % 1000 == 500);
    }
}

#[test]
fn a_run_that_was_cancelled_and_resumed_counts_each_test_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut json = JsonReport::new(folder.path().join(JsonReport::FILE));
    report(&mut json, |tell| {
        let mut run = Stream::begin(vec![planned("a.one", "one"), planned("a.two", "two")], tell);
        run.start(0, 0, &[]);
        run.finish(0, Outcome::Passed, Marks::default(), 1.0);
        run.say(None, EventKind::Cancelled { reason: "Ctrl-C".into() });
        let blocked = Outcome::Blocked { by: "the run was cancelled".into() };
        run.finish(1, blocked, Marks::default(), 0.0);
        run.at(5.0);
        run.say(
            None,
            EventKind::RunFinished {
                summary: Summary::default(),
                exit_code: 130,
                seconds: seconds(5.0),
            },
        );
        run.at(60.0);
        let (version, lab, ended) = ("0.1.0".into(), "another lab".into(), 1);
        run.say(None, EventKind::RunResumed { version, lab, ended });
        run.start(1, 0, &[]);
        run.at(62.0);
        run.finish(1, Outcome::Passed, Marks::default(), 2.0);
        run.end(0);
    });
    let text = std::fs::read_to_string(json.path()).unwrap();
    let document: ReportDocument = serde_json::from_str(&text).unwrap();
    assert_eq!((document.run.counts.passed, document.run.counts.blocked), (2, 0));
    assert_eq!((document.run.exit_code, document.run.cancelled), (Some(0), None));
    assert_eq!(document.run.resumed, [60.0]);
    assert_eq!(document.tests[1].outcome.kind, OutcomeKind::Passed);
    assert_eq!((document.tests[1].start, document.tests[1].seconds), (Some(60.0), 2.0));
}
