//! Finding a guest's address, and logging into it.

use std::time::Duration;

use crate::Error;
use crate::conformance::check::Check;
use crate::conformance::problem::{ensure, same};
use crate::model::{Ability, PowerState, ShutdownMode};
use crate::remote::{Command, ShellExt as _, Wait};

pub(super) const CHECKS: &[Check] = &[
    Check::boots("reach.login_is_into_it", "a login goes into the guest that was meant", |cx| {
        Box::pin(async move {
            let (guest, other) = (cx.up().await?, cx.own_up("b").await?);
            for guest in [&guest, &other] {
                let own: Vec<_> = guest.view().await?.vifs.iter().map(|vif| vif.mac).collect();
                same("the VIFs seen inside", guest.inside().await?.macs, own)?;
            }
            Ok(())
        })
    }),
    Check::boots(
        "reach.address",
        "the address that is found is the one at which the guest answers",
        |cx| {
            Box::pin(async move {
                // One beside it, whose address it must not be.
                let other = cx.up().await?;
                let guest = cx.own_up("b").await?;
                let Wait::Done(found) = guest.find_address().await? else {
                    return ensure(false, "no address is found for a guest that answers");
                };
                same("the address", Some(found), guest.expectation().get().address)?;
                ensure(other.expectation().get().address != Some(found), "two guests have it")?;
                let read = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
                let at = guest.shell_at(found)?.text(&read).await?;
                same(
                    "the boot that answers there",
                    crate::conformance::context::boot_id(&guest).await?,
                    at,
                )
            })
        },
    ),
    Check::boots("reach.inside", "what a guest sees of itself is what it was given", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            let (view, inside) = (guest.view().await?, guest.inside().await?);
            same("its vCPUs", inside.vcpus, view.vcpus)?;
            same("the number of its disks", inside.disks.len(), view.disks.len())?;
            Ok(guest.check().await?)
        })
    }),
    Check::boots("reach.not_when_halted", "a guest that was halted does not answer", |cx| {
        Box::pin(async move {
            let guest = cx.own_up("a").await?;
            ensure(guest.is_reachable().await, "it does not answer while it runs")?;
            guest.shutdown(ShutdownMode::Clean).await?;
            ensure(!guest.is_reachable().await, "it answers")
        })
    }),
    Check::quick(
        "reach.stopped_is_told",
        "waiting for a guest that is halted ends at once and says so",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                match guest.wait_until_reachable().await {
                    Err(Error::GuestStopped { state, .. }) => {
                        same("the state that is told", state, PowerState::Halted)
                    }
                    other => ensure(false, format!("it is {other:?}, not Error::GuestStopped")),
                }
            })
        },
    ),
    Check::quick(
        "reach.deadline_says_what_was_seen",
        "a wait that ends with its deadline says what it saw last",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let started = tokio::time::Instant::now();
                let deadline = Duration::from_secs(2);
                match guest.wait_for_state(PowerState::Running, deadline).await {
                    Err(Error::Timeout { last_seen, .. }) => {
                        ensure(last_seen.contains("Halted"), format!("it says {last_seen:?}"))?;
                    }
                    other => ensure(false, format!("it is {other:?}, not Error::Timeout"))?,
                }
                let took = started.elapsed();
                ensure((deadline..deadline * 10).contains(&took), format!("it took {took:?}"))
            })
        },
    ),
    Check::boots("reach.console", "what a guest prints when it boots is on record", |cx| {
        Box::pin(async move {
            let guest = cx.own_up("a").await?;
            let text = guest.console_text().await?;
            ensure(!text.trim().is_empty(), "its console is empty")?;
            let other = cx.halted("b").await?;
            let none = other.console_text().await?;
            ensure(none.trim().is_empty(), "a guest that never ran has a console")
        })
    })
    .needs(&[Ability::ConsoleLog]),
    Check::boots("reach.address_stays", "a guest keeps its address when it reboots", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            let before = guest.wait_for_address().await?;
            guest.reboot(ShutdownMode::Clean).await?;
            let Wait::Done(now) = guest.find_address().await? else {
                return ensure(false, "no address is found after it");
            };
            same("its address", now, before)
        })
    }),
];
