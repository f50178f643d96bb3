//! What became of a run, from its journal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::RunOrigin;
use super::clean::Leftovers;
use crate::report::{Journal, JournalDamage};
use crate::sequencer::{Event, EventKind, PlannedTest, RunId, Summary, TestIndex};
use crate::testcase::{Marks, Outcome};
use crate::{Error, Result};

/// A run that is not at work any more, as its journal tells it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PastRun {
    /// Its folder.
    pub folder: PathBuf,
    /// Its identity.
    pub run: RunId,
    /// When it began.
    pub began: Timestamp,
    /// The version of this library that began it.
    pub version: String,
    /// The sequence file, as reports call it.
    pub sequence: String,
    /// What gave it hosts.
    pub lab: String,
    /// What it was made from.
    pub origin: RunOrigin,
    /// Its tests, by number.
    pub tests: Arc<[Arc<PlannedTest>]>,
    /// The tests that ended, and how.
    pub ended: BTreeMap<TestIndex, (Outcome, Marks)>,
    /// The tests that began and did not end.
    pub interrupted: BTreeSet<TestIndex>,
    /// How it ended, if it did.
    pub finished: Option<Finished>,
    /// Where its journal is damaged.
    pub damage: Option<JournalDamage>,
    /// How many events of it are unknown to this version.
    pub unknown: u64,
    pub(super) leftovers: Leftovers,
    pub(super) next_event: u64,
    pub(super) good_length: u64,
    pub(super) active: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// How many tests ended how.
    pub summary: Summary,
    /// The exit code that stands for the run.
    pub exit_code: u8,
}

impl PastRun {
    /// Reads the journal in `folder`, which may be damaged.
    ///
    /// # Errors
    /// [`Error::Io`] when there is none; [`Error::Invalid`] when not even its first event can be
    /// read.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(Journal::FILE);
        let mut reader = Journal::open(&path)?;
        let first = reader.next();
        let Some((first, mut past)) = first.and_then(|first| Self::begun(folder, first)) else {
            let why = match reader.damage() {
                Some(damage) => damage.to_string(),
                None => "it does not begin with the beginning of a run".to_owned(),
            };
            let what = format!("the journal {}", path.display());
            return Err(Error::invalid(what, format!("{why}; the run cannot be told from it")));
        };
        let mut part = (first, first);
        for event in reader.by_ref() {
            if matches!(event.what, EventKind::RunResumed { .. }) {
                past.end_part(part);
                part.0 = event.at;
            }
            part.1 = event.at;
            past.take(event);
        }
        past.end_part(part);
        past.unknown = reader.unknown();
        past.next_event = reader.next_event();
        past.good_length = reader.good_length();
        past.damage = reader.into_damage();
        Ok(past)
    }

    fn begun(folder: &Path, first: Event) -> Option<(Timestamp, Self)> {
        let EventKind::RunStarted { run, version, sequence, lab, tests, origin } = first.what
        else {
            return None;
        };
        let past = Self {
            folder: folder.to_owned(),
            run,
            began: first.at,
            version,
            sequence,
            lab,
            origin: *origin,
            tests,
            ended: BTreeMap::new(),
            interrupted: BTreeSet::new(),
            finished: None,
            damage: None,
            unknown: 0,
            leftovers: Leftovers::default(),
            next_event: 0,
            good_length: 0,
            active: Duration::ZERO,
        };
        Some((first.at, past))
    }

    fn take(&mut self, event: Event) {
        match (event.test, event.what) {
            (Some(test), EventKind::TestStarted { .. }) => {
                self.interrupted.insert(test);
            }
            (Some(test), EventKind::TestFinished { outcome, marks, .. }) => {
                self.interrupted.remove(&test);
                self.ended.insert(test, (outcome, marks));
            }
            (None, EventKind::RunResumed { lab, .. }) => {
                self.lab = lab;
                self.finished = None;
                // Those that were at work are run again.
                self.interrupted.clear();
            }
            (None, EventKind::RunFinished { summary, exit_code, .. }) => {
                self.finished = Some(Finished { summary, exit_code });
            }
            (_, what) => self.leftovers.take(what),
        }
    }

    fn end_part(&mut self, (from, until): (Timestamp, Timestamp)) {
        // The clock may have been set back meanwhile.
        self.active += Duration::try_from(until.duration_since(from)).unwrap_or_default();
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.folder.join(Journal::FILE)
    }

    /// The copy of the sequence file that the run kept in its folder, where there is one.
    pub fn sequence_copy(&self) -> Option<PathBuf> {
        Some(self.folder.join(RunOrigin::SEQUENCE_COPY)).filter(|copy| copy.is_file())
    }
}
