//! Starting, stopping, pausing and rebooting.

use std::sync::Arc;
use std::time::Duration;

use crate::conformance::check::Check;
use crate::conformance::context::{CheckContext, boot_id, domid, power_is};
use crate::conformance::problem::{Outcome, ensure, same};
use crate::model::{Ability, Guest, PowerState, ShutdownMode};
use crate::remote::{Command, Wait, wait_until};

/// Gives the guest a command that ends the connection with it, whatever becomes of it.
async fn tell(guest: &Arc<dyn Guest>, line: &str) -> Outcome {
    let shell = guest.shell().await?;
    let command = Command::shell_line(line).deadline(Duration::from_secs(20));
    // The guest may be gone before it answers; what became of it is looked at.
    let _ = shell.execute(&command).await;
    Ok(())
}

async fn crashed(
    cx: &CheckContext,
    what: &str,
) -> Result<Arc<dyn Guest>, crate::conformance::Problem> {
    let guest = cx.own_up(what).await?;
    tell(&guest, "echo c >/proc/sysrq-trigger").await?;
    guest.wait_for_state(PowerState::Crashed, cx.patience()).await?;
    guest.expectation().update(|expected| {
        expected.power = PowerState::Crashed;
        expected.reachable = false;
    });
    Ok(guest)
}

/// Processor time of the guest's domain, in seconds.
async fn cpu(guest: &Arc<dyn Guest>) -> Result<f64, crate::Error> {
    Ok(guest.domain().await?.map_or(0.0, |domain| domain.cpu_seconds))
}

