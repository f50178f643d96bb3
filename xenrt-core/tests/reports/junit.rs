//! JUnit as another program reads it.

use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use xenrt_core::report::JUnit;

use crate::stream::{ATTACK, everything, many, report};

fn read(make: impl FnOnce(&mut dyn FnMut(&xenrt_core::sequencer::Event))) -> (String, Report) {
    let folder = tempfile::tempdir().unwrap();
    let mut junit = JUnit::new(folder.path().join(JUnit::FILE));
    report(&mut junit, make);
    let xml = std::fs::read_to_string(junit.path()).unwrap();
    let report = Report::deserialize_from_str(&xml).unwrap();
    (xml, report)
}

#[test]
fn another_reader_finds_every_verdict() {
    let (xml, report) = read(|tell| everything(tell));
    assert_eq!((report.tests, report.failures, report.errors), (10, 2, 2));
    let names: Vec<&str> = report.test_suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(names, ["network", "lifecycle", "storage"]);
    let cases: Vec<_> = report.test_suites.iter().flat_map(|suite| &suite.test_cases).collect();
    let case = |name: &str| *cases.iter().find(|case| case.name.as_str() == name).unwrap();

    let TestCaseStatus::Success { flaky_runs } = &case("flaky").status else { panic!() };
    assert_eq!(flaky_runs.len(), 2);
    let TestCaseStatus::NonSuccess { kind, message, .. } = &case("reboots").status else {
        panic!()
    };
    assert_eq!(*kind, NonSuccessKind::Failure);
    assert!(message.as_ref().unwrap().contains("it is Crashed"));
    let TestCaseStatus::Skipped { .. } = &case("pvh").status else { panic!() };
    let loud = case("reboots").system_err.as_ref().unwrap();
    assert!(loud.contains("leaked:\ndomain tiny on alpha"));
    assert!(loud.contains("found: kernel panic in guest tiny console"));
    let properties: Vec<_> = case("hfx745")
        .properties
        .iter()
        .map(|property| (property.name.as_str(), property.value.as_str()))
        .collect();
    let expected = [
        ("tc", "TC-19178"),
        ("argument", "loops=3"),
        ("argument", "guest"),
        ("dropped", "3 packets"),
    ];
    assert_eq!(properties, expected);
    // A text that looks like XML comes back as it was.
    let attacked = case(ATTACK);
    assert!(attacked.system_out.as_ref().unwrap().contains(ATTACK));
    assert!(!xml.contains("<script"));
}

#[test]
fn the_sums_of_a_large_run_are_right() {
    let (_, report) = read(|tell| many(2000, tell));
    assert_eq!((report.tests, report.failures, report.errors), (2000, 2, 0));
    let tests: usize = report.test_suites.iter().map(|suite| suite.tests).sum();
    assert_eq!(tests, 2000);
}
