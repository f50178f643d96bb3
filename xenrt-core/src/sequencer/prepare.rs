//! What a sequence needs before its first test: hosts and guests.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::body::current_test;
use super::finish::{self, inventory, with_causes};
use super::recover;
use super::resources::{Ledger, Resources, RunGuest, RunHost};
use super::{CancelHandle, EventKind, Events, Plan};
use crate::Error;
use crate::lab::{HostDemand, LabNote, LabProvider};
use crate::model::{DiskSpec, Guest, GuestSpec, Host, Scope, VifSpec};
use crate::remote::{CommandRecord, Observer};
use crate::seconds::micros;
use crate::sequence::{GuestStep, VifStep};

/// So many guests are made at once; more only wait for one another's disks.
const GUESTS_AT_ONCE: usize = 8;

/// Gets the hosts and makes the guests of `plan`.
///
/// # Errors
/// Why it failed, in one text for all tests that are blocked by it. Whatever was made until then is
/// in `scope`, and the lab is to be released.
pub(super) async fn prepare(
    plan: &Plan,
    provider: Option<&Arc<dyn LabProvider>>,
    scope: &Scope,
    events: &Events,
    cancel: &CancelHandle,
) -> Result<Resources, String> {
    if plan.prepare.hosts.is_empty() {
        return Ok(Resources::default());
    }
    let work = async {
        let mut resources = get_hosts(plan, provider, scope, events).await?;
        resources.guests = make_guests(plan, &resources, events).await?;
        // Nobody is at work yet, so this is what the first test is compared with.
        let inventories: Vec<BoxFuture<'_, ()>> =
            resources.hosts.iter().map(|host| begin(host, events).boxed()).collect();
        futures::future::join_all(inventories).await;
        Ok(resources)
    };
    tokio::select! {
        biased;
        result = work => result,
        () = cancel.cancelled() => Err("the run was cancelled while it was prepared".to_owned()),
    }
}

async fn begin(run_host: &RunHost, events: &Events) {
    let host = run_host.host.as_ref();
    let (objects, boot_id) = tokio::join!(inventory(events, host), recover::boot_id(host));
    run_host.ledger.begin(objects);
    *run_host.boot_id.lock().await = boot_id;
}

/// Does one step and tells when it began and ended. The error is that of the whole preparation.
async fn step<T>(
    events: &Events,
    name: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, String> {
    let started = Instant::now();
    events.send(None, EventKind::PrepareStarted { step: name.to_owned() });
    let result = work.await;
    let error = result.as_ref().err().map(with_causes);
    let seconds = micros(started.elapsed());
    let step = name.to_owned();
    events.send(None, EventKind::PrepareFinished { step, seconds, error: error.clone() });
    result.map_err(|_| format!("{name}: {}", error.unwrap_or_default()))
}

async fn get_hosts(
    plan: &Plan,
    provider: Option<&Arc<dyn LabProvider>>,
    scope: &Scope,
    events: &Events,
) -> Result<Resources, String> {
    let steps = &plan.prepare.hosts;
    let requires: BTreeSet<_> =
        plan.cases.iter().flat_map(|case| case.descriptor.requires.abilities).copied().collect();
    let demands: Vec<_> = steps
        .iter()
        .map(|step| HostDemand {
            name: step.alias.clone().unwrap_or_else(|| step.name()),
            requires: requires.iter().copied().collect(),
        })
        .collect();
    let progress = |note: LabNote| {
        let LabNote { message, fraction } = note;
        let step = "hosts".to_owned();
        events.send(None, EventKind::PrepareProgress { step, message, fraction });
    };
    let hosts = step(events, "hosts", async {
        let provider = provider.ok_or_else(|| {
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
    })
    .await?;
    let hosts = steps.iter().zip(hosts).map(|(step, host)| {
        let mut names = vec![step.name()];
        names.extend(step.alias.clone());
        names.push(host.name().to_owned());
        let host = host.in_scope(scope.clone());
        RunHost { names, host, ledger: Ledger::default(), boot_id: tokio::sync::Mutex::default() }
    });
    Ok(Resources { hosts: hosts.collect(), guests: Vec::new() })
}

async fn make_guests(
    plan: &Plan,
    resources: &Resources,
    events: &Events,
) -> Result<Vec<RunGuest>, String> {
    let steps = plan.prepare.hosts.iter().enumerate();
    let steps = steps.flat_map(|(at, host)| host.guests.iter().map(move |guest| (at, guest)));
    let guests: Vec<BoxFuture<'_, Result<RunGuest, String>>> = steps
        .map(|(at, guest_step)| {
            let host = Arc::clone(&resources.hosts[at].host);
            let work = async move {
                let name = format!("guest {}", guest_step.name);
                let guest = step(events, &name, make_guest(host, guest_step)).await?;
                Ok(RunGuest { name: guest_step.name.clone(), guest, host: at })
            };
            work.boxed()
        })
        .collect();
    // All are tried, so that all problems are told; the first one in the file's order is the
    // reason of the blocked tests.
    let results: Vec<Result<_, String>> =
        stream::iter(guests).buffered(GUESTS_AT_ONCE).collect().await;
    results.into_iter().collect()
}

async fn make_guest(host: Arc<dyn Host>, step: &GuestStep) -> Result<Arc<dyn Guest>, Error> {
    let image = host.entry().image_for(&step.distro)?;
    let mut spec = GuestSpec::new(&step.name).image(&image.name);
    if let Some(vcpus) = step.vcpus {
        spec = spec.vcpus(vcpus);
    }
    if let Some(memory) = step.memory {
        spec = spec.memory(memory);
    }
    for size in &step.disks {
        spec = spec.disk(DiskSpec::new(*size));
    }
    let mut vifs: Vec<&VifStep> = step.vifs.iter().collect();
    vifs.sort_by_key(|vif| vif.device);
    for vif in &vifs {
        spec = spec.vif(match &vif.network {
            Some(network) => VifSpec::on(network),
            None => VifSpec::on_default(),
        });
    }
    if vifs.is_empty() {
        spec = spec.vif(VifSpec::on_default());
    }
    let guest = host.create_guest(&spec).await?;
    guest.start().await?;
    guest.wait_until_reachable().await?;
    Ok(guest)
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
}

/// Undoes all that the preparation made, the last first. Returns whether all of it was.
pub(super) async fn undo_all(scope: &Scope, events: &Events) -> bool {
    let mut all = true;
    while let Some(undo) = scope.take_last() {
        let description = undo.description().to_owned();
        let error = finish::undo(None, undo).await.err();
        all &= error.is_none();
        events.send(None, EventKind::Undone { undo: description, error });
    }
    scope.forget_guests();
    all
}
