//! What stands on a host, for finding what a test left.

use std::time::Duration;

use xenrt_core::Result;
use xenrt_core::model::{Host as _, HostInventory, PowerState};
use xenrt_core::remote::{Command, ShellExt as _};

use crate::host::XapiHost;
use crate::networks;
use crate::parse::{minimal, records};
use crate::xe::XeCommand;

/// Processes that somebody started through ssh and left: their parent is gone and their control
/// group is that of an ssh session; and what `xe` was given for as long as a command lasts.
const LEFT: &str = "ps -e -o pid= -o ppid= -o comm= | while read -r pid parent name; do \
    [ \"$parent\" = 1 ] || continue; \
    case \"$name\" in sshd|systemd|'(sd-pam)') continue;; esac; \
    grep -qsE 'session-|/ssh' \"/proc/$pid/cgroup\" || continue; \
    echo \"process $pid $(tr '\\0' ' ' <\"/proc/$pid/cmdline\" 2>/dev/null)\"; done; \
    for f in \"${TMPDIR:-/tmp}\"/xenrt-xe.*; do [ ! -e \"$f\" ] || echo \"file $f\"; done; true";

/// Takes stock: VMs, snapshots, disks, networks that this library made, dying domains, processes
/// and files that were left. Four calls.
pub(crate) async fn take(host: &XapiHost) -> Result<HostInventory> {
    let commands = [
        XeCommand::new("vm-list").param("is-control-domain", "false"),
        XeCommand::new("snapshot-list"),
        XeCommand::new("vdi-list").minimal(),
        networks::list_command(),
    ];
    let answers = host.xe().run_all(&commands).await;
    let answers = answers.map_err(|error| error.during("take stock of", "the pool"))?;
    let mut objects = Vec::new();
    for (class, text) in ["guest", "snapshot"].into_iter().zip(&answers) {
        for record in records(text) {
            let record = record?;
            let name = record.get("name-label").unwrap_or_default();
            objects.push(format!("{class} {name} {}", record.require("uuid")?));
        }
    }
    for text in answers.get(2).into_iter() {
        objects.extend(minimal(text)?.into_iter().map(|uuid| format!("disk {uuid}")));
    }
    for text in answers.get(3).into_iter() {
        let own = networks::read(text)?.into_iter().filter(|network| network.own);
        objects.extend(own.map(|network| format!("network {}", network.name)));
    }
    if host.shared.has_xl {
        let dying = host.domains().await?.into_iter();
        let dying = dying.filter(|domain| domain.power == PowerState::Dying);
        objects
            .extend(dying.map(|domain| format!("dying domain {} {}", domain.domid, domain.name)));
    }
    let left = Command::shell_line(LEFT).deadline(Duration::from_secs(60));
    objects.extend(host.dom0().text(&left).await?.lines().map(|line| line.trim().to_owned()));
    objects.sort();
    Ok(HostInventory { objects })
}
