//! Who gives hosts to a run.

use std::sync::Arc;

use async_trait::async_trait;

use crate::Result;
use crate::model::{Ability, Host};

/// One host that a run needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostDemand {
    /// The name by which the run's tests know it: `0`, `RESOURCE_HOST_0`, an alias.
    pub name: String,
    /// Abilities that it must have. Where a lab can choose, it chooses a host that has them; where
    /// it cannot, tests that need them are skipped.
    pub requires: Vec<Ability>,
    /// Whether it may be one that other runs use at the same time.
    pub shared: bool,
}

/// Something worth telling while hosts are made ready: `building images: dom0 (23 s)`.
#[derive(Debug, Clone, PartialEq)]
pub struct LabNote {
    /// What is being done, for people.
    pub message: String,
    /// How much of it is done, from 0 to 1, where that is known.
    pub fraction: Option<f32>,
}

/// Gives connected hosts to a run and takes them back: the virtual lab, a lab file, a reservation
/// system.
#[async_trait]
pub trait LabProvider: Send + Sync + std::fmt::Debug {
    /// What kind of lab this is, for people: `the virtual lab`, `lab file lab.toml`.
    fn description(&self) -> String;

    /// How many hosts it can give to one run, where that is known: what an `<allhosts>` without an
    /// end means. Those that several runs use do not count.
    fn machines(&self) -> Option<usize> {
        None
    }

    /// Hosts for all demands, in their order. `note` is called with progress, from any task.
    ///
    /// # Errors
    /// [`Error::Lab`](crate::Error::Lab) when they cannot be had, with the remedy; nothing is left
    /// running then.
    async fn acquire(
        &self,
        demands: &[HostDemand],
        note: &(dyn Fn(LabNote) + Send + Sync),
    ) -> Result<Vec<Arc<dyn Host>>>;

    /// Collects what the lab itself knows about its hosts (serial consoles) into `folder`.
    ///
    /// # Errors
    /// When it cannot be written.
    async fn collect_evidence(&self, folder: &std::path::Path) -> Result<()>;

    /// Takes all hosts back. Called once, also after errors.
    ///
    /// # Errors
    /// When something could not be stopped; it is named.
    async fn release(&self) -> Result<()>;

    /// Whether the hosts that it gives are still there when the program has died: what a killed
    /// run made on them is then removed when it is [resumed](crate::sequencer::resume()). Hosts of
    /// a lab file are.
    fn hosts_outlive_the_run(&self) -> bool {
        true
    }

    /// Leaves the hosts running after the run, and says how to get in and how to end them.
    ///
    /// # Errors
    /// When it cannot be arranged.
    async fn keep(&self) -> Result<String>;
}
