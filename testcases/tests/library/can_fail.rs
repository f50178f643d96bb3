//! A test that cannot fail says nothing. Each passes on sound hosts, and finds the fault that is planted
//! for it.

use xenrt::testcase::{OutcomeKind, Registry};

use crate::documentation::documented;
use crate::rows::{ELSEWHERE, rows};
use crate::run::{on_all_processors, one, one_in};

fn library() -> Vec<&'static str> {
    let elsewhere = |id: &str| ELSEWHERE.iter().any(|(prefix, _)| id.starts_with(prefix));
    let registry = Registry::global().unwrap();
    registry.iter().map(|test| test.id).filter(|id| !elsewhere(id)).collect()
}

#[test]
fn every_test_of_the_library_has_a_fault_that_it_must_find() {
    let rows: Vec<&str> = rows().iter().map(|row| row.test).collect();
    assert_eq!(rows, library());
}

/// With every argument given as its documentation says: one that is not read is not an argument.
#[test]
fn every_test_passes_on_sound_hosts() {
    let tests = library();
    let results = on_all_processors(&tests, |test| {
        let args = documented(test)
            .into_iter()
            .filter_map(|argument| Some((argument.name, argument.default?)));
        one(test, &args.collect::<Vec<_>>(), false, None)
    });
    let bad = tests.iter().zip(&results).filter(|(_, ran)| {
        ran.kind != OutcomeKind::Passed
            || !(ran.leaked.is_empty() && ran.warnings.is_empty() && ran.unknown.is_empty())
    });
    let bad: Vec<_> = bad.collect();
    assert!(bad.is_empty(), "{} of {}: {bad:#?}", bad.len(), tests.len());
}

/// A guest of the preparation is left as it was found.
#[test]
fn every_test_that_takes_a_guest_passes_on_a_prepared_one_and_leaves_it_as_it_was() {
    let takes_one = |test: &&str| documented(test).iter().any(|argument| argument.name == "guest");
    let tests: Vec<&str> = library().into_iter().filter(takes_one).collect();
    let results = on_all_processors(&tests, |test| {
        one(test, &[("guest".to_owned(), "vm1".to_owned())], true, None)
    });
    let bad = tests.iter().zip(&results).filter(|(_, ran)| {
        ran.kind != OutcomeKind::Passed || !(ran.leaked.is_empty() && ran.warnings.is_empty())
    });
    let bad: Vec<_> = bad.collect();
    assert!(bad.is_empty(), "{} of {}: {bad:#?}", bad.len(), tests.len());
    assert!(tests.len() > 15, "{tests:?}");
}

#[test]
fn every_test_finds_the_fault_that_is_planted_for_it() {
    let rows = rows();
    let results = on_all_processors(&rows, |row| {
        let args = row.args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        one(row.test, &args.collect::<Vec<_>>(), false, Some(row.plant))
    });
    let mut blind = Vec::new();
    for (row, ran) in rows.iter().zip(&results) {
        let first = ran.message.lines().next().unwrap_or_default();
        println!("{:<36} {:<8} {}: {first}", row.test, ran.kind.to_string(), row.plant);
        // A fault of the product is the product's; whoever errs here would send people to the lab.
        if ran.kind != OutcomeKind::Failed || !ran.message.contains(row.says) {
            blind.push(format!("{}: {}: {} ({:?})", row.test, ran.kind, ran.message, row.says));
        }
    }
    assert!(blind.is_empty(), "{} of {}:\n{}", blind.len(), rows.len(), blind.join("\n"));
}

/// The baselines that the tests of performance are held against above.
#[test]
#[ignore = "writes tests/data/simulated-*.json anew; for a change of how verbs do what they do"]
fn new_baselines_are_written() {
    fn find(folder: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| {
            if path.is_dir() { find(&path, name) } else { path.ends_with(name).then_some(path) }
        })
    }
    for (test, name) in
        [("performance.lifecycle", "times.json"), ("performance.throughput", "rates.json")]
    {
        let folder = tempfile::tempdir().unwrap();
        let runs = [("runs".to_owned(), "12".to_owned())];
        let ran = one_in(folder.path(), test, &runs, false, None);
        assert_eq!(ran.kind, OutcomeKind::Passed, "{test}: {}", ran.message);
        let kept = find(folder.path(), name).expect("the test keeps what it measured");
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
        std::fs::copy(kept, format!("{data}/simulated-{name}")).unwrap();
    }
}
