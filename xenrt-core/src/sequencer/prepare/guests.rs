//! The guests that a sequence prepares.
//!
//! A guest is made of an image or of a template of the file, started, and waited for until a login
//! works. One of a `<sharedhost>` is called as the file says with an ending of the run's own. Then comes what its
//! `<postinstall>` asks for, in the order of the file:
//!
//! | in the file | what is done |
//! |---|---|
//! | `start` | it is started if it is Halted, resumed if it is Suspended, and waited for |
//! | `shutdown` | it is shut down cleanly |
//! | `reboot` | it is rebooted cleanly and waited for |
//! | `pause`, `unpause` | as the names say |
//! | `suspend`, `resume` | as the names say |
//! | `convertToTemplate` | it is shut down and becomes a template, as a `<template>` does |
//! | `snapshot` | a snapshot of its disks is taken, where its toolstack can |
//! | `removeCD` | nothing: a guest that is made of an image has no installation CD |
//! | `check`, `checkHealth` | it is checked in all views; a difference fails the preparation |
//!
//! All others are refused before anything is built ([`Plan::carried_out`]).

use std::sync::Arc;

use futures::future::FutureExt as _;
use futures::stream::{self, StreamExt as _};

use super::networks::{Names, network_for};
use super::templates::becomes_template;
use super::{Makings, Preparation};
use crate::model::{
    DiskSpec, Guest, GuestSpec, Host, PowerState, ShutdownMode, SnapshotKind, VifSpec,
};
use crate::sequence::{GuestAction, GuestStep, Prepare, StorageChoice, StorageStep, VifStep};
#[cfg(doc)]
use crate::sequencer::Plan;
use crate::sequencer::resources::{Resources, RunGuest};
use crate::{Error, Result};

/// A guest to be made.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    /// The place of its host among those of the run.
    pub(super) at: usize,
    pub(super) step: &'a GuestStep,
    /// The storage that the file makes for its host.
    pub(super) storage: &'a [StorageStep],
}

impl Preparation {
    /// The guests of a part that `of_host` and `of_pool` choose, each with its host, in the order of
    /// the file.
    pub(super) fn jobs<'a>(
        &self,
        part: &'a Prepare,
        of_host: impl Fn(&'a crate::sequence::HostStep) -> &'a [GuestStep],
        of_pool: impl Fn(&'a crate::sequence::PoolStep) -> &'a [GuestStep],
    ) -> Vec<Job<'a>> {
        let mut jobs = Vec::new();
        for host in &part.hosts {
            let (at, storage) = (self.position(host.id), host.storage.as_slice());
            jobs.extend(of_host(host).iter().map(|step| Job { at, step, storage }));
        }
        for (number, pool) in part.pools.iter().enumerate() {
            let positions = self.pool_positions(part, number);
            let Some(at) = positions.first().copied() else { continue };
            let storage = pool.storage.as_slice();
            jobs.extend(of_pool(pool).iter().map(|step| Job { at, step, storage }));
        }
        jobs
    }

