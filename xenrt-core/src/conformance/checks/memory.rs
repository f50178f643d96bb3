//! Suspend and resume, save and restore.

use std::sync::Arc;

use crate::ToolstackErrorKind;
use crate::conformance::Problem;
use crate::conformance::check::Check;
use crate::conformance::context::{boot_id, power_is, without_effect};
use crate::conformance::problem::{ensure, invalid, refused, same};
use crate::model::{Ability, Guest, PowerState, ShutdownMode};
use crate::remote::ShellExt as _;

const SUSPEND: &[Ability] = &[Ability::Suspend];
const SAVE: &[Ability] = &[Ability::Save];
/// A file that is in the memory of the guest alone.
const IN_MEMORY: &str = "/dev/shm/xrtc-kept";

async fn remember(guest: &Arc<dyn Guest>, text: &str) -> Result<(), Problem> {
    Ok(guest.shell().await?.write_file(IN_MEMORY, text.as_bytes(), 0o600).await?)
}

async fn remembered(guest: &Arc<dyn Guest>) -> Result<String, Problem> {
    Ok(guest.shell().await?.read_text(IN_MEMORY).await?)
}

pub(super) const CHECKS: &[Check] = &[
    Check::boots(
        "memory.suspend",
        "a suspended guest has no domain, and is as it should be",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                guest.suspend().await?;
                power_is(&guest, PowerState::Suspended).await?;
                guest.check().await?;
                guest.resume().await?;
                power_is(&guest, PowerState::Running).await?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(SUSPEND),
    Check::boots("memory.resume_goes_on", "a resumed guest goes on from where it was", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            let before = boot_id(&guest).await?;
            remember(&guest, "suspend").await?;
            guest.suspend().await?;
            guest.resume().await?;
            same("its boot", boot_id(&guest).await?, before)?;
            same("what it remembers", remembered(&guest).await?, "suspend".to_owned())
        })
    })
    .needs(SUSPEND),
    Check::boots(
        "memory.resume_leaves_nothing",
        "the memory of a guest that was resumed is not on the host any more",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let before = cx.host().inventory().await?;
                guest.suspend().await?;
                guest.resume().await?;
                same("what is left", cx.host().inventory().await?.added_since(&before), Vec::new())
            })
        },
    )
    .needs(SUSPEND)
    .alone(),
    Check::boots(
        "memory.suspend_keeps",
        "a guest has the same devices, vCPUs and memory when it is resumed",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let (view, inside) = (guest.view().await?, guest.inside().await?);
                guest.suspend().await?;
                let mut asleep = guest.view().await?;
                asleep.power = view.power;
                same("its view while it is suspended", asleep, view.clone())?;
                guest.resume().await?;
                same("its view", guest.view().await?, view)?;
                same("its devices inside", guest.inside().await?.macs, inside.macs)
            })
        },
    )
    .needs(SUSPEND),
    Check::boots("memory.suspend_twice", "a guest can be suspended again and again", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            for _ in 0..2 {
                guest.suspend().await?;
                guest.resume().await?;
            }
            Ok(guest.check().await?)
        })
    })
    .needs(SUSPEND),
    Check::boots(
        "memory.off_suspended",
        "the power of a suspended guest can be taken away: its memory is gone, and it boots anew",
        |cx| {
            Box::pin(async move {
                let guest = cx.own_up("a").await?;
                let halted_with = cx.host().inventory().await?;
                guest.suspend().await?;
                guest.shutdown(ShutdownMode::Hard).await?;
                power_is(&guest, PowerState::Halted).await?;
                same(
                    "what is left",
                    cx.host().inventory().await?.added_since(&halted_with),
                    Vec::new(),
                )
            })
        },
    )
    .needs(SUSPEND)
    .alone(),
    Check::boots("memory.delete_suspended", "a suspended guest can be deleted", |cx| {
        Box::pin(async move {
            let guest = cx.own_up("a").await?;
            guest.suspend().await?;
            Ok(guest.delete().await?)
        })
    })
    .needs(SUSPEND),
    Check::boots("memory.save", "a guest that was saved is halted, and the file is there", |cx| {
        Box::pin(async move {
            let guest = cx.own_up("a").await?;
            let path = cx.path("it's saved");
            guest.save(&path).await?;
            power_is(&guest, PowerState::Halted).await?;
            ensure(cx.has_file(&path).await?, "there is no file")
        })
    })
    .needs(SAVE),
    Check::boots(
        "memory.restore",
        "a restored guest goes on from where it was, and the file is left",
        |cx| {
            Box::pin(async move {
                let guest = cx.own_up("a").await?;
                let before = boot_id(&guest).await?;
                remember(&guest, "save").await?;
                let path = cx.path("saved");
                guest.save(&path).await?;
                guest.restore(&path).await?;
                power_is(&guest, PowerState::Running).await?;
                guest.wait_until_reachable().await?;
                same("its boot", boot_id(&guest).await?, before)?;
                same("what it remembers", remembered(&guest).await?, "save".to_owned())?;
                ensure(cx.has_file(&path).await?, "the file is gone")?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(SAVE),
    Check::quick(
        "memory.restore_missing",
        "a restore from a file that there is not is refused as a missing file",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let path = cx.path("missing");
                let kinds = [ToolstackErrorKind::MissingFile];
                let judge = |result| refused(result, "a file that there is not", &kinds);
                without_effect(&guest, guest.restore(&path), judge).await
            })
        },
    )
    .needs(SAVE),
    Check::quick(
        "memory.restore_junk",
        "a restore from what is no memory of a guest is refused",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let path = cx.path("junk");
                cx.host().dom0().write_file(&path, b"junk", 0o600).await?;
                let attempt = guest.restore(&path).await;
                if let Err(error) = &attempt {
                    ensure(error.toolstack_kind().is_some(), format!("it is no refusal: {error}"))?;
                }
                ensure(attempt.is_err(), "junk was restored")?;
                power_is(&guest, PowerState::Halted).await
            })
        },
    )
    .needs(SAVE),
    Check::quick(
        "memory.restore_relative",
        "a file to restore from must have an absolute path",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                without_effect(&guest, guest.restore("x"), |r| invalid(r, "a relative path")).await
            })
        },
    )
    .needs(SAVE),
    Check::boots(
        "memory.save_nowhere",
        "a save into a folder that there is not is refused, and the guest runs on",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let before = boot_id(&guest).await?;
                let result = guest.save("/no/such/folder/saved").await;
                if let Err(error) = &result {
                    ensure(error.toolstack_kind().is_some(), format!("it is no refusal: {error}"))?;
                }
                ensure(result.is_err(), "it was accepted")?;
                power_is(&guest, PowerState::Running).await?;
                same("its boot", boot_id(&guest).await?, before)
            })
        },
    )
    .needs(SAVE),
];