pub(super) const CHECKS: &[Check] = &[
    Check::quick("power.start", "a halted guest that is started runs in both views", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            guest.start().await?;
            power_is(&guest, PowerState::Running).await?;
            guest.check().await?;
            guest.shutdown(ShutdownMode::Hard).await?;
            power_is(&guest, PowerState::Halted).await
        })
    }),
    Check::quick(
        "power.start_paused",
        "a guest that is to start paused is paused in both views",
        |cx| {
            Box::pin(async move {
                let guest = cx.paused("a").await?;
                power_is(&guest, PowerState::Paused).await?;
                Ok(guest.check().await?)
            })
        },
    ),
    Check::boots(
        "power.start_paused_then_unpause",
        "a guest that was started paused boots when it is unpaused",
        |cx| {
            Box::pin(async move {
                let guest = cx.paused("a").await?;
                guest.unpause().await?;
                power_is(&guest, PowerState::Running).await?;
                guest.wait_until_reachable().await?;
                Ok(guest.check().await?)
            })
        },
    ),
    Check::quick("power.off_paused", "the power of a paused guest can be taken away", |cx| {
        Box::pin(async move {
            let guest = cx.paused("a").await?;
            guest.shutdown(ShutdownMode::Hard).await?;
            power_is(&guest, PowerState::Halted).await?;
            Ok(guest.check().await?)
        })
    }),
    Check::quick(
        "power.off_leaves_no_domain",
        "a guest whose power was taken away has no domain, not even a dying one",
        |cx| {
            Box::pin(async move {
                let guest = cx.paused("a").await?;
                guest.shutdown(ShutdownMode::Hard).await?;
                let domains = cx.host().domains().await?;
                ensure(
                    domains.iter().all(|domain| domain.uuid != Some(guest.uuid())),
                    "the hypervisor still has one",
                )
            })
        },
    ),
    Check::quick("power.new_domain_each_start", "each start makes a new domain", |cx| {
        Box::pin(async move {
            let guest = cx.paused("a").await?;
            let first = domid(&guest).await?;
            guest.shutdown(ShutdownMode::Hard).await?;
            guest.start_paused().await?;
            ensure(domid(&guest).await? > first, "the second domain has no later number")
        })
    }),
    Check::quick(
        "power.start_many_times",
        "a guest can be started and stopped again and again, and nothing piles up",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let mut before = None;
                for _ in 0..3 {
                    guest.start_paused().await?;
                    guest.shutdown(ShutdownMode::Hard).await?;
                    let stands = cx.host().inventory().await?;
                    let first = before.get_or_insert_with(|| stands.clone());
                    same("what was added", stands.added_since(first), Vec::new())?;
                }
                Ok(())
            })
        },
    )
    .alone(),
    Check::boots(
        "power.shutdown",
        "a guest that is asked shuts itself down and leaves nothing",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                // What each start writes anew, such as the configuration that it was given, stays.
                guest.start_paused().await?;
                guest.shutdown(ShutdownMode::Hard).await?;
                let halted = cx.host().inventory().await?;
                guest.start().await?;
                guest.wait_until_reachable().await?;
                guest.shutdown(ShutdownMode::Clean).await?;
                power_is(&guest, PowerState::Halted).await?;
                guest.check().await?;
                let left = cx.host().inventory().await?.added_since(&halted);
                same("what it left", left, Vec::new())
            })
        },
    )
    .alone(),
    Check::boots(
        "power.shutdown_by_itself",
        "a guest that shuts itself down is halted in both views",
        |cx| {
            Box::pin(async move {
                let guest = cx.own_up("a").await?;
                tell(&guest, "poweroff").await?;
                guest.wait_for_state(PowerState::Halted, cx.patience()).await?;
                power_is(&guest, PowerState::Halted).await
            })
        },
    ),
    Check::boots(
        "power.reboot",
        "a guest that reboots is another boot in another domain, and answers again",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let before = (boot_id(&guest).await?, domid(&guest).await?);
                guest.reboot(ShutdownMode::Clean).await?;
                power_is(&guest, PowerState::Running).await?;
                ensure(boot_id(&guest).await? != before.0, "it is the boot from before")?;
                Ok(guest.check().await?)
            })
        },
    ),
    Check::boots(
        "power.reboot_keeps",
        "a reboot keeps identity, devices, vCPUs and memory",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let (uuid, view, inside) =
                    (guest.uuid(), guest.view().await?, guest.inside().await?);
                guest.reboot(ShutdownMode::Clean).await?;
                same("its identity", guest.uuid(), uuid)?;
                same("its view", guest.view().await?, view)?;
                same("its VIFs inside", guest.inside().await?.macs, inside.macs)
            })
        },
    ),
    Check::boots("power.reset", "a guest that is reset is another boot, and answers again", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            let before = boot_id(&guest).await?;
            guest.reboot(ShutdownMode::Hard).await?;
            ensure(boot_id(&guest).await? != before, "it is the boot from before")?;
            Ok(guest.check().await?)
        })
    }),
    Check::boots(
        "power.reset_paused",
        "a paused guest that is reset is another boot, and answers again",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let before = boot_id(&guest).await?;
                guest.pause().await?;
                guest.reboot(ShutdownMode::Hard).await?;
                ensure(boot_id(&guest).await? != before, "it is the boot from before")?;
                Ok(guest.check().await?)
            })
        },
    ),
    Check::boots("power.reboot_by_itself", "a guest that reboots itself runs again", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            let before = boot_id(&guest).await?;
            tell(&guest, "reboot").await?;
            let waiting_for = "the guest to be another boot";
            wait_until(waiting_for, || async {
                let now = boot_id(&guest).await.unwrap_or_else(|_| before.clone());
                Ok(Wait::on(now != before, "the boot from before, or no answer"))
            })
            .within(cx.host().entry().deadlines.boot)
            .await?;
            power_is(&guest, PowerState::Running).await
        })
    }),
    Check::boots(
        "power.pause",
        "a paused guest is paused in both views and runs when it is unpaused",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let before = boot_id(&guest).await?;
                guest.pause().await?;
                power_is(&guest, PowerState::Paused).await?;
                guest.check().await?;
                guest.unpause().await?;
                power_is(&guest, PowerState::Running).await?;
                guest.wait_until_reachable().await?;
                same("its boot", boot_id(&guest).await?, before)
            })
        },
    ),
    Check::boots("power.pause_stops_it", "nothing runs in a paused guest", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            let shell = guest.shell().await?;
            guest.pause().await?;
            let probe = Command::new("true").deadline(Duration::from_secs(5));
            let answered = shell.execute(&probe).await.is_ok();
            guest.unpause().await?;
            shell.reset().await;
            guest.wait_until_reachable().await?;
            ensure(!answered, "it answered while it was paused")
        })
    }),
    Check::boots("power.cpu_time", "the processor time of a guest grows while it runs", |cx| {
        Box::pin(async move {
            let guest = cx.up().await?;
            let shell = guest.shell().await?;
            let before = cpu(&guest).await?;
            wait_until("the processor time to grow", || async {
                shell.execute(&Command::new("true")).await?;
                let now = cpu(&guest).await?;
                Ok(Wait::on(now > before, format!("{now} s, {before} s before")))
            })
            .within(Duration::from_secs(60))
            .await?;
            Ok(())
        })
    }),
    Check::boots("power.crash", "a guest that crashes is told to have crashed", |cx| {
        Box::pin(async move {
            let guest = crashed(cx, "a").await?;
            power_is(&guest, PowerState::Crashed).await
        })
    }),
    Check::boots("power.crash_console", "the console of a crashed guest says why", |cx| {
        Box::pin(async move {
            let guest = crashed(cx, "a").await?;
            let text = guest.console_text().await?;
            ensure(text.to_lowercase().contains("panic"), format!("it ends with {:?}", tail(&text)))
        })
    })
    .needs(&[Ability::ConsoleLog]),
    Check::boots(
        "power.off_crashed",
        "the power of a crashed guest can be taken away, and it starts again",
        |cx| {
            Box::pin(async move {
                let guest = crashed(cx, "a").await?;
                guest.shutdown(ShutdownMode::Hard).await?;
                power_is(&guest, PowerState::Halted).await?;
                guest.start().await?;
                Ok(guest.wait_until_reachable().await?)
            })
        },
    ),
    Check::boots("power.off_running", "the power of a running guest can be taken away", |cx| {
        Box::pin(async move {
            let guest = cx.own_up("a").await?;
            guest.shutdown(ShutdownMode::Hard).await?;
            power_is(&guest, PowerState::Halted).await?;
            ensure(!guest.is_reachable().await, "it still answers")
        })
    }),
    Check::slow(
        "power.host_reboot",
        "a host that reboots keeps the definitions of its guests and none of its domains",
        |cx| {
            Box::pin(async move {
                let guest = cx.paused("a").await?;
                cx.host().reboot().await?;
                power_is(&guest, PowerState::Halted).await?;
                same(
                    "the guest of that name",
                    cx.host().guest(&guest.name()).await?.uuid(),
                    guest.uuid(),
                )?;
                guest.expectation().update(|expected| expected.power = PowerState::Halted);
                guest.start_paused().await?;
                power_is(&guest, PowerState::Paused).await
            })
        },
    )
    .alone(),
];

fn tail(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(200))..]
}
