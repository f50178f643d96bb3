//! What stands on a host, for finding what a test left.

use std::time::Duration;

use xenrt_core::Result;
use xenrt_core::model::{Host as _, HostInventory, PowerState};
use xenrt_core::remote::{Command, ShellExt as _};

use crate::host::XapiHost;
use crate::parse::{minimal, records};
use crate::xe::XeCommand;
use crate::{networks, observe};

/// Processes that somebody started through ssh and left: their parent is gone and their control
/// group is that of an ssh session; and what `xe` was given for as long as a command lasts.
const LEFT: &str = "ps -e -o pid= -o ppid= -o comm= | while read -r pid parent name; do \
    [ \"$parent\" = 1 ] || continue; \
    case \"$name\" in sshd|systemd|'(sd-pam)') continue;; esac; \
    grep -qsE 'session-|/ssh' \"/proc/$pid/cgroup\" || continue; \
    echo \"process $pid $(tr '\\0' ' ' <\"/proc/$pid/cmdline\" 2>/dev/null)\"; done; \
    for f in \"${TMPDIR:-/tmp}\"/xenrt-xe.*; do [ ! -e \"$f\" ] || echo \"file $f\"; done; true";

/// Takes stock: VMs and which of them have a domain, snapshots, disks (by the UUIDs of their VDIs,
/// which are their paths here), networks that this library made, dying domains, processes
/// and files that were left. What belongs to the whole pool is told by its coordinator alone. Five
/// calls.
pub(crate) async fn take(host: &XapiHost) -> Result<HostInventory> {
    let commands = [
        XeCommand::new("vm-list").param("is-control-domain", "false").fields(&[
            "uuid",
            "name-label",
            "power-state",
            "resident-on",
        ]),
        XeCommand::new("snapshot-list"),
        XeCommand::new("vdi-list").minimal(),
        networks::list_command(),
        XeCommand::new("pool-list").param("master", host.uuid().to_string()),
    ];
    let (xe, dom0) = (host.xe(), host.dom0());
    let left = Command::shell_line(LEFT).deadline(Duration::from_secs(60));
    // Nobody waits for the other.
    let (answers, dying, left) =
        tokio::join!(xe.run_all(&commands), dying_domains(host), dom0.text(&left));
    let answers = answers.map_err(|error| error.during("take stock of", "the pool"))?;
    let mut objects = Vec::new();
    // What belongs to the pool is told once, by its coordinator.
    let coordinator = answers.get(4).is_some_and(|pool| !pool.is_empty());
    for (class, text) in ["guest", "snapshot"].into_iter().zip(&answers) {
        for record in records(text) {
            let record = record?;
            let name = record.get("name-label").unwrap_or_default();
            if coordinator {
                objects.push(format!("{class} {name}"));
            }
            let state = record.get("power-state").map(observe::power).transpose()?;
            let here = record.get("resident-on").and_then(|uuid| uuid.parse().ok());
            if here == Some(host.uuid()) && state.is_some_and(PowerState::has_domain) {
                objects.push(format!("domain {name}"));
            }
        }
    }
    if let Some(text) = answers.get(2).filter(|_| coordinator) {
        objects.extend(minimal(text)?.into_iter().map(|uuid| format!("file {uuid}")));
    }
    if let Some(text) = answers.get(3).filter(|_| coordinator) {
        let own = networks::read(text)?.into_iter().filter(|network| network.own);
        objects.extend(own.map(|network| format!("network {}", network.name)));
    }
    objects.extend(dying?);
    objects.extend(left?.lines().map(|line| line.trim().to_owned()));
    objects.sort();
    Ok(HostInventory { objects })
}

/// Domains that do not go away, where the hypervisor can be asked.
async fn dying_domains(host: &XapiHost) -> Result<Vec<String>> {
    if !host.shared.has_xl {
        return Ok(Vec::new());
    }
    let dying = host.domains().await?.into_iter();
    let dying = dying.filter(|domain| domain.power == PowerState::Dying);
    Ok(dying.map(|domain| format!("dying domain {} {}", domain.domid, domain.name)).collect())
}
