//! The sequences of the library: right, and of tests that there are.

use std::path::PathBuf;

use xenrt::sequencer::Plan;
use xenrt::testcase::Registry;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/sequences"))
}

#[test]
fn every_sequence_can_be_carried_out_and_has_no_warning() {
    let registry = Registry::global().unwrap();
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let sequence =
            xenrt::sequence::parse(&text, &name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(sequence.warnings.is_empty(), "{name}: {:?}", sequence.warnings);
        let plan =
            Plan::new(&sequence, &registry).unwrap_or_else(|error| panic!("{name}: {error}"));
        plan.carried_out().unwrap_or_else(|error| panic!("{name}: {error}"));
        seen.push(name);
    }
    let themes = ["lifecycle", "storage", "network", "migration", "host", "security"];
    for wanted in
        ["smoke", "nightly", "scalability", "soak", "performance"].into_iter().chain(themes)
    {
        assert!(seen.contains(&format!("{wanted}.seq")), "{wanted} is missing: {seen:?}");
    }
}

/// In no sequence, and why.
const BY_NAME_ONLY: &[(&str, &str)] =
    &[("stress.burnintest", "it needs a guest of Windows, which no lab has by default")];

/// Not in `every.seq`, and why.
const NOT_IN_EVERY: &[(&str, &str)] = &[
    ("stress.burnintest", "it needs a guest of Windows"),
    ("performance.lmbench", "it needs an archive that no distribution has"),
    ("selftest.", "these are about the library, not about a host"),
];

#[test]
fn the_sequence_of_every_test_has_every_test() {
    let text = std::fs::read_to_string(folder().join("every.seq")).unwrap();
    for test in Registry::global().unwrap().iter() {
        let left_out = NOT_IN_EVERY.iter().any(|(id, _)| test.id.starts_with(id));
        assert_ne!(text.contains(&format!("id=\"{}\"", test.id)), left_out, "{}", test.id);
    }
}

#[test]
fn every_test_is_in_some_sequence() {
    let texts: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let registry = Registry::global().unwrap();
    for test in registry.iter() {
        let by_name = BY_NAME_ONLY.iter().any(|(id, _)| *id == test.id);
        let used = format!("id=\"{}\"", test.id);
        let is_in_one = texts.iter().any(|text| text.contains(&used));
        assert_ne!(is_in_one, by_name, "{}", test.id);
    }
}
