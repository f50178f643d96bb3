//! The hosts of a run.

use std::sync::Arc;

use super::{EventKind, Preparation};
use crate::Error;
use crate::lab::{HostDemand, LabNote};
use crate::sequence::{HostStep, Prepare};
use crate::sequencer::resources::{Ledger, Resources, RunHost};

/// The name of the demand for the host of `<sharedhost>`.
const SHARED: &str = "SHARED_HOST";

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

    /// Whether it makes guests on a host that other runs use too.
    pub(super) fn shares_a_host(&self) -> bool {
        self.parts.iter().any(|part| !part.shared_hosts.is_empty())
    }

    /// The place of the host with this number among the hosts of the run.
    pub(super) fn position(&self, id: u32) -> usize {
        self.host_steps().position(|host| host.id == id).unwrap_or_default()
    }

    /// The places of the hosts of a part's pool, the one that it is made on first.
    pub(super) fn pool_positions(&self, part: &Prepare, pool: usize) -> Vec<usize> {
        let pool = &part.pools[pool];
        let others = pool.hosts.iter().filter(|at| Some(**at) != pool.master);
        let all = pool.master.iter().chain(others);
        all.map(|at| self.position(part.hosts[*at].id)).collect()
    }

    pub(super) async fn get_hosts(&self, resources: &mut Resources) -> Result<(), String> {
        let demands = self.host_steps().map(|step| HostDemand {
            name: step.alias.clone().unwrap_or_else(|| step.name()),
            requires: self.requires.clone(),
            shared: false,
        });
        let shared = self.shares_a_host().then(|| HostDemand {
            name: SHARED.to_owned(),
            requires: Vec::new(),
            shared: true,
        });
        let demands: Vec<_> = demands.chain(shared).collect();
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
        let names = self.host_steps().map(HostStep::names).chain([vec![SHARED.to_owned()]]);
        let hosts = names.zip(hosts.await?).map(|(mut names, host)| {
            names.push(host.name().to_owned());
            let host = host.in_scope(self.scope.clone());
            RunHost { names, host, ledger: Arc::new(Ledger::default()), boot_id: Arc::default() }
        });
        resources.hosts = hosts.collect();
        resources.own = self.hosts();
        Ok(())
    }
}
