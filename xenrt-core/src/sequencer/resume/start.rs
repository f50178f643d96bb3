//! Going on with a run.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use super::migrate::{differences, migrate};
use super::{Finished, PastRun};
use crate::Error;
use crate::report::{FolderLock, Journal};
use crate::sequencer::dispatch::Earlier;
use crate::sequencer::run::{Start, go};
use crate::sequencer::{CancelHandle, EventKind, Plan, RunOptions, RunReport};

/// A run that nobody else can go on with: its folder is locked by this process, by a lock that ends
/// with it.
#[derive(Debug)]
pub struct ClaimedRun {
    past: PastRun,
    lock: FolderLock,
}

/// What to do when the tests are not those of the run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfChanged {
    /// Nothing is run, and the difference is told.
    #[default]
    Refuse,
    /// The run goes on with the tests as they are now: what ended counts where it is still there,
    /// the rest is run. The journal is rewritten for them, and the old one is kept beside it.
    GoOn,
}

/// One thing that differs between a run and the plan that is to go on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The run has a test that the plan has not.
    Gone(String),
    /// The plan has a test that the run has not.
    New(String),
    /// The tests are the same, in another order.
    Order,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(test) => write!(f, "- {test}"),
            Self::New(test) => write!(f, "+ {test}"),
            Self::Order => f.write_str("the tests are the same, in another order"),
        }
    }
}

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// It came to its end.
    #[error(
        "the run {} is finished ({} tests ended, exit code {}); `rerun --failed` runs what did not \
         go well again", .0.folder.display(), .1.summary.total(), .1.exit_code
    )]
    Finished(Box<PastRun>, Finished),
    /// Its tests are not those of the plan.
    #[error("the tests of the run and those of the sequence differ:\n{}", lines(.0))]
    Changed(Vec<Difference>),
    /// Its journal cannot be read or written, or another process is at work in its folder.
    #[error(transparent)]
    Io(#[from] Error),
}

fn lines(differences: &[Difference]) -> String {
    const MOST_SHOWN: usize = 20;
    let shown = differences.iter().take(MOST_SHOWN).map(|difference| format!("  {difference}"));
    let mut lines: Vec<_> = shown.collect();
    if differences.len() > MOST_SHOWN {
        lines.push(format!("  ... ({} in all)", differences.len()));
    }
    lines.join("\n")
}

impl ClaimedRun {
    /// Locks the folder of a run that was interrupted, and reads its journal.
    ///
    /// # Errors
    /// [`ResumeError::Io`] while another process is at work in it, and those of
    /// [`PastRun::open`]; [`ResumeError::Finished`] where there is nothing to go on with.
    pub fn claim(folder: &Path) -> Result<Self, ResumeError> {
        // The lock would make the folder of a run that is not there.
        PastRun::open(folder)?;
        let lock = FolderLock::take(folder).map_err(|problem| problem.into_error(folder))?;
        // What was read before the lock may have grown.
        let past = PastRun::open(folder)?;
        match past.finished {
            Some(finished) => Err(ResumeError::Finished(Box::new(past), finished)),
            None => Ok(Self { past, lock }),
        }
    }

    /// What is known of it.
    pub fn past(&self) -> &PastRun {
        &self.past
    }

    /// What differs between the tests of the run and those that the plan of its sequence gives now.
    pub fn differences(&self, plan: &Plan) -> Vec<Difference> {
        differences(&self.past, &of_the_run(&self.past, plan))
    }
}

/// Goes on with a run to its end, as [`run`](crate::sequencer::run()) would have: the preparation is
/// done again, tests that had ended are not run and count as they ended, all others are run. What
/// the run left on hosts that outlive it is removed first. Reporters are told everything from the
/// beginning of the run.
///
/// `plan` must be that of the sequence of the run, with all its tests; selection, seed, time limit,
/// time of a test, retries, what is kept, origin and run folder of `options` are those of the run,
/// whatever they say. The time limit begins anew: nobody knows how long the run was interrupted.
///
/// # Errors
/// [`ResumeError::Changed`] where the tests are not those of the run and `if_changed` does not allow
/// it; [`ResumeError::Io`] when the journal cannot be written.
pub async fn resume(
    plan: Plan,
    claimed: ClaimedRun,
    if_changed: IfChanged,
    mut options: RunOptions,
    cancel: CancelHandle,
) -> Result<RunReport, ResumeError> {
    let ClaimedRun { mut past, lock } = claimed;
    options.selection = past.origin.selection.clone();
    options.seed = past.origin.seed;
    if let Some(limits) = past.origin.limits {
        limits.apply(&mut options);
    }
    let plan = of_the_run(&past, &plan);
    let differences = differences(&past, &plan);
    let mut said = Vec::new();
    if !differences.is_empty() {
        if if_changed == IfChanged::Refuse {
            return Err(ResumeError::Changed(differences));
        }
        said.push(format!(
            "the run goes on with a sequence that was changed meanwhile:\n{}",
            lines(&differences)
        ));
    }
    if let Some(damage) = &past.damage {
        said.push(format!("{damage}; the run goes on from there"));
        if !damage.torn {
            let kept = keep_damaged(&past)?;
            said.push(format!("what could not be read is kept in {kept}"));
        }
    }
    if past.unknown > 0 {
        said.push(format!("{} events of a newer version are left out", past.unknown));
    }
    if !differences.is_empty() {
        past = migrate(past, &plan)?;
    }
    options.run_folder.clone_from(&past.folder);
    options.origin = past.origin.clone();
    let journal = Journal::append(past.journal(), past.good_length, lock)?;
    let first = EventKind::RunResumed {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lab: options.lab_description(),
        ended: u32::try_from(past.ended.len()).unwrap_or(u32::MAX),
    };
    let start = Start {
        id: past.run,
        first,
        said,
        journal: Some(journal),
        leftovers: past.leftovers.clone(),
        earlier: Some(Earlier {
            journal: past.journal(),
            next_event: past.next_event,
            results: past.ended,
            active: past.active,
        }),
    };
    Ok(go(plan, options, cancel, start).await)
}

/// The tests that the run would have, were it begun now.
fn of_the_run(past: &PastRun, plan: &Plan) -> Plan {
    if past.origin.rerun_of.is_none() {
        return plan.select(&past.origin.selection);
    }
    // It was a part of a sequence that no selection tells.
    let own: HashSet<_> = past.tests.iter().map(|test| (&test.group, &test.name)).collect();
    plan.only(|test| own.contains(&(&test.group, &test.name)))
}

/// Copies what stands behind the damage of a journal to a file beside it.
fn keep_damaged(past: &PastRun) -> Result<String, Error> {
    use std::io::{Seek as _, SeekFrom};
    let kept = past.folder.join(format!("{}.damaged-{}", Journal::FILE, past.good_length));
    let copy = || {
        let mut from = std::fs::File::open(past.journal())?;
        from.seek(SeekFrom::Start(past.good_length))?;
        std::io::copy(&mut from, &mut std::fs::File::create(&kept)?)
    };
    copy().map_err(|source| Error::Io {
        action: "cannot keep what is damaged in",
        path: kept.display().to_string(),
        source,
    })?;
    Ok(kept.display().to_string())
}
