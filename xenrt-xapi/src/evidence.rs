//! What a failure on a host calls for.

use std::time::Duration;

use xenrt_core::model::EvidenceSource;
use xenrt_core::remote::Command;

/// The longest that one source may take: things are broken when evidence is collected.
const DEADLINE: Duration = Duration::from_secs(60);

/// The sources of a host.
pub(crate) fn sources() -> Vec<EvidenceSource> {
    let logs = "for f in /var/log/xensource.log /var/log/SMlog /var/log/xen/hypervisor.log \
                /var/log/daemon.log /var/crash/*/xen.log; do \
                [ -f \"$f\" ] && { echo \"==> $f\"; tail -c 131072 -- \"$f\"; echo; }; done; true";
    let xe = crate::xe::bare;
    let lines = [
        ("xe-host-list.txt", xe("host-list params=all")),
        ("xe-pool-list.txt", xe("pool-list params=all")),
        ("xe-vm-list.txt", xe("vm-list params=all")),
        ("xe-snapshot-list.txt", xe("snapshot-list params=all")),
        ("xe-vbd-list.txt", xe("vbd-list params=all")),
        ("xe-vif-list.txt", xe("vif-list params=all")),
        ("xe-vdi-list.txt", xe("vdi-list params=all")),
        ("xe-sr-list.txt", xe("sr-list params=all")),
        ("xe-network-list.txt", xe("network-list params=all")),
        ("xe-pif-list.txt", xe("pif-list params=all")),
        ("xe-task-list.txt", xe("task-list params=all")),
        ("xe-message-list.txt", xe("message-list")),
        ("xe-host-crashdump-list.txt", xe("host-crashdump-list params=all")),
        ("xl-dmesg.txt", "xl dmesg".to_owned()),
        ("xl-list.txt", "xl list -v".to_owned()),
        ("dmesg.txt", "dmesg".to_owned()),
        ("logs.txt", logs.to_owned()),
        ("network.txt", "ip -d address; ip route; ip neigh".to_owned()),
        ("disks.txt", "df -h; lsblk; ls -l /var/crash".to_owned()),
        ("processes.txt", "ps -efww".to_owned()),
    ];
    let source = |(file, line): (&str, String)| EvidenceSource {
        file: file.to_owned(),
        command: Command::shell_line(line).deadline(DEADLINE),
    };
    lines.into_iter().map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_its_own_file_and_a_deadline() {
        let sources = sources();
        let mut files: Vec<&str> = sources.iter().map(|source| source.file.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        assert_eq!(files.len(), sources.len());
        assert!(sources.iter().all(|source| source.command.deadline_value() == DEADLINE));
    }
}
