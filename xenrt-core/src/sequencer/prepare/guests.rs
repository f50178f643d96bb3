//! The guests that a sequence prepares.
//!
//! A guest is made of an image, started, and waited for until a login works. Then comes what its
//! `<postinstall>` asks for, in the order of the file:
//!
//! | in the file | what is done |
//! |---|---|
//! | `start` | it is started if it is Halted, resumed if it is Suspended, and waited for |
//! | `shutdown` | it is shut down cleanly |
//! | `reboot` | it is rebooted cleanly and waited for |
//! | `pause`, `unpause` | as the names say |
//! | `suspend`, `resume` | as the names say |
//! | `removeCD` | nothing: a guest that is made of an image has no installation CD |
//! | `check`, `checkHealth` | it is checked in all views; a difference fails the preparation |
//!
//! All others are refused before anything is built ([`Plan::carried_out`]).

use std::sync::Arc;

use super::Preparation;
use crate::Result;
use crate::model::{DiskSpec, Guest, GuestSpec, Host, PowerState, ShutdownMode, VifSpec};
use crate::sequence::{GuestAction, GuestStep, VifStep};
#[cfg(doc)]
use crate::sequencer::Plan;
use crate::sequencer::resources::RunGuest;

impl Preparation {
    pub(super) async fn make_guest(
        &self,
        host: Arc<dyn Host>,
        at: usize,
        step: &GuestStep,
    ) -> Result<RunGuest, String> {
        let name = format!("guest {}", step.name);
        let work = async {
            let spec = specification(host.as_ref(), step)?;
            let guest = host.create_guest(&spec).await?;
            self.progress(&name, "starting");
            guest.start().await?;
            self.progress(&name, "waiting for a login");
            guest.wait_until_reachable().await?;
            for after in &step.after_install {
                self.progress(&name, after.action.name());
                carry_out(guest.as_ref(), &after.action).await?;
            }
            Ok(guest)
        };
        let guest = self.step(&name, Some(step.place.line), work).await?;
        Ok(RunGuest { name: step.name.clone(), guest, host: at })
    }
}

fn specification(host: &dyn Host, step: &GuestStep) -> Result<GuestSpec> {
    let image = host.entry().image_for(&step.distro)?;
    let mut spec = GuestSpec::new(&step.name).image(&image.name);
    if let Some(vcpus) = step.vcpus {
        spec = spec.vcpus(vcpus);
    }
    if let Some(memory) = step.memory {
        spec = spec.memory(memory);
    }
    if let Some(words) = &step.boot_arguments {
        spec = spec.extra_command_line(words);
    }
    for disk in &step.disks {
        spec = spec.disk(DiskSpec::new(disk.size));
    }
    let mut vifs: Vec<&VifStep> = step.vifs.iter().collect();
    vifs.sort_by_key(|vif| vif.device);
    for vif in &vifs {
        spec = spec.vif(match &vif.network {
            Some(network) => VifSpec::on(network),
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

/// Whether this library can do it; see the table above.
pub(in crate::sequencer) fn can_carry_out(action: &GuestAction) -> bool {
    match action {
        GuestAction::Start
        | GuestAction::Shutdown
        | GuestAction::Reboot
        | GuestAction::Pause
        | GuestAction::Suspend
        | GuestAction::RemoveCd => true,
        GuestAction::Other(call) => {
            call.arguments.is_empty()
                && matches!(&*call.method, "unpause" | "resume" | "check" | "checkHealth")
        }
        GuestAction::Snapshot { .. }
        | GuestAction::ConvertToTemplate
        | GuestAction::PrepareForCloning
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
        GuestAction::RemoveCd => Ok(()),
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
