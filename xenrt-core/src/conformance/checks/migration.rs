//! Guests that move while they run.

use std::sync::Arc;

use crate::conformance::Problem;
use crate::conformance::check::Check;
use crate::conformance::context::{CheckContext, boot_id, power_is, without_effect};
use crate::conformance::problem::{ensure, invalid, not_found, refused, same, wrong_state};
use crate::model::{Ability, Guest, PowerState};
use crate::remote::ShellExt as _;

const NEEDS: &[Ability] = &[Ability::LiveMigration];

/// A guest of its own that is up, and has moved to the second host.
async fn moved(cx: &CheckContext) -> Result<Arc<dyn Guest>, Problem> {
    let guest = cx.own_up_to_move("a").await?;
    guest.migrate(cx.second()?).await?;
    Ok(guest)
}

pub(super) const CHECKS: &[Check] = &[
    Check::boots(
        "migration.moves",
        "a guest that moved runs at the target and is as it should be",
        |cx| {
            Box::pin(async move {
                let guest = moved(cx).await?;
                same("its host", guest.host().name().to_owned(), cx.second()?.name().to_owned())?;
                power_is(&guest, PowerState::Running).await?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(NEEDS)
    .two_hosts(),
    Check::boots(
        "migration.leaves_source",
        "the source has neither domain nor definition of a guest that moved",
        |cx| {
            Box::pin(async move {
                let guest = moved(cx).await?;
                let domains = cx.host().domains().await?;
                ensure(
                    domains.iter().all(|d| d.uuid != Some(guest.uuid())),
                    "the source has its domain",
                )?;
                not_found(cx.host().guest(&guest.name()).await, "its name at the source")
            })
        },
    )
    .needs(NEEDS)
    .two_hosts(),
    Check::boots("migration.listed_at_target", "the target lists a guest that moved there", |cx| {
        Box::pin(async move {
            let guest = moved(cx).await?;
            let listed = cx.second()?.guest(&guest.name()).await?;
            same("the guest of that name", listed.uuid(), guest.uuid())
        })
    })
    .needs(NEEDS)
    .two_hosts(),
    Check::boots(
        "migration.goes_on",
        "a guest goes on at the target from where it was, with the same identity",
        |cx| {
            Box::pin(async move {
                let guest = cx.own_up_to_move("a").await?;
                let (uuid, boot) = (guest.uuid(), boot_id(&guest).await?);
                let shell = guest.shell().await?;
                shell.write_file("/dev/shm/xrtc-kept", b"moved", 0o600).await?;
                guest.migrate(cx.second()?).await?;
                same("its identity", guest.uuid(), uuid)?;
                same("its boot", boot_id(&guest).await?, boot)?;
                let kept = guest.shell().await?.read_text("/dev/shm/xrtc-kept").await?;
                same("what it remembers", kept, "moved".to_owned())
            })
        },
    )
    .needs(NEEDS)
    .two_hosts(),
    Check::boots(
        "migration.keeps",
        "a guest has the same devices, vCPUs and memory at the target",
        |cx| {
            Box::pin(async move {
                let guest = cx.own_up_to_move("a").await?;
                let (view, inside) = (guest.view().await?, guest.inside().await?);
                guest.migrate(cx.second()?).await?;
                same("its view", guest.view().await?, view)?;
                same("its VIFs inside", guest.inside().await?.macs, inside.macs)
            })
        },
    )
    .needs(NEEDS)
    .two_hosts(),
    Check::boots("migration.and_back", "a guest can move back", |cx| {
        Box::pin(async move {
            let guest = moved(cx).await?;
            guest.migrate(cx.host()).await?;
            same("its host", guest.host().name().to_owned(), cx.host().name().to_owned())?;
            Ok(guest.check().await?)
        })
    })
    .needs(NEEDS)
    .two_hosts(),
    Check::boots(
        "migration.to_itself",
        "a guest cannot move to the host that it is on, and runs on",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let attempt = guest.migrate(cx.host());
                without_effect(&guest, attempt, |result| invalid(result, "its own host")).await
            })
        },
    )
    .needs(NEEDS),
    Check::quick("migration.paused", "a paused guest cannot move", |cx| {
        Box::pin(async move {
            let guest = cx.paused("a").await?;
            let attempt = guest.migrate(cx.second()?);
            without_effect(&guest, attempt, |r| wrong_state(r, "it", PowerState::Paused)).await
        })
    })
    .needs(NEEDS)
    .two_hosts(),
    Check::quick("migration.halted", "a halted guest cannot move while it runs", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            let attempt = guest.migrate(cx.second()?);
            without_effect(&guest, attempt, |r| wrong_state(r, "it", PowerState::Halted)).await
        })
    })
    .needs(NEEDS)
    .two_hosts(),
    Check::boots(
        "migration.name_taken",
        "a guest does not move to a host that has a guest of its name, and runs on",
        |cx| {
            Box::pin(async move {
                let guest = cx.own_up_to_move("a").await?;
                let other = match cx.second()?.create_guest(&cx.spec("a")).await {
                    // Hosts of one pool have all names in common: there never is such a host.
                    Err(crate::Error::Invalid { .. }) => return Ok(guest.check().await?),
                    other => other?,
                };
                let attempt = guest.migrate(cx.second()?);
                let judge = |result: crate::Result<()>| match result {
                    Err(crate::Error::Invalid { .. }) => Ok(()),
                    result => {
                        refused(result, "a taken name", &[crate::ToolstackErrorKind::AlreadyExists])
                    }
                };
                without_effect(&guest, attempt, judge).await?;
                Ok(other.check().await?)
            })
        },
    )
    .needs(NEEDS)
    .two_hosts(),
];
