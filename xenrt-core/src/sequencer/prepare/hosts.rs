//! The hosts of a run.

use std::sync::Arc;

use super::{EventKind, Preparation};
use crate::Error;
use crate::lab::{HostDemand, LabNote};
use crate::sequence::HostStep;
use crate::sequencer::resources::{Ledger, RunHost};

impl Preparation {
    /// The hosts of the sequence: those of `<prepare>`, then those that only `<preprepare>` has.
    pub(super) fn host_steps(&self) -> impl Iterator<Item = &HostStep> {
        let [before, prepare] = &self.parts;
        let only_before = before
            .hosts
            .iter()
            .filter(|host| prepare.hosts.iter().all(|other| other.id != host.id));
        prepare.hosts.iter().chain(only_before)
    }

    /// The place of the host with this number among the hosts of the run.
    pub(super) fn position(&self, id: u32) -> usize {
        self.host_steps().position(|host| host.id == id).unwrap_or_default()
    }

    pub(super) async fn get_hosts(&self) -> Result<Vec<RunHost>, String> {
        let demands = self.host_steps().map(|step| HostDemand {
            name: step.alias.clone().unwrap_or_else(|| step.name()),
            requires: self.requires.clone(),
        });
        let demands: Vec<_> = demands.collect();
        let progress = |note: LabNote| {
            let LabNote { message, fraction } = note;
            let step = "hosts".to_owned();
            self.events.send(None, EventKind::PrepareProgress { step, message, fraction });
        };
        let hosts = self.step("hosts", None, async {
            let provider = self.provider.as_ref().ok_or_else(|| {
                Error::lab(format!(
                    "the sequence needs {} host(s) and the run has no lab to get them from",
                    demands.len()
                ))
            })?;
            let hosts = provider.acquire(&demands, &progress).await?;
            if hosts.len() != demands.len() {
                return Err(Error::lab(format!(
                    "{} gave {} hosts where {} were asked for",
                    provider.description(),
                    hosts.len(),
                    demands.len()
                )));
            }
            Ok(hosts)
        });
        let hosts = self.host_steps().zip(hosts.await?).map(|(step, host)| {
            let mut names = step.names();
            names.push(host.name().to_owned());
            let host = host.in_scope(self.scope.clone());
            RunHost { names, host, ledger: Arc::new(Ledger::default()), boot_id: Arc::default() }
        });
        Ok(hosts.collect())
    }
}
