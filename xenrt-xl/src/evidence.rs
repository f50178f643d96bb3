//! What a failure on a host calls for.

use std::time::Duration;

use xenrt_core::model::{EvidenceSource, LogSource};
use xenrt_core::remote::Command;

use crate::script::q;

/// The longest that one source may take: things are broken when evidence is collected.
const DEADLINE: Duration = Duration::from_secs(60);

/// The sources of a host whose folder for what this library makes is `work_folder`.
pub(crate) fn sources(work_folder: &str) -> Vec<EvidenceSource> {
    let folder = q(work_folder);
    let logs = "for f in /var/log/xen/*.log /var/log/xen/console/*.log; do \
                [ -f \"$f\" ] && { echo \"==> $f\"; tail -c 65536 -- \"$f\"; echo; }; done; true";
    let definitions = format!(
        "for f in {folder}/guests/*/definition.json {folder}/guests/*/guest.cfg; do \
         [ -f \"$f\" ] && {{ echo \"==> $f\"; cat -- \"$f\"; echo; }}; done; true"
    );
    let lines = [
        ("xl-dmesg.txt", "xl dmesg"),
        ("xl-info.txt", "xl info"),
        ("xl-list-v.txt", "xl list -v"),
        ("xl-list-l.txt", "xl list -l"),
        ("xl-vcpu-list.txt", "xl vcpu-list"),
        ("dmesg.txt", "dmesg"),
        ("xenstore.txt", "xenstore-ls -f"),
        ("xen-logs.txt", logs),
        ("definitions.txt", definitions.as_str()),
        ("network.txt", "ip -d address; ip route; ip neigh; bridge link"),
        ("disks.txt", "df -h; losetup -l; ls -lsR"),
        ("processes.txt", "ps -efww"),
    ];
    let source = |(file, line): (&str, &str)| {
        let line = if file == "disks.txt" { format!("{line} {folder}") } else { line.to_owned() };
        EvidenceSource {
            file: file.to_owned(),
            command: Command::shell_line(line).deadline(DEADLINE),
        }
    };
    lines.into_iter().map(source).collect()
}

/// The logs in which findings are looked for. `xl dmesg` is the ring of the hypervisor's console.
pub(crate) fn logs() -> Vec<LogSource> {
    let source = |name: &str, command: Command| LogSource {
        name: name.to_owned(),
        command: command.deadline(DEADLINE),
    };
    vec![
        source("kernel log", Command::new("dmesg")),
        source("hypervisor log", Command::new("xl").arg("dmesg")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_its_own_file_and_a_deadline() {
        let sources = sources("/var/lib/xen rt");
        let mut files: Vec<&str> = sources.iter().map(|source| source.file.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        assert_eq!(files.len(), sources.len());
        assert!(sources.iter().all(|source| source.command.deadline_value() == DEADLINE));
        let disks = sources.iter().find(|source| source.file == "disks.txt").unwrap();
        assert!(disks.command.to_string().ends_with("'/var/lib/xen rt'"));
    }
}
