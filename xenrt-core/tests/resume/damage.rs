//! Journals that were cut or damaged.

use std::collections::BTreeSet;
use std::path::Path;

use rand::Rng as _;
use xenrt_core::report::Journal;
use xenrt_core::sequencer::PastRun;

use crate::kill::wait;
use crate::observed::{ends, every_test_ended_once, random, visits};
use crate::program::Job;

const TESTS: usize = 20;
const TIMES: usize = 12;

/// A run that came to its end, and its journal.
fn finished(folder: &Path) -> (Job, Vec<u8>) {
    let job = Job { folder: folder.to_owned(), tests: TESTS, workers: 2, micros: 0 };
    let status = wait(&mut job.command("new").spawn().unwrap());
    assert!(status.success(), "{status}");
    let journal = std::fs::read(job.run_folder().join(Journal::FILE)).unwrap();
    (job, journal)
}

/// Goes on with what is left of the journal, and checks that exactly what is not on record was run.
fn go_on(job: &Job, what: &str) {
    let journal = job.run_folder().join(Journal::FILE);
    let before: BTreeSet<_> = ends(&job.run_folder()).into_keys().collect();
    let first = visits(job).len();
    if PastRun::open(&job.run_folder()).is_ok_and(|past| past.finished.is_some()) {
        // Only what stands behind the last event is gone.
        return;
    }
    let began = PastRun::open(&job.run_folder()).is_ok();
    let output = job.command("resume").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !began {
        assert_eq!(output.status.code(), Some(101), "{what}: {said}");
        assert!(said.contains("the run cannot be told from it"), "{what}: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{what}: {said}");
    let entered = visits(job).into_iter().skip(first).filter(|(what, _)| what == "enter");
    let entered: Vec<_> = entered.map(|(_, name)| name).collect();
    let again: Vec<_> = entered.iter().filter(|name| before.contains(*name)).collect();
    assert!(again.is_empty(), "{what}: run again: {again:?}");
    assert_eq!(entered.len(), TESTS - before.len(), "{what}");
    assert!(Journal::read(&journal).unwrap().damage.is_none(), "{what}");
    every_test_ended_once(job);
}

pub(crate) fn cut_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (job, journal) = finished(folder.path());
    let mut random = random();
    let ends = [0, 1, journal.len() - 1, journal.len() - 2];
    let cuts = (0..TIMES).map(|_| random.random_range(0..journal.len())).chain(ends);
    for cut in cuts {
        std::fs::write(job.run_folder().join(Journal::FILE), &journal[..cut]).unwrap();
        go_on(&job, &format!("cut at byte {cut} of {}", journal.len()));
    }
}

pub(crate) fn damaged_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (job, journal) = finished(folder.path());
    let mut random = random();
    for _ in 0..TIMES {
        let mut bytes = journal.clone();
        let at = random.random_range(0..bytes.len());
        // No JSON has a bare control character, so this is damage wherever it is.
        bytes[at] = 1;
        let path = job.run_folder().join(Journal::FILE);
        std::fs::write(&path, &bytes).unwrap();
        let content = Journal::read(&path).unwrap();
        let damage = content.damage.expect("the damage is seen");
        let good = usize::try_from(damage.offset).unwrap();
        assert!(good <= at && !bytes[good..at].contains(&b'\n'), "{damage} for byte {at}");
        go_on(&job, &format!("damaged at byte {at} of {}", journal.len()));
    }
}
