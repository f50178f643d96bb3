//! What can be seen of a run from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use xenrt_core::report::Journal;
use xenrt_core::sequencer::{EventKind, PastRun};

use crate::program::Job;

/// A generator whose seed is printed, and can be given in `XENRT_SEED` to see the same again.
pub(crate) fn random() -> StdRng {
    let seed = match std::env::var("XENRT_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => rand::rng().random(),
    };
    eprintln!("XENRT_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// How often each test's end is on record, by its name.
pub(crate) fn ends(run_folder: &Path) -> BTreeMap<String, usize> {
    let Ok(past) = PastRun::open(run_folder) else { return BTreeMap::new() };
    let mut ends = BTreeMap::new();
    for event in Journal::open(&past.journal()).unwrap() {
        if let (Some(test), EventKind::TestFinished { .. }) = (event.test, event.what) {
            *ends.entry(past.tests[test.0 as usize].name.clone()).or_default() += 1;
        }
    }
    ends
}

/// The lines of the visits so far: `("enter", "visit-3")`.
pub(crate) fn visits(job: &Job) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(job.visits()).unwrap_or_default();
    let lines = text.lines().map(|line| line.split_once(' ').unwrap());
    lines.map(|(what, name)| (what.to_owned(), name.to_owned())).collect()
}

/// Checks a run that was resumed until its end.
pub(crate) fn every_test_ended_once(job: &Job) {
    let ends = ends(&job.run_folder());
    assert_eq!(ends.len(), job.tests, "some tests have no recorded end");
    let twice: Vec<_> = ends.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "ended more than once: {twice:?}");
    let past = PastRun::open(&job.run_folder()).unwrap();
    assert_eq!(past.damage, None);
    let summary = past.finished.expect("the run has an end").summary;
    assert_eq!((summary.total(), summary.passed), (job.tests as u32, job.tests as u32));
    let last = Journal::open(&past.journal()).unwrap().last().unwrap();
    assert!(matches!(last.what, EventKind::RunFinished { .. }), "{last:?}");
    let left: BTreeSet<_> = visits(job).into_iter().filter(|(what, _)| what == "leave").collect();
    assert_eq!(left.len(), job.tests, "some tests never came to their end");
}

/// Checks that only what belongs there is in the run folder.
pub(crate) fn nothing_is_left_behind(job: &Job) {
    let mut files: Vec<_> = std::fs::read_dir(job.run_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, [Journal::FILE, "run.lock"]);
}
