//! What stands on a host, for finding what a test left.

use std::time::Duration;

use xenrt_core::Result;
use xenrt_core::model::{HostInventory, PowerState};
use xenrt_core::remote::Shell;

use crate::error;
use crate::networks;
use crate::parse::{domain_list, sections};
use crate::script::{Script, q};

/// All processes, in one look: to ask about each one costs a program each, which an emulated host
/// takes 50 ms to start. `args` stands last, since it has spaces.
const PROCESSES: &str = "ps -e -ww -o pid= -o ppid= -o cgroup:256= -o args=";

/// Processes that somebody started through ssh and left: their parent is gone (so that init has
/// them) and their control group is that of an ssh session or of sshd. `xl` itself leaves one
/// process a domain, which goes with the domain.
fn left_processes(listed: &str) -> Vec<String> {
    let left = listed.lines().filter_map(|line| {
        let (pid, rest) = line.trim_start().split_once(char::is_whitespace)?;
        let (parent, rest) = rest.trim_start().split_once(char::is_whitespace)?;
        let (group, args) = rest.trim_start().split_once(char::is_whitespace)?;
        let args = args.trim();
        let program = args.split(char::is_whitespace).next()?;
        let name = program.rsplit('/').next()?.trim_end_matches(':');
        let of_ssh = group.contains("session-") || group.contains("/ssh");
        let expected = matches!(name, "xl" | "sshd" | "systemd" | "(sd-pam)");
        (parent == "1" && of_ssh && !expected).then(|| format!("process {pid} {args}"))
    });
    left.collect()
}

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
        .step(PROCESSES);
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
            _ => objects.extend(left_processes(part)),
        }
    }
    objects.sort();
    Ok(HostInventory { objects })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_login_left_to_init_is_told() {
        let session = "0::/user.slice/user-0.slice/session-7.scope";
        let listed = format!(
            "      1       0 0::/init.scope                    /lib/systemd/systemd --system\n\
             \u{20}   320       1 0::/system.slice/ssh.service      sshd: /usr/sbin/sshd -D [listener]\n\
             \u{20}   400       1 0::/system.slice/xenconsoled.service /usr/sbin/xenconsoled\n\
             \u{20}   500     499 {session}  sleep 100\n\
             \u{20}   501       1 {session}  tcpdump -i vif1.0 -w /tmp/a b\n\
             \u{20}   502       1 {session}  /usr/lib/xen-4.17/bin/xl create /etc/a.cfg\n\
             \u{20}   503       1 {session}  (sd-pam)\n\
             \u{20}   504       1 0::/system.slice/ssh.service  iperf -s\n"
        );
        assert_eq!(
            left_processes(&listed),
            ["process 501 tcpdump -i vif1.0 -w /tmp/a b", "process 504 iperf -s"]
        );
        assert!(left_processes("").is_empty() && left_processes("1\n1 2\n1 2 3\n").is_empty());
    }
}
