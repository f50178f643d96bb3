//! Hosts that went away while a test ran.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::finish::with_causes;
use crate::model::Host;
use crate::remote::{Command, ShellExt};
use crate::seconds::Readable;
use crate::testcase::{Phase, TestContext};

/// How long a host may take to answer before it counts as away.
const ANSWER: Duration = Duration::from_secs(30);

/// The boot that a host runs (random(4)): another one after each boot. `None` where it cannot be
/// asked.
pub(super) async fn boot_id(host: &dyn Host) -> Option<String> {
    let read = Command::new("cat").arg("/proc/sys/kernel/random/boot_id").deadline(ANSWER);
    host.dom0().text(&read).await.ok()
}

/// For how long a host has run (proc_uptime(5)). `None` where it cannot be asked.
async fn uptime(host: &dyn Host) -> Option<Duration> {
    let read = Command::new("cat").arg("/proc/uptime").deadline(ANSWER);
    let text = host.dom0().text(&read).await.ok()?;
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

/// Waits for the hosts of a test that went wrong, where they cannot be reached: they are asked for
/// evidence next, and what the test made there is to be undone. Says what happened to them since
/// the test was `started`, a line each: that belongs to the verdict.
pub(super) async fn wait_for_hosts(cx: &TestContext, started: Instant) -> Vec<String> {
    cx.enter(Phase::Evidence);
    let hosts = cx.hosts_used();
    let waits = hosts.iter().map(|(at, host)| wait_for_host(cx, started, *at, host.as_ref()));
    futures::future::join_all(waits).await.into_iter().flatten().collect()
}

async fn wait_for_host(
    cx: &TestContext,
    started: Instant,
    at: usize,
    host: &dyn Host,
) -> Option<String> {
    let known = &cx.resources().hosts[at].boot_id;
    let mut now = boot_id(host).await;
    if now.is_none() {
        let limit = cx.shared().cleanup_reserve;
        cx.warn(format!(
            "host {} cannot be reached; waiting for it for {}",
            host.name(),
            Readable(limit)
        ));
        host.dom0().reset().await;
        match timeout(limit, host.wait_until_up()).await {
            Ok(Ok(())) => now = boot_id(host).await,
            Ok(Err(error)) => return Some(with_causes(&error)),
            Err(_) => return Some(format!("host {} did not come back", host.name())),
        }
    }
    let mut known = known.lock().await;
    let mut rebooted = known.is_some() && now.is_some() && *known != now;
    *known = now;
    if rebooted {
        // Nobody asked after the tests before this one that passed: a reboot may be theirs.
        rebooted = uptime(host).await.is_none_or(|up| up < started.elapsed());
    }
    rebooted.then(|| format!("host {} rebooted while the test ran", host.name()))
}
