//! What stands on a host, for finding what a test left.

use std::time::Duration;

use xenrt_core::Result;
use xenrt_core::model::{HostInventory, PowerState};
use xenrt_core::remote::Shell;

use crate::error;
use crate::networks;
use crate::parse::{domain_list, sections};
use crate::script::{Script, q};

/// Processes that somebody started through ssh and left: their parent is gone (so that init has
/// them) and their control group is that of an ssh session or of sshd. `xl` itself leaves one
/// process a domain, which goes with the domain.
const LEFT_PROCESSES: &str = "ps -e -o pid= -o ppid= -o comm= | while read -r pid parent name; do \
    [ \"$parent\" = 1 ] || continue; \
    case \"$name\" in xl|sshd|systemd|'(sd-pam)') continue;; esac; \
    grep -qsE 'session-|/ssh' \"/proc/$pid/cgroup\" || continue; \
    echo \"$pid $(tr '\\0' ' ' <\"/proc/$pid/cmdline\" 2>/dev/null)\"; done";

/// Takes stock: domains, bridges that this library made, files in its folder, loop devices on
/// those, processes that were left.
pub(crate) async fn take(shell: &dyn Shell, work_folder: &str) -> Result<HostInventory> {
    let folder = q(work_folder);
    let script = Script::new()
        .section("domains")
        .list()
        .section("links")
        .step(networks::LIST)
        .section("files")
        .step(format!("[ ! -d {folder} ] || find {folder} -type f ! -name .lock"))
        .section("loops")
        .step("losetup -l -n -O NAME,BACK-FILE 2>/dev/null || true")
        .section("processes")
        .step(LEFT_PROCESSES);
    let command = script.command().deadline(Duration::from_secs(60));
    let text = error::text(shell, &command, "take stock of", "the host").await?;
    let mut objects = Vec::new();
    let lines = |class: &str, text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| format!("{class} {line}")).collect()
    };
    for (name, part) in sections(&text)? {
        match name {
            "domains" => {
                for domain in domain_list(part)?.iter().filter(|domain| domain.domid != 0) {
                    let view = domain.view();
                    objects.push(match view.power {
                        PowerState::Dying => format!("dying domain {} {}", view.domid, view.name),
                        _ => format!("domain {}", view.name),
                    });
                }
            }
            "links" => {
                let bridges = networks::own_bridges(part)?;
                objects.extend(bridges.into_iter().map(|name| format!("network {name}")));
            }
            "files" => objects.extend(lines("file", part)),
            "loops" => {
                let own = lines("loop", part).into_iter().filter(|line| line.contains(work_folder));
                objects.extend(own);
            }
            _ => objects.extend(lines("process", part)),
        }
    }
    objects.sort();
    Ok(HostInventory { objects })
}
