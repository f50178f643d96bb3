//! What a sequence needs before its first test: hosts, networks, storage, pools, guests.
//!
//! All hosts are got at once, and whether their toolstacks can do what the file asks of them is
//! looked at before anything is built. Then what `<preprepare>` asks for is made, and after it what
//! `<prepare>` does: first the networks of all hosts, then the storage, the pools, the templates and
//! the guests, side by side as far as `PREPARE_WORKERS` of the sequence allows
//! ([`Preparation::WORKERS`] where it does not say). Each is a step with its own events and
//! deadline; all steps of one kind are tried even when one fails, so that all problems are told, and
//! the first in the order of the file is the reason why tests are Blocked.

mod guests;
mod hosts;
mod needs;
mod networks;
mod pools;
mod storage;
mod templates;

pub(super) use guests::can_carry_out;
pub(super) use storage::can_be_made;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::body::current_test;
use super::finish::{self, inventory, with_causes};
use super::plan::Plan;
use super::recover;
use super::resources::Resources;
use super::resume::{Leftovers, take_stock};
use super::stop::Stop;
use super::{EventKind, Events, RunId};
use crate::Error;
use crate::lab::LabProvider;
use crate::model::{Ability, CreatedObject, ObjectKind, Scope};
use crate::remote::{CommandRecord, Observer};
use crate::seconds::micros;
use crate::sequence::Prepare;
use networks::Names;
use templates::Base;

/// What makes what a sequence prepares, and undoes it.
#[derive(Debug)]
pub(super) struct Preparation {
    file: String,
    /// What the names of guests end with on a host that other runs use too.
    ending: String,
    parts: [Prepare; 2],
    /// All that tests of the run need of hosts.
    requires: Vec<Ability>,
    workers: usize,
    /// What cannot be carried out, in words.
    refused: Option<String>,
    provider: Option<Arc<dyn LabProvider>>,
    /// Of this run, before it was interrupted.
    leftovers: Leftovers,
    scope: Scope,
    events: Events,
}

/// What the steps of a preparation leave for those after them.
#[derive(Debug, Default)]
struct Makings {
    /// The networks of each host by the names of the file.
    networks: BTreeMap<usize, Names>,
    /// The tags of the run's own VLANs, by their names.
    vlans: BTreeMap<String, u16>,
    /// The disks of each host's lab entry that a storage is made of.
    taken: BTreeMap<usize, Vec<usize>>,
    /// What guests can be made of, by host and name.
    bases: BTreeMap<(usize, String), Base>,
}

/// What was made, and why it is not all.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) resources: Resources,
    pub(super) failure: Option<String>,
}

impl Preparation {
    /// So many things are made at once where the sequence does not say; more only wait for one
    /// another's disks.
    pub(super) const WORKERS: usize = 8;

    pub(super) fn new(
        plan: &Plan,
        run: RunId,
        provider: Option<Arc<dyn LabProvider>>,
        leftovers: Leftovers,
        scope: Scope,
        events: Events,
    ) -> Self {
        let mut requires: Vec<Ability> =
            plan.cases.iter().flat_map(|case| case.abilities()).collect();
        requires.sort_unstable();
        requires.dedup();
        Self {
            file: plan.file.clone(),
            // Two runs of the same day have different beginnings.
            ending: run.0.simple().to_string()[..8].to_owned(),
            parts: [plan.preprepare.clone(), plan.prepare.clone()],
            requires,
            workers: plan.workers.unwrap_or(Self::WORKERS),
            refused: plan.carried_out().err().map(|error| error.to_string()),
            provider,
            leftovers,
            scope,
            events,
        }
    }

    /// How many hosts of the run's own it gets.
    pub(super) fn hosts(&self) -> usize {
        self.host_steps().count()
    }

    /// Whether it gets hosts from the lab.
    pub(super) fn asks_the_lab(&self) -> bool {
        (self.hosts() > 0 || self.shares_a_host()) && self.refused.is_none()
    }

