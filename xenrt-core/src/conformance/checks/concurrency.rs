//! Several callers at once.

use std::sync::Arc;

use futures::future::join_all;

use crate::conformance::Problem;
use crate::conformance::check::Check;
use crate::conformance::context::{CheckContext, power_is};
use crate::conformance::problem::{Outcome, ensure, same};
use crate::model::{Guest, GuestAction, GuestSpec, Memory, PowerState, ShutdownMode};
use crate::{Error, Result, ToolstackErrorKind};

/// Of several callers who wanted the same, one has it done and each other one is told that it is
/// done already.
fn one_of_them(results: &[Result<()>]) -> Outcome {
    let done = results.iter().filter(|result| result.is_ok()).count();
    ensure(done >= 1, format!("nobody succeeded: {:?}", results.first()))?;
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        let told = matches!(error, Error::WrongState { .. })
            || matches!(
                error.toolstack_kind(),
                Some(
                    ToolstackErrorKind::BadState
                        | ToolstackErrorKind::AlreadyExists
                        | ToolstackErrorKind::NoSuchObject
                )
            );
        ensure(told, format!("one is told: {error}"))?;
    }
    Ok(())
}

async fn domains_of(cx: &CheckContext, guest: &Arc<dyn Guest>) -> Result<usize, Problem> {
    let domains = cx.host().domains().await?;
    Ok(domains.iter().filter(|domain| domain.uuid == Some(guest.uuid())).count())
}

pub(super) const CHECKS: &[Check] = &[
    Check::quick("concurrency.two_starts", "a guest that two callers start has one domain", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            let other = cx.host().guest(&guest.name()).await?;
            let results = join_all([guest.start_paused(), other.start_paused()]).await;
            one_of_them(&results)?;
            power_is(&guest, PowerState::Paused).await?;
            same("the number of its domains", domains_of(cx, &guest).await?, 1)
        })
    }),
    Check::quick(
        "concurrency.two_requests",
        "the toolstack makes one domain of two requests at once",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let action = GuestAction::StartPaused;
                let results = join_all([guest.request(&action), guest.request(&action)]).await;
                guest.wait_for_state(PowerState::Paused, cx.patience()).await?;
                guest.expectation().update(|expected| expected.power = PowerState::Paused);
                same("how many were taken", results.iter().filter(|r| r.is_ok()).count(), 1)?;
                same("the number of its domains", domains_of(cx, &guest).await?, 1)
            })
        },
    ),
    Check::quick(
        "concurrency.two_stops",
        "a guest whose power two callers take away is halted",
        |cx| {
            Box::pin(async move {
                let guest = cx.paused("a").await?;
                let stop = || guest.shutdown(ShutdownMode::Hard);
                one_of_them(&join_all([stop(), stop()]).await)?;
                power_is(&guest, PowerState::Halted).await
            })
        },
    ),
    Check::quick("concurrency.two_deletions", "a guest that two callers delete is gone", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            one_of_them(&join_all([guest.delete(), guest.delete()]).await)?;
            crate::conformance::problem::gone(guest.view().await, "a look at it")
        })
    }),
    Check::quick(
        "concurrency.one_name",
        "of two guests that are defined at once with one name, one is",
        |cx| {
            Box::pin(async move {
                let spec = cx.spec("a");
                let results =
                    join_all([cx.host().create_guest(&spec), cx.host().create_guest(&spec)]).await;
                let made = results.iter().filter(|result| result.is_ok()).count();
                same("how many were made", made, 1)?;
                let listed = cx.host().guests().await?;
                let named = listed.iter().filter(|guest| guest.name() == spec.name).count();
                same("how many are listed", named, 1)
            })
        },
    ),
    Check::quick(
        "concurrency.two_renames",
        "of two guests that are given one name at once, one has it",
        |cx| {
            Box::pin(async move {
                let (one, other) = (cx.halted("a").await?, cx.halted("b").await?);
                let name = cx.name("wanted");
                one_of_them(&join_all([one.rename(&name), other.rename(&name)]).await)?;
                let listed = cx.host().guests().await?;
                same(
                    "how many have it",
                    listed.iter().filter(|guest| guest.name() == name).count(),
                    1,
                )
            })
        },
    ),
    Check::quick("concurrency.looks", "a guest can be looked at by many while it changes", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            let looks = join_all((0..8).map(|_| guest.view()));
            let (views, started) = futures::join!(looks, guest.start_paused());
            started?;
            for view in views {
                let power = view?.power;
                let possible = matches!(power, PowerState::Halted | PowerState::Paused);
                ensure(possible, format!("one look saw {power}"))?;
            }
            Ok(())
        })
    }),
    Check::quick(
        "concurrency.eight_definitions",
        "guests that are defined at once are all there, with names and identities of their own",
        |cx| {
            Box::pin(async move {
                let specs: Vec<GuestSpec> = (0..8).map(|n| cx.spec(&format!("n{n}"))).collect();
                let made = join_all(specs.iter().map(|spec| cx.host().create_guest(spec))).await;
                let guests: Vec<_> = made.into_iter().collect::<Result<_>>()?;
                let identities: std::collections::BTreeSet<_> =
                    guests.iter().map(|guest| guest.uuid()).collect();
                same("the number of identities", identities.len(), 8)?;
                for (guest, spec) in guests.iter().zip(&specs) {
                    same("a name", guest.name(), spec.name.clone())?;
                }
                Ok(())
            })
        },
    ),
    Check::slow("concurrency.32_starts", "32 guests that are started at once all run", |cx| {
        Box::pin(async move {
            const COUNT: usize = 32;
            let image = cx.host().entry().image_for(&cx.image)?.memory;
            let free = cx.host().info().await?.free_memory;
            if free < Memory::bytes(image.as_bytes() * COUNT as u64 / 10 * 11) {
                return Err(Problem::Errored(format!(
                    "{COUNT} guests of {image} do not fit into the {free} that the host has free"
                )));
            }
            let mut guests = Vec::new();
            for number in 0..COUNT {
                // Without VIFs: 32 hotplug scripts at once take a slow host longer than the 40 s that
                // libxl gives each (LIBXL_HOTPLUG_TIMEOUT), and are what `define.most_vifs` is about.
                let spec = GuestSpec { vifs: Vec::new(), ..cx.spec(&format!("n{number}")) };
                guests.push(cx.host().create_guest(&spec).await?);
            }
            for result in join_all(guests.iter().map(|guest| guest.start())).await {
                result?;
            }
            for guest in &guests {
                power_is(guest, PowerState::Running).await?;
            }
            for result in join_all(guests.iter().map(|g| g.shutdown(ShutdownMode::Hard))).await {
                result?;
            }
            Ok(())
        })
    })
    .alone(),
];
