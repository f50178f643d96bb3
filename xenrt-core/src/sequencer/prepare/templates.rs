//! The templates that a sequence prepares: guests that are built and shut down, and that others are
//! made of.
//!
//! Where the toolstack has templates, the guest becomes one. Where it has none, it stays as it is,
//! Halted, and guests that are made of it get copies of its disks. A `<vm>` is made of a template of
//! its host or pool where its `<distro>` is the template's name.

use std::sync::Arc;

use futures::future::FutureExt as _;

use super::guests::Job;
use super::{Makings, Preparation};
use crate::Result;
use crate::model::{
    Ability, Disk, DiskSpec, Guest, GuestBase, GuestSpec, Host, PowerState, ShutdownMode,
};
use crate::sequence::{GuestAction, GuestStep, Prepare};
use crate::sequencer::resources::{Resources, RunGuest};

/// What guests are made of in the place of an image.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// The image that it is made of itself, for how to boot and to log in.
    image: Option<String>,
    kind: BaseKind,
}

#[derive(Debug, Clone)]
enum BaseKind {
    /// A template of the toolstack, by its name.
    Template(String),
    /// A guest that is Halted, by its disks.
    Guest(Vec<Disk>),
}

impl Base {
    /// A guest of this name that is made of it.
    pub(super) fn guest(&self, name: &str) -> GuestSpec {
        let mut spec = GuestSpec::new(name);
        spec.image.clone_from(&self.image);
        match &self.kind {
            BaseKind::Template(template) => spec.base(GuestBase::Template(template.clone())),
            BaseKind::Guest(disks) => {
                disks.iter().fold(spec.base(GuestBase::Disks), |spec, disk| {
                    spec.disk(DiskSpec::copy_of(&disk.path).device(&disk.device))
                })
            }
        }
    }
}

/// Whether a guest is to become a template once it is installed.
pub(super) fn becomes_template(step: &GuestStep) -> bool {
    step.after_install.iter().any(|after| after.action == GuestAction::ConvertToTemplate)
}

impl Preparation {
    pub(super) async fn make_templates(
        &self,
        part: &Prepare,
        resources: &mut Resources,
        makings: &mut Makings,
    ) -> Result<(), String> {
        let mut jobs = self.jobs(part, |host| &host.templates, |pool| &pool.templates);
        let mut guests = self.jobs(part, |host| &host.guests, |pool| &pool.guests);
        guests.retain(|job| becomes_template(job.step));
        jobs.extend(guests);
        let (hosts, made) = (&resources.hosts, &*makings);
        let steps = jobs.into_iter().map(|job| {
            async move {
                let host = hosts[job.at].host.as_ref();
                let name = job.step.name.as_str();
                let (what, line) = (format!("template {name}"), Some(job.step.place.line));
                let work = async {
                    let guest = self.build(host, job, name, &what, made).await?;
                    self.progress(&what, "making it a template");
                    rest(guest.as_ref()).await?;
                    into_base(host, guest).await
                };
                let (base, guest) = self.step(&what, line, work).await?;
                Ok((job, base, guest))
            }
            .boxed()
        });
        let steps: Vec<_> = steps.collect();
        let all = self.all(steps).await?;
        for (Job { at, step, .. }, base, guest) in all {
            makings.bases.insert((at, step.name.clone()), base);
            // Tests find one that is still a guest.
            let kept = guest.map(|guest| RunGuest { name: step.name.clone(), guest, host: at });
            resources.guests.extend(kept);
        }
        Ok(())
    }
}

/// Shuts a guest down, unless it is Halted.
async fn rest(guest: &dyn Guest) -> Result<()> {
    match guest.power_state().await? {
        PowerState::Halted => Ok(()),
        PowerState::Running => guest.shutdown(ShutdownMode::Clean).await,
        PowerState::Paused => {
            guest.unpause().await?;
            guest.shutdown(ShutdownMode::Clean).await
        }
        _ => guest.shutdown(ShutdownMode::Hard).await,
    }
}

/// Makes a Halted guest what others are made of; it is no guest any more where its toolstack has
/// templates.
async fn into_base(
    host: &dyn Host,
    guest: Arc<dyn Guest>,
) -> Result<(Base, Option<Arc<dyn Guest>>)> {
    let image = guest.image();
    if host.abilities().has(Ability::Templates) {
        let template = host.templates()?.convert(guest.as_ref()).await?;
        return Ok((Base { image, kind: BaseKind::Template(template.name) }, None));
    }
    let disks = guest.view().await?.disks;
    Ok((Base { image, kind: BaseKind::Guest(disks) }, Some(guest)))
}
