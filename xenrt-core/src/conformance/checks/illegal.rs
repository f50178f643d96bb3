//! Verbs from states that do not allow them: the documented error, and nothing is changed.

use std::sync::Arc;

use crate::ToolstackErrorKind;
use crate::conformance::check::Check;
use crate::conformance::context::{CheckContext, without_effect};
use crate::conformance::problem::{Outcome, Problem, invalid, not_found, refused, wrong_state};
use crate::model::{
    Ability, DiskSpec, Guest, GuestAction, MacAddress, Memory, PowerState, ShutdownMode, VifSpec,
};

const NO_SUCH_MAC: MacAddress = MacAddress::new([0x00, 0x16, 0x3e, 0x5c, 0xff, 0xff]);

/// `verb` is refused because the guest is in `state`, and nothing changes.
async fn not_from(
    guest: &Arc<dyn Guest>,
    state: PowerState,
    verb: impl Future<Output = crate::Result<()>>,
) -> Outcome {
    without_effect(guest, verb, |result| wrong_state(result, "it", state)).await
}

/// The toolstack itself refuses `action`, and nothing changes: who asks it directly is told as much
/// as who uses a verb.
async fn toolstack_refuses(guest: Arc<dyn Guest>, action: GuestAction) -> Outcome {
    let kinds = [
        ToolstackErrorKind::BadState,
        ToolstackErrorKind::AlreadyExists,
        ToolstackErrorKind::NoSuchObject,
    ];
    let what = format!("to {} it", action.verb());
    without_effect(&guest, guest.request(&action), |result| refused(result, &what, &kinds)).await
}

async fn suspended(cx: &CheckContext) -> Result<Arc<dyn Guest>, Problem> {
    let guest = cx.own_up("suspended").await?;
    guest.suspend().await?;
    Ok(guest)
}