    pub(super) async fn make_guests(
        &self,
        part: &Prepare,
        resources: &mut Resources,
        makings: &Makings,
    ) -> Result<(), String> {
        let mut jobs = self.jobs(part, |host| &host.guests, |pool| &pool.guests);
        jobs.retain(|job| !becomes_template(job.step));
        let shared = part.shared_hosts.iter().flat_map(|shared| &shared.guests);
        jobs.extend(shared.map(|step| Job { at: resources.own, step, storage: &[] }));
        let (hosts, own) = (&resources.hosts, resources.own);
        let steps: Vec<_> = jobs
            .into_iter()
            .map(|job| {
                async move {
                    let name = match job.at < own {
                        true => job.step.name.clone(),
                        false => format!("{}-{}", job.step.name, self.ending),
                    };
                    let host = hosts[job.at].host.as_ref();
                    let (what, line) = (format!("guest {name}"), Some(job.step.place.line));
                    let work = self.build(host, job, &name, &what, makings);
                    let guest = self.step(&what, line, work).await?;
                    Ok(RunGuest { name: job.step.name.clone(), guest, host: job.at })
                }
                .boxed()
            })
            .collect();
        let (mut made, mut failure) = (Vec::new(), None);
        let mut steps = stream::iter(steps).buffered(self.workers);
        while let Some(guest) = steps.next().await {
            match guest {
                Ok(guest) => made.push(guest),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        drop(steps);
        resources.guests.extend(made);
        failure.map_or(Ok(()), Err)
    }

    /// Makes a guest, starts it and does what comes after its installation. `what` is the step.
    pub(super) async fn build(
        &self,
        host: &dyn Host,
        job: Job<'_>,
        name: &str,
        what: &str,
        makings: &Makings,
    ) -> Result<Arc<dyn Guest>> {
        let spec = specification(host, job, name, makings).await?;
        let guest = host.create_guest(&spec).await?;
        self.progress(what, "starting");
        guest.start().await?;
        self.progress(what, "waiting for a login");
        guest.wait_until_reachable().await?;
        for after in &job.step.after_install {
            self.progress(what, after.action.name());
            carry_out(guest.as_ref(), &after.action).await?;
        }
        Ok(guest)
    }
}

async fn specification(
    host: &dyn Host,
    job: Job<'_>,
    name: &str,
    makings: &Makings,
) -> Result<GuestSpec> {
    let step = job.step;
    let mut spec = match makings.bases.get(&(job.at, step.distro.clone())) {
        Some(base) => base.guest(name),
        None => GuestSpec::new(name).image(&host.entry().image_for(&step.distro)?.name),
    };
    if let Some(vcpus) = step.vcpus {
        spec = spec.vcpus(vcpus);
    }
    if let Some(memory) = step.memory {
        spec = spec.memory(memory);
    }
    if let Some(words) = &step.boot_arguments {
        spec = spec.extra_command_line(words);
    }
    if let Some(choice) = &step.storage {
        spec = spec.storage(storage_for(job, choice)?);
    }
    for disk in &step.disks {
        spec = spec.disk(DiskSpec::new(disk.size));
    }
    let mut vifs: Vec<&VifStep> = step.vifs.iter().collect();
    vifs.sort_by_key(|vif| vif.device);
    let none = Names::new();
    let names = makings.networks.get(&job.at).unwrap_or(&none);
    for vif in &vifs {
        spec = spec.vif(match &vif.network {
            Some(network) => VifSpec::on(network_for(host, names, network).await?),
            None => VifSpec::on_default(),
        });
    }
    if let Some(fixed) = vifs.first().and_then(|vif| vif.address) {
        spec = spec.address(fixed.address);
    }
    if vifs.is_empty() {
        spec = spec.vif(VifSpec::on_default());
    }
    Ok(spec)
}

/// The name of the storage that a guest asks for.
fn storage_for(job: Job<'_>, choice: &StorageChoice) -> Result<String> {
    match choice {
        StorageChoice::Named(name) => Ok(name.to_string()),
        StorageChoice::Existing(name) => Ok(name.clone()),
        StorageChoice::Type(kind) => {
            let found = job.storage.iter().find(|storage| storage.kind == *kind);
            let none = || {
                let what = format!("<storage> of the guest {:?}", job.step.name);
                let problem = format!("the file makes none of type {} there", kind.name());
                Error::invalid(what, problem)
            };
            found.map(|storage| storage.name.to_string()).ok_or_else(none)
        }
    }
}

/// Whether this library can do it; see the table above.
pub(in crate::sequencer) fn can_carry_out(action: &GuestAction) -> bool {
    match action {
        GuestAction::Start
        | GuestAction::Shutdown
        | GuestAction::Reboot
        | GuestAction::Pause
        | GuestAction::Suspend
        | GuestAction::Snapshot { .. }
        | GuestAction::ConvertToTemplate
        | GuestAction::RemoveCd => true,
        GuestAction::Other(call) => {
            call.arguments.is_empty()
                && matches!(&*call.method, "unpause" | "resume" | "check" | "checkHealth")
        }
        GuestAction::PrepareForCloning
        | GuestAction::InstallDrivers
        | GuestAction::InstallTools
        | GuestAction::DisableFirewall => false,
    }
}

async fn carry_out(guest: &dyn Guest, action: &GuestAction) -> Result<()> {
    match action {
        GuestAction::Start => {
            match guest.power_state().await? {
                PowerState::Running => {}
                PowerState::Suspended => guest.resume().await?,
                _ => guest.start().await?,
            }
            guest.wait_until_reachable().await
        }
        GuestAction::Shutdown => guest.shutdown(ShutdownMode::Clean).await,
        GuestAction::Reboot => guest.reboot(ShutdownMode::Clean).await,
        GuestAction::Pause => guest.pause().await,
        GuestAction::Suspend => guest.suspend().await,
        // The one is there already, the other is done when all else is.
        GuestAction::RemoveCd | GuestAction::ConvertToTemplate => Ok(()),
        GuestAction::Snapshot { name } => {
            let name = name.as_deref().unwrap_or("snapshot");
            guest.snapshots()?.create(name, SnapshotKind::Disks).await.map(drop)
        }
        GuestAction::Other(call) => match &*call.method {
            "unpause" => guest.unpause().await,
            "resume" => guest.resume().await,
            "check" | "checkHealth" => guest.check().await,
            _ => Err(refused(action)),
        },
        _ => Err(refused(action)),
    }
}

/// The plan refuses these before a run, so nobody sees it unless that is forgotten.
fn refused(action: &GuestAction) -> crate::Error {
    crate::Error::invalid(format!("<postinstall> {}", action.name()), "it cannot be carried out")
}
