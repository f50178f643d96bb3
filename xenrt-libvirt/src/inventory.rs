//! What stands on a host, for finding what a test left.

use virt::connect::Connect;
use xenrt_core::Result;
use xenrt_core::model::{Host as _, HostInventory, PowerState};

use crate::host::LibvirtHost;
use crate::script::{Script, q};
use crate::{networks, observe};

/// Takes stock: domains, networks that this library made, files in its folder.
pub(crate) async fn take(host: &LibvirtHost) -> Result<HostInventory> {
    let driver = host.shared.facts.driver;
    let ask =
        move |connect: &Connect| Ok((observe::domains(connect, driver)?, networks::own(connect)?));
    let (domains, networks) = host.shared.call("take stock of", "the host", ask).await?;
    let folder = q(&host.shared.entry.work_folder);
    let files = Script::new()
        .step(format!("[ ! -d {folder} ] || find {folder} -type f ! -name .lock"))
        .run(&host.dom0(), host.shared.entry.deadlines.command, "take stock of", "the host")
        .await?;
    let domains = domains.iter().filter(|domain| domain.domid != 0);
    let mut objects: Vec<String> = domains
        .map(|domain| match domain.power {
            PowerState::Dying => format!("dying domain {} {}", domain.domid, domain.name),
            _ => format!("domain {}", domain.name),
        })
        .collect();
    objects.extend(networks.iter().map(|name| format!("network {name}")));
    objects.extend(files.lines().map(|file| format!("file {file}")));
    objects.sort();
    Ok(HostInventory { objects })
}