    /// Whether it makes a guest of this name.
    pub(super) fn makes_guest(&self, name: &str) -> bool {
        self.parts.iter().any(|part| {
            let shared = part.shared_hosts.iter().flat_map(|host| &host.guests);
            part.guests().map(|(_, guest)| guest).chain(shared).any(|guest| guest.name == name)
        })
    }

    /// Gets the hosts and makes all else. Whatever was made, also where that is not all, is in the
    /// scope and is to be undone; the lab is to be released.
    pub(super) async fn first(&self, stop: &Stop) -> Prepared {
        let mut resources = Resources::default();
        if let Some(refused) = &self.refused {
            return Prepared { resources, failure: Some(refused.clone()) };
        }
        if self.hosts() == 0 && !self.shares_a_host() {
            return Prepared::default();
        }
        let failure = self
            .until(stop, async {
                self.get_hosts(&mut resources).await?;
                self.can_be_made(&resources)?;
                self.take_stock_of(&resources).await?;
                self.make(&mut resources).await
            })
            .await;
        Prepared { resources, failure }
    }

    /// Undoes what was made on the hosts, and makes it again. Nobody may be at work on them.
    pub(super) async fn again(&self, before: &Resources, stop: &Stop) -> Prepared {
        let (hosts, own) = (before.hosts.clone(), before.own);
        let mut resources = Resources { hosts, own, guests: Vec::new() };
        let failure = self
            .until(stop, async {
                if !self.undo().await {
                    return Err("what it made before could not all be undone".to_owned());
                }
                self.make(&mut resources).await
            })
            .await;
        Prepared { resources, failure }
    }

    /// Looks at hosts that outlive the run, and removes what it left there before it was interrupted.
    async fn take_stock_of(&self, resources: &Resources) -> Result<(), String> {
        let outlive = |provider: &Arc<dyn LabProvider>| provider.hosts_outlive_the_run();
        if !self.provider.as_ref().is_some_and(outlive) {
            return Ok(());
        }
        let hosts: Vec<_> = resources.hosts.iter().map(|host| Arc::clone(&host.host)).collect();
        take_stock(&hosts, &self.leftovers, &self.kinds_made(), &self.events).await
    }

    /// What it makes besides guests and networks.
    fn kinds_made(&self) -> Vec<ObjectKind> {
        let any = |holds: &dyn Fn(&Prepare) -> bool| self.parts.iter().any(holds);
        let storage = any(&|part| {
            part.hosts.iter().any(|host| !host.storage.is_empty())
                || part.pools.iter().any(|pool| !pool.storage.is_empty())
        });
        let template = any(&|part| {
            part.hosts.iter().any(|host| !host.templates.is_empty())
                || part.pools.iter().any(|pool| !pool.templates.is_empty())
                || part.guests().any(|(_, guest)| templates::becomes_template(guest))
        });
        let pool = any(&|part| part.pools.iter().any(|pool| pool.hosts.len() > 1));
        let all = [
            (storage, ObjectKind::Storage),
            (template, ObjectKind::Template),
            (pool, ObjectKind::PoolMember),
        ];
        all.into_iter().filter(|(made, _)| *made).map(|(_, kind)| kind).collect()
    }

    async fn until(
        &self,
        stop: &Stop,
        work: impl Future<Output = Result<(), String>>,
    ) -> Option<String> {
        tokio::select! {
            biased;
            result = work => result.err(),
            reason = stop.stopped() => Some(format!("{} while it was prepared", match reason {
                super::stop::StopReason::Cancelled(_) => "the run was cancelled".to_owned(),
                over @ super::stop::StopReason::TimeIsOver(_) => over.before(),
            })),
        }
    }

