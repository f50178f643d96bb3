//! What `xl` and the servers of storage do in a real dom0, and busy guests that count for themselves:
//! simulated ones have none of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use xenrt::sim::{Fault, SimAnswer, SimLab};

/// Teaches a lab all of it.
pub(crate) fn teach(lab: &SimLab) {
    dumps(lab, "1\n");
    copies(lab, "12 101\n");
    storms(lab);
    served(lab);
}

/// Dumps of guests; `found` is how often one has in it what is looked for.
pub(crate) fn dumps(lab: &SimLab, found: &'static str) {
    lab.answer(move |place, line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some(match (place.guest, words.as_slice()) {
            (None, ["command", "-v", "xl"] | ["xl", "dump-core", ..]) => SimAnswer::success(),
            (None, ["stat", "-c", "%s", file]) if file.ends_with(".core") => {
                SimAnswer::text("269480960\n")
            }
            (None, ["head", "-c", "4", ..]) => SimAnswer::text("ELF"),
            (None, ["head", "-c", "65536", ..]) => SimAnswer::text("Xen\n"),
            (None, ["grep", "-a", "-c", "-F", ..]) => SimAnswer::text(found),
            _ => return None,
        })
    });
}

/// Copies between a disk and the memory of a guest, as the guest counts them; and what dom0 sends it.
pub(crate) fn copies(lab: &SimLab, counted: &'static str) {
    lab.answer(move |place, line| {
        place.guest?;
        if line.starts_with("iperf -c") && line.ends_with(" -R") {
            return crate::plant::iperf(12_500_000);
        }
        line.starts_with("up() {").then(|| SimAnswer::text(counted).taking(Duration::from_secs(1)))
    });
}

/// Events that a guest makes, and the interrupts that come of it.
fn storms(lab: &SimLab) {
    let interrupts = AtomicU64::new(100_000);
    lab.answer(move |place, line| {
        place.guest?;
        if line == "grep '^intr ' /proc/stat" {
            let sum = interrupts.fetch_add(200, Ordering::Relaxed);
            return Some(SimAnswer::text(format!("intr {sum} 12 0 9\n")));
        }
        let of_a_storm = ["/dev/console", "iflag=direct", "iperf -u"];
        let storms =
            line.starts_with("timeout ") && of_a_storm.iter().any(|own| line.contains(own));
        storms.then(|| {
            interrupts.fetch_add(50_000, Ordering::Relaxed);
            SimAnswer::success().taking(Duration::from_secs(20))
        })
    });
}

/// Disks of other hosts. A write waits where the path to its disk is cut.
fn served(lab: &SimLab) {
    let own = lab.clone();
    lab.answer(move |place, line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (place.guest, words.as_slice()) {
            (None, ["command", "-v", "exportfs" | "mount.nfs" | "tgtadm" | "iscsiadm"]) => {}
            (None, ["ip", "-o", "-4", "addr", "show", ..]) => {
                let number = place.host.trim_start_matches(|c: char| !c.is_ascii_digit());
                return Some(SimAnswer::text(format!("2: eth0 inet 192.168.99.{number}/24\n")));
            }
            (None, ["ping", .., to]) if to.starts_with("192.168.99.") => {}
            (None, ["systemctl", "is-active", ..]) => return Some(SimAnswer::failure(3, "")),
            (
                None,
                ["iscsiadm", _, "node", _, target, _, portal, how @ ("--login" | "--logout")],
            ) => {
                let disk = format!("/dev/disk/by-path/ip-{portal}-iscsi-{target}-lun-1");
                own.set_file(place.host, &disk, *how == "--login").unwrap();
            }
            (None, ["exportfs" | "tgtadm" | "iscsiadm" | "rmdir", ..]) => {}
            (None, ["systemctl", "start" | "stop", "nfs-server" | "tgt"]) => {}
            (None, ["mount", "-t", "nfs", ..] | ["test", "-b", ..]) => {}
            (None, ["nft", ..]) if is_cut(line) => {
                // The second disk of the guest is the one that is served.
                let waits = Fault::latency(Duration::from_secs(30)).command("of=/dev/xvdb");
                own.inject(waits.times(1));
            }
            _ => return None,
        }
        Some(SimAnswer::success())
    });
}

fn is_cut(line: &str) -> bool {
    line.contains("xenrt_path output") && line.contains(" drop")
}

/// Writes to a disk whose server cannot be reached are called done.
pub(crate) fn writes_into_nothing(lab: &SimLab) {
    lab.answer(|_, line| is_cut(line).then(SimAnswer::success));
}

/// Writes to a disk whose server cannot be reached fail at once.
pub(crate) fn writes_that_do_not_wait(lab: &SimLab) {
    let cut = AtomicU64::new(0);
    lab.answer(move |place, line| {
        if is_cut(line) {
            cut.store(1, Ordering::Relaxed);
            return Some(SimAnswer::success());
        }
        let fails = place.guest.is_some()
            && line.contains("of=/dev/xvdb")
            && cut.swap(0, Ordering::Relaxed) == 1;
        fails.then(|| SimAnswer::failure(1, "dd: error writing: I/O error\n"))
    });
}
