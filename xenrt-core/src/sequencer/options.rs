//! What is to be known about a run besides its tests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{RunOrigin, Selection};
use crate::lab::LabProvider;
use crate::report::Reporter;

/// Whether the hosts and the guests of the preparation are left running after the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Everything is undone and given back.
    #[default]
    Never,
    /// They are left when a test Failed or Errored or the preparation failed.
    OnFailure,
    /// They are left.
    Always,
}

/// How a plan is to be run.
///
/// ```
/// use xenrt_core::sequencer::RunOptions;
/// let mut options = RunOptions::new("results");
/// options.selection.run.push("network".to_owned());
/// ```
#[non_exhaustive]
pub struct RunOptions {
    /// The folder for the journal and the evidence. It is made when something is written into it.
    pub run_folder: PathBuf,
    /// What gives the run hosts; a sequence whose `<prepare>` names none needs none.
    pub provider: Option<Arc<dyn LabProvider>>,
    /// How long the run may take in all, if there is a limit. When only the
    /// [`finally_reserve`](Self::finally_reserve) of it is left (at most half of the limit), the run
    /// is cancelled with [`CancelReason::TimeIsOver`](super::CancelReason::TimeIsOver): tests at work
    /// are interrupted, the others are Blocked, `finally` blocks run, and everything is undone.
    pub time_limit: Option<Duration>,
    /// How long preparation and run of a test may take together, where the test does not say.
    pub test_timeout: Duration,
    /// How long evidence, checks and clean-up of a test may take *each*, after and besides its
    /// timeout. Each undo has its own deadline, [`Undo::DEADLINE`](crate::model::Undo::DEADLINE).
    pub cleanup_reserve: Duration,
    /// How long the `finally` blocks of a block may take after its time is over or the run is
    /// cancelled. Before that, nothing but the timeouts of their tests limits them.
    pub finally_reserve: Duration,
    /// After its time is over or the run is cancelled, a test is interrupted at its next `await`;
    /// one that does not come to it for this long is given up. 10 s unless set.
    pub grace: Duration,
    /// How many more attempts a test that Failed or Errored gets, where its step does not say.
    pub retries: u32,
    /// Shuffles the steps of all serial blocks but those with a `seed` of their own. The order of
    /// each block is drawn from this and from its line; the journal says so, and the same seed gives
    /// the same order again.
    pub seed: Option<u64>,
    /// How long tests took before, by their [labels](super::PlannedTest::label): the steps of
    /// parallel blocks begin the longest first, so that all end early. Tests that are not here are
    /// taken for as long as the mean of the others.
    pub durations: HashMap<String, Duration>,
    /// Which tests of the plan are run.
    pub selection: Selection,
    /// Prints the plan and touches nothing.
    pub dry_run: bool,
    /// What is left running afterwards.
    pub keep: Keep,
    /// Whether a test that passed and left something behind counts as good for the exit code.
    pub allow_leaks: bool,
    /// Whether `journal.jsonl` is written into the folder of the run.
    pub journal: bool,
    /// What the plan and the lab were made from, for the journal: what it takes to
    /// [resume](super::resume()) the run in another process.
    pub origin: RunOrigin,
    /// Whether it is written down after each test what its guests look like, also where they are
    /// as they should be: to be [held against](crate::report::Comparison) another run.
    pub observe: bool,
    /// Who else is told about everything that happens.
    pub reporters: Vec<Box<dyn Reporter>>,
}

impl RunOptions {
    /// A run with a journal in `run_folder`, all tests, an hour for each of them, and no lab.
    pub fn new(run_folder: impl Into<PathBuf>) -> Self {
        Self {
            run_folder: run_folder.into(),
            provider: None,
            time_limit: None,
            test_timeout: Duration::from_secs(3600),
            cleanup_reserve: Duration::from_secs(300),
            finally_reserve: Duration::from_secs(600),
            grace: Duration::from_secs(10),
            retries: 0,
            seed: None,
            durations: HashMap::new(),
            selection: Selection::default(),
            dry_run: false,
            keep: Keep::Never,
            allow_leaks: false,
            journal: true,
            origin: RunOrigin::default(),
            observe: false,
            reporters: Vec::new(),
        }
    }

    /// Sets what gives the run hosts.
    #[must_use]
    pub fn provider(mut self, provider: Arc<dyn LabProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// What gives the run hosts, for people.
    pub(super) fn lab_description(&self) -> String {
        self.provider.as_ref().map_or_else(|| "none".to_owned(), |lab| lab.description())
    }

    /// Adds a reporter.
    #[must_use]
    pub fn reporter(mut self, reporter: impl Reporter + 'static) -> Self {
        self.reporters.push(Box::new(reporter));
        self
    }
}

impl std::fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunOptions")
            .field("run_folder", &self.run_folder)
            .field("provider", &self.provider)
            .field("time_limit", &self.time_limit)
            .field("test_timeout", &self.test_timeout)
            .field("retries", &self.retries)
            .field("selection", &self.selection)
            .field("keep", &self.keep)
            .field("reporters", &self.reporters.len())
            .finish_non_exhaustive()
    }
}
