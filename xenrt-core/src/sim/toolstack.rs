//! The toolstack `sim`, for lab files.

use std::sync::Arc;

use async_trait::async_trait;

use super::TOOLSTACK;
use super::lab::SimLab;
use crate::Result;
use crate::lab::HostEntry;
use crate::model::{Host, Toolstack};

/// The simulated toolstack. The hosts that one of them connects to belong to one lab, so that
/// guests move between them; connecting twice to a name gives the same host.
#[derive(Debug, Clone)]
pub struct SimToolstack {
    lab: SimLab,
}

impl SimToolstack {
    /// A toolstack with a lab of its own, in which nothing takes time.
    pub fn new() -> Self {
        Self::of(SimLab::builder().hosts(0).build())
    }

    /// A toolstack whose hosts belong to `lab`: with its seed, timing and faults.
    pub fn of(lab: SimLab) -> Self {
        Self { lab }
    }

    /// The lab that its hosts belong to.
    pub fn lab(&self) -> &SimLab {
        &self.lab
    }
}

impl Default for SimToolstack {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Toolstack for SimToolstack {
    fn name(&self) -> &'static str {
        TOOLSTACK
    }

    async fn connect(&self, entry: &HostEntry) -> Result<Arc<dyn Host>> {
        let host = self.lab.connect(entry);
        host.info().await?;
        Ok(host)
    }
}
