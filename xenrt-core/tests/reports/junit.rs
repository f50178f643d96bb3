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
    let said = case("hfx745").system_out.as_ref().unwrap().to_string();
    let properties: Vec<_> = said.lines().filter(|line| line.starts_with("[[")).collect();
    let expected = [
        "[[PROPERTY|tc=TC-19178]]",
        "[[PROPERTY|argument=loops=3]]",
        "[[PROPERTY|argument=guest]]",
        "[[PROPERTY|dropped=3 packets]]",
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

/// Elements with the attributes and children that junit-10.xsd of Jenkins' xUnit plugin knows; what
/// it does not know, the plugin refuses.
const SCHEMA: &[(&str, &[&str], &[&str])] = &[
    ("testsuites", &["name", "time", "tests", "failures", "errors"], &["testsuite"]),
    (
        "testsuite",
        &["name", "tests", "failures", "errors", "time", "skipped", "timestamp"],
        &["properties", "testcase", "system-out", "system-err"],
    ),
    ("properties", &[], &["property"]),
    ("property", &["name", "value"], &[]),
    (
        "testcase",
        &["name", "time", "classname", "group"],
        &[
            "skipped",
            "error",
            "failure",
            "rerunFailure",
            "rerunError",
            "flakyFailure",
            "flakyError",
            "system-out",
            "system-err",
        ],
    ),
    ("skipped", &["type", "message"], &[]),
    ("error", &["type", "message"], &[]),
    ("failure", &["type", "message"], &[]),
    ("rerunFailure", &["type", "message"], &[]),
    ("rerunError", &["type", "message"], &[]),
    ("flakyFailure", &["type", "message"], &[]),
    ("flakyError", &["type", "message"], &[]),
    ("system-out", &[], &[]),
    ("system-err", &[], &[]),
];

#[test]
fn nothing_is_written_that_the_schema_of_jenkins_does_not_know() {
    use quick_xml::events::Event;
    let (xml, _) = read(|tell| everything(tell));
    // For whoever looks into a failure, or holds it against the schema itself.
    println!("{xml}");
    let mut reader = quick_xml::Reader::from_str(&xml);
    let mut open: Vec<String> = Vec::new();
    loop {
        let event = reader.read_event().unwrap();
        match event {
            Event::Start(ref tag) | Event::Empty(ref tag) => {
                let name = tag.name().as_ref().to_owned();
                let known = |name: &str| *SCHEMA.iter().find(|known| known.0 == name).unwrap();
                match open.last() {
                    Some(parent) => {
                        assert!(known(parent).2.contains(&&*name), "{name} in {parent}")
                    }
                    None => assert_eq!(name, "testsuites"),
                }
                for attribute in tag.attributes() {
                    let attribute = attribute.unwrap();
                    let (key, value) = (attribute.key.as_ref(), &*attribute.value);
                    assert!(known(&name).1.contains(&key), "{key} of {name}");
                    if key == "time" {
                        let (whole, part) = value.split_once('.').unwrap();
                        assert!(whole.parse::<u32>().is_ok() && part.len() <= 3, "{value}");
                    }
                }
                if matches!(event, Event::Start(_)) {
                    open.push(name);
                }
            }
            Event::End(_) => drop(open.pop()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, [""; 0]);
}
