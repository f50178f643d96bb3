//! Hosts that went away while a test ran.

use std::time::Duration;

use tokio::time::timeout;

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

/// Waits for the hosts of a test that went wrong, where they cannot be reached: they are asked for
/// evidence next, and what the test made there is to be undone. Says what happened to them, a line
/// each: that belongs to the verdict.
pub(super) async fn wait_for_hosts(cx: &TestContext) -> Vec<String> {
    cx.enter(Phase::Evidence);
    let hosts = cx.hosts_used();
    let waits = hosts.iter().map(|(at, host)| wait_for_host(cx, *at, host.as_ref()));
    futures::future::join_all(waits).await.into_iter().flatten().collect()
}

async fn wait_for_host(cx: &TestContext, at: usize, host: &dyn Host) -> Option<String> {
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
    let rebooted = known.is_some() && now.is_some() && *known != now;
    *known = now;
    rebooted.then(|| format!("host {} rebooted while the test ran", host.name()))
}
