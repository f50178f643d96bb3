//! What a failure on a host calls for.

use std::time::Duration;

use xenrt_core::model::{EvidenceSource, LogSource};
use xenrt_core::remote::Command;

use crate::driver::Driver;
use crate::script::q;

/// The longest that one source may take: things are broken when evidence is collected.
const DEADLINE: Duration = Duration::from_secs(60);

/// The ends of the logs that libvirt's daemons and their guests write.
const LOGS: &str = "for f in /var/log/libvirt/*/*.log /var/log/libvirt/*.log \
                    /root/.cache/libvirt/*/log/*.log; do \
                    [ -f \"$f\" ] && { echo \"==> $f\"; tail -c 65536 -- \"$f\"; echo; }; done; true";

/// The sources of a host whose folder for what this library makes is `work_folder`.
pub(crate) fn sources(work_folder: &str) -> Vec<EvidenceSource> {
    let folder = q(work_folder);
    let disks = format!("df -h; ls -lsR {folder} 2>/dev/null; true");
    let consoles = format!(
        "for f in {folder}/guests/*/console.log /var/log/xen/console/*.log; do \
         [ -f \"$f\" ] && {{ echo \"==> $f\"; tail -c 65536 -- \"$f\"; echo; }}; done; true"
    );
    let lines = [
        ("processes.txt", "ps -efww"),
        ("dmesg.txt", "dmesg"),
        ("libvirt-logs.txt", LOGS),
        (
            "libvirt-journal.txt",
            "journalctl --no-pager -n 2000 -u libvirtd -u virtqemud -u virtxend",
        ),
        ("consoles.txt", consoles.as_str()),
        ("network.txt", "ip -d address; ip route; ip neigh; bridge link"),
        ("disks.txt", disks.as_str()),
    ];
    let source = |(file, line): (&str, &str)| EvidenceSource {
        file: file.to_owned(),
        command: Command::shell_line(line).deadline(DEADLINE),
    };
    lines.into_iter().map(source).collect()
}

/// The logs in which findings are looked for. Nothing of what the driver for tests does is in any.
pub(crate) fn logs(driver: Driver) -> Vec<LogSource> {
    let source = |name: &str, command: Command| LogSource {
        name: name.to_owned(),
        command: command.deadline(DEADLINE),
    };
    match driver {
        Driver::Test => Vec::new(),
        Driver::Qemu => vec![source("kernel log", Command::new("dmesg"))],
        Driver::Xen => vec![
            source("kernel log", Command::new("dmesg")),
            source("hypervisor log", Command::new("xl").arg("dmesg")),
        ],
    }
}
