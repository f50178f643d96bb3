//! Rebooting a host.

use std::time::Duration;

use xenrt_core::model::{Ability, Host as _};
use xenrt_core::remote::{Command, ShellExt as _, Wait, wait_until};
use xenrt_core::{Error, Result};

use crate::error::TOOLSTACK;
use crate::host::LibvirtHost;
use crate::reach;

/// Reboots the machine and waits until it is up again, as [`Host`](xenrt_core::model::Host) says;
/// the machine that the tests run on is not rebooted.
pub(crate) async fn reboot(host: &LibvirtHost) -> Result<()> {
    let entry = host.entry();
    if reach::has_our_kernel(entry) {
        return Err(Error::Unsupported {
            toolstack: TOOLSTACK.to_owned(),
            ability: Ability::Pool,
            reason: Some(
                "the host is the machine that the tests run on, and its reboot would end them"
                    .to_owned(),
            ),
        });
    }
    let dom0 = host.dom0();
    // It changes with every boot (random(4)).
    let boot_id = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
    let boot_id = boot_id.deadline(Duration::from_secs(30));
    let before = dom0.text(&boot_id).await?;
    let request = Command::new("systemctl").arg("reboot").deadline(Duration::from_secs(30));
    match dom0.execute(&request).await {
        // The connection may go before the command returns; that is what was asked for.
        Err(error) if !error.is_connection() => return Err(error.into()),
        _ => {}
    }
    wait_until(format!("host {} to have rebooted", host.name()), || async {
        dom0.reset().await;
        let now = dom0.text(&boot_id).await?;
        Ok(Wait::on(now != before, "it still runs the boot from before"))
    })
    .within(entry.deadlines.host_boot)
    .await?;
    host.wait_until_up().await
}