    async fn make(&self, resources: &mut Resources) -> Result<(), String> {
        let mut makings = Makings::default();
        for part in &self.parts {
            self.choose_vlans(part, resources, &mut makings).await?;
            self.make_networks(part, resources, &mut makings).await?;
            self.make_storage(part, resources, &mut makings).await?;
            self.make_pools(part, resources, &mut makings).await?;
            self.make_templates(part, resources, &mut makings).await?;
            self.make_guests(part, resources, &makings).await?;
        }
        // Nobody is at work yet, so this is what the first test is compared with.
        let hosts = resources.hosts[..resources.own].iter();
        let inventories: Vec<BoxFuture<'_, ()>> = hosts
            .map(|run_host| {
                async {
                    let host = run_host.host.as_ref();
                    let objects = inventory(&self.events, host);
                    let (objects, boot_id) = tokio::join!(objects, recover::boot_id(host));
                    run_host.ledger.begin(objects);
                    *run_host.boot_id.lock().await = boot_id;
                }
                .boxed()
            })
            .collect();
        futures::future::join_all(inventories).await;
        Ok(())
    }

    /// Does all of it, some at once. The error is the first in the order of the file.
    async fn all<T>(&self, steps: Vec<BoxFuture<'_, Result<T, String>>>) -> Result<Vec<T>, String> {
        let results: Vec<_> = stream::iter(steps).buffered(self.workers).collect().await;
        results.into_iter().collect()
    }

    /// Does one step and tells when it began and ended. The error is that of the whole preparation.
    async fn step<T>(
        &self,
        name: &str,
        line: Option<u32>,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, String> {
        let started = Instant::now();
        self.events.send(None, EventKind::PrepareStarted { step: name.to_owned() });
        let result = work.await;
        let error = result.as_ref().err().map(with_causes);
        let (step, seconds) = (name.to_owned(), micros(started.elapsed()));
        let what = EventKind::PrepareFinished { step, seconds, error: error.clone() };
        self.events.send(None, what);
        result.map_err(|_| {
            let error = error.unwrap_or_default();
            let place = line.map(|line| format!(" ({}:{line})", self.file)).unwrap_or_default();
            format!("{name}{place}: {error}")
        })
    }

    fn progress(&self, step: &str, message: impl Into<String>) {
        let (step, message) = (step.to_owned(), message.into());
        self.events.send(None, EventKind::PrepareProgress { step, message, fraction: None });
    }

    /// Undoes all that was made, the last first. Returns whether all of it was.
    pub(super) async fn undo(&self) -> bool {
        undo_all(&self.scope, &self.events).await
    }
}

/// Tells the commands that are run through handles of the preparation: those of a test, which may
/// use its guests, for the test, all others for the run.
#[derive(Debug)]
pub(super) struct RunObserver(pub(super) Events);

impl Observer for RunObserver {
    fn command(&self, mut record: CommandRecord) {
        if let Some(test) = current_test() {
            return test.keep_command(record);
        }
        record.seconds = micros(record.seconds.0);
        self.0.send(None, EventKind::Command(record));
    }

    fn creating(&self, object: &CreatedObject) {
        self.tell(EventKind::Creating(object.clone()));
    }

    fn renaming(&self, object: &CreatedObject, to: &str) {
        self.tell(EventKind::Renaming { object: object.clone(), to: to.to_owned() });
    }

    fn not_created(&self, object: &CreatedObject) {
        self.tell(EventKind::NotCreated(object.clone()));
    }
}

impl RunObserver {
    fn tell(&self, what: EventKind) {
        match current_test() {
            Some(test) => test.send(what),
            None => self.0.send(None, what),
        }
    }
}

/// Undoes all that the preparation made, the last first. Returns whether all of it was.
async fn undo_all(scope: &Scope, events: &Events) -> bool {
    let mut all = true;
    while let Some(undo) = scope.take_last() {
        let description = undo.description().to_owned();
        let object = undo.object().cloned();
        let error = finish::undo(None, undo).await.err();
        all &= error.is_none();
        events.send(None, EventKind::Undone { undo: description, object, error });
    }
    scope.forget_guests();
    all
}
