//! A file system of dom0 that has no room: simulated hosts have none that could be full.

use std::sync::atomic::{AtomicBool, Ordering};

use xenrt::sim::{SimAnswer, SimLab};

/// Teaches a lab how it is made and filled, and what a guest is told when it writes to it. `hidden` is
/// whether it is told nothing.
pub(crate) fn teach(lab: &SimLab, hidden: bool) {
    let full = AtomicBool::new(false);
    lab.answer(move |place, line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match (place.guest, words.as_slice()) {
            (None, ["command", "-v", "fallocate" | "truncate" | "mountpoint"]) => {}
            (None, ["truncate", ..] | ["mount", "-t", "tmpfs", ..]) => {}
            (None, ["for", "try", ..]) if line.contains("umount") => {}
            (None, ["fallocate", ..]) => full.store(true, Ordering::Relaxed),
            (None, ["rm", path]) if path.ends_with("/filler") => {
                full.store(false, Ordering::Relaxed)
            }
            (Some(_), ["dd", "if=/dev/zero", "bs=1048576", ..]) => {
                if full.load(Ordering::Relaxed) && !hidden {
                    return Some(SimAnswer::failure(1, "dd: error writing: I/O error\n"));
                }
            }
            _ => return None,
        }
        Some(SimAnswer::success())
    });
}
