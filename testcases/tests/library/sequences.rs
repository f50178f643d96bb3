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
    for wanted in ["smoke", "nightly", "scalability", "soak", "performance", "lifecycle", "storage"]
    {
        assert!(seen.contains(&format!("{wanted}.seq")), "{wanted} is missing: {seen:?}");
    }
}