pub(super) const CHECKS: &[Check] = &[
    Check::quick("illegal.shutdown_halted", "a halted guest cannot be shut down", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            not_from(&guest, PowerState::Halted, guest.shutdown(ShutdownMode::Clean)).await
        })
    }),
    Check::quick(
        "illegal.power_off_halted",
        "a halted guest has no power to be taken away",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                not_from(&guest, PowerState::Halted, guest.shutdown(ShutdownMode::Hard)).await
            })
        },
    ),
    Check::quick("illegal.reboot_halted", "a halted guest cannot be rebooted", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            not_from(&guest, PowerState::Halted, guest.reboot(ShutdownMode::Clean)).await
        })
    }),
    Check::quick("illegal.reset_halted", "a halted guest cannot be reset", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            not_from(&guest, PowerState::Halted, guest.reboot(ShutdownMode::Hard)).await
        })
    }),
    Check::quick("illegal.pause_halted", "a halted guest cannot be paused", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            not_from(&guest, PowerState::Halted, guest.pause()).await
        })
    }),
    Check::quick("illegal.unpause_halted", "a halted guest cannot be unpaused", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            not_from(&guest, PowerState::Halted, guest.unpause()).await
        })
    }),
    Check::quick("illegal.suspend_halted", "a halted guest cannot be suspended", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            not_from(&guest, PowerState::Halted, guest.suspend()).await
        })
    })
    .needs(&[Ability::Suspend]),
    Check::quick("illegal.resume_halted", "a halted guest cannot be resumed", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            not_from(&guest, PowerState::Halted, guest.resume()).await
        })
    })
    .needs(&[Ability::Suspend]),
    Check::quick("illegal.save_halted", "a halted guest cannot be saved", |cx| {
        Box::pin(async move {
            let path = cx.path("saved");
            let guest = cx.halted("a").await?;
            not_from(&guest, PowerState::Halted, guest.save(&path)).await
        })
    })
    .needs(&[Ability::Save]),
    Check::quick("illegal.start_paused_guest", "a paused guest cannot be started", |cx| {
        Box::pin(async move {
            let guest = cx.paused("a").await?;
            not_from(&guest, PowerState::Paused, guest.start()).await
        })
    }),
    Check::quick("illegal.pause_paused", "a paused guest cannot be paused again", |cx| {
        Box::pin(async move {
            let guest = cx.paused("a").await?;
            not_from(&guest, PowerState::Paused, guest.pause()).await
        })
    }),
    Check::quick(
        "illegal.clean_shutdown_paused",
        "a paused guest cannot be asked to shut down",
        |cx| {
            Box::pin(async move {
                let guest = cx.paused("a").await?;
                not_from(&guest, PowerState::Paused, guest.shutdown(ShutdownMode::Clean)).await
            })
        },
    ),
    Check::quick("illegal.suspend_paused", "a paused guest cannot be suspended", |cx| {
        Box::pin(async move {
            let guest = cx.paused("a").await?;
            not_from(&guest, PowerState::Paused, guest.suspend()).await
        })
    })
    .needs(&[Ability::Suspend]),
    Check::quick("illegal.delete_paused", "a paused guest cannot be deleted", |cx| {
        Box::pin(async move {
            let guest = cx.paused("a").await?;
            not_from(&guest, PowerState::Paused, guest.delete()).await
        })
    }),
    Check::quick("illegal.vcpus_paused", "the vCPUs of a paused guest cannot be changed", |cx| {
        Box::pin(async move {
            let guest = cx.paused("a").await?;
            not_from(&guest, PowerState::Paused, guest.set_vcpus(1)).await
        })
    }),
    Check::boots("illegal.start_running", "a running guest cannot be started", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            not_from(&guest, PowerState::Running, guest.start()).await
        })
    }),
    Check::boots("illegal.unpause_running", "a running guest cannot be unpaused", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            not_from(&guest, PowerState::Running, guest.unpause()).await
        })
    }),
    Check::boots("illegal.resume_running", "a running guest cannot be resumed", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            not_from(&guest, PowerState::Running, guest.resume()).await
        })
    })
    .needs(&[Ability::Suspend]),
    Check::boots("illegal.delete_running", "a running guest cannot be deleted", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            not_from(&guest, PowerState::Running, guest.delete()).await
        })
    }),
    Check::boots(
        "illegal.suspended",
        "a suspended guest cannot be started, paused or suspended again",
        |cx| {
            Box::pin(async move {
                let guest = suspended(cx).await?;
                let state = PowerState::Suspended;
                not_from(&guest, state, guest.start()).await?;
                not_from(&guest, state, guest.pause()).await?;
                not_from(&guest, state, guest.suspend()).await
            })
        },
    )
    .needs(&[Ability::Suspend]),
    Check::quick(
        "illegal.request_pause_halted",
        "the toolstack itself refuses to pause what has no domain",
        |cx| {
            Box::pin(
                async move { toolstack_refuses(cx.halted("a").await?, GuestAction::Pause).await },
            )
        },
    ),
    Check::quick(
        "illegal.request_delete_paused",
        "the toolstack itself refuses to delete what has a domain",
        |cx| {
            Box::pin(
                async move { toolstack_refuses(cx.paused("a").await?, GuestAction::Delete).await },
            )
        },
    ),
    Check::boots(
        "illegal.request_start_running",
        "the toolstack itself refuses a second domain of a guest",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                toolstack_refuses(Arc::clone(&guest), GuestAction::Start).await?;
                let domains = cx.host().domains().await?;
                let own = domains.iter().filter(|domain| domain.uuid == Some(guest.uuid())).count();
                crate::conformance::problem::same("the number of its domains", own, 1)
            })
        },
    ),
    Check::boots(
        "illegal.request_delete_running",
        "the toolstack itself refuses to delete a guest that runs",
        |cx| Box::pin(async move { toolstack_refuses(cx.up().await?, GuestAction::Delete).await }),
    ),
    Check::boots("illegal.no_vcpus", "a guest cannot be left without vCPUs", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            without_effect(&guest, guest.set_vcpus(0), |result| invalid(result, "no vCPUs")).await
        })
    }),
    Check::boots(
        "illegal.too_many_vcpus",
        "a running guest cannot have more vCPUs than its maximum",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let most = guest.view().await?.max_vcpus;
                let attempt = guest.set_vcpus(most + 1);
                without_effect(&guest, attempt, |result| invalid(result, "one more than the most"))
                    .await
            })
        },
    )
    .needs(&[Ability::VcpuHotplug]),
    Check::boots(
        "illegal.detach_unknown_disk",
        "a disk that a guest has not cannot be detached",
        |cx| {
            Box::pin(async move {
                let device = cx.device('y').await?;
                let guest = cx.up().await?;
                let attempt = guest.detach_disk(&device);
                without_effect(&guest, attempt, |result| {
                    not_found(result, "a disk that it has not")
                })
                .await
            })
        },
    )
    .needs(&[Ability::DiskHotplug]),
    Check::boots(
        "illegal.detach_unknown_vif",
        "a VIF that a guest has not cannot be detached",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let attempt = guest.detach_vif(NO_SUCH_MAC);
                without_effect(&guest, attempt, |result| not_found(result, "a VIF that it has not"))
                    .await
            })
        },
    )
    .needs(&[Ability::VifHotplug]),
    Check::boots(
        "illegal.attach_missing_disk",
        "a disk that there is not cannot be attached",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let attempt = guest.attach_disk(DiskSpec::existing("/no/such/disk.raw"));
                let kinds = [ToolstackErrorKind::MissingFile];
                without_effect(&guest, attempt, |r| refused(r, "a disk that there is not", &kinds))
                    .await
            })
        },
    )
    .needs(&[Ability::DiskHotplug]),
    Check::boots(
        "illegal.attach_used_device",
        "a disk cannot have the device name of another one",
        |cx| {
            Box::pin(async move {
                let device = cx.device('q').await?;
                let disk = || DiskSpec::new(Memory::mib(8)).device(&device);
                let guest = cx.host().create_guest(&cx.spec("a").disk(disk())).await?;
                let attempt = guest.attach_disk(disk());
                without_effect(&guest, attempt, |result| invalid(result, "a device name twice"))
                    .await
            })
        },
    ),
    Check::boots(
        "illegal.attach_missing_network",
        "a VIF cannot be attached to a network that there is not",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let attempt = guest.attach_vif(VifSpec::on("nosuchbr"));
                let kinds = [ToolstackErrorKind::NoSuchObject];
                without_effect(&guest, attempt, |r| refused(r, "such a network", &kinds)).await
            })
        },
    )
    .needs(&[Ability::VifHotplug]),
];
