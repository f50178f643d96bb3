//! What is to be known about a run besides its tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{RunOrigin, Selection};
use crate::lab::LabProvider;
use crate::report::Reporter;

/// Whether the hosts and the guests of the preparation are left running after the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    /// How long preparation and run of a test may take together, where the test does not say.
    pub test_timeout: Duration,
    /// How long evidence, checks and clean-up of a test may take *each*, after and besides its
    /// timeout. Each undo has its own deadline, [`Undo::DEADLINE`](crate::model::Undo::DEADLINE).
    pub cleanup_reserve: Duration,
    /// After its time is over or the run is cancelled, a test is interrupted at its next `await`;
    /// one that does not come to it for this long is given up. 10 s unless set.
    pub grace: Duration,
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
    /// Who else is told about everything that happens.
    pub reporters: Vec<Box<dyn Reporter>>,
}

impl RunOptions {
    /// A run with a journal in `run_folder`, all tests, an hour for each of them, and no lab.
    pub fn new(run_folder: impl Into<PathBuf>) -> Self {
        Self {
            run_folder: run_folder.into(),
            provider: None,
            test_timeout: Duration::from_secs(3600),
            cleanup_reserve: Duration::from_secs(300),
            grace: Duration::from_secs(10),
            selection: Selection::default(),
            dry_run: false,
            keep: Keep::Never,
            allow_leaks: false,
            journal: true,
            origin: RunOrigin::default(),
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
            .field("test_timeout", &self.test_timeout)
            .field("selection", &self.selection)
            .field("keep", &self.keep)
            .field("reporters", &self.reporters.len())
            .finish_non_exhaustive()
    }
}
