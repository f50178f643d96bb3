//! How long things take, and time that costs nothing.

use std::time::Duration;

/// How long things take on the hosts of a simulated lab, on tokio's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimTiming {
    /// Any call of the toolstack or of a shell.
    pub call: Duration,
    /// A guest to shut down once it was asked.
    pub shutdown: Duration,
    /// A guest to boot, from started to a login that works.
    pub boot: Duration,
    /// A device, vCPU or memory change.
    pub device: Duration,
    /// A guest's memory to be written, read or sent.
    pub memory: Duration,
    /// A host to boot, from a reboot request to a login that works.
    pub host_boot: Duration,
}

impl SimTiming {
    /// Nothing takes time. The default.
    pub const INSTANT: Self = Self {
        call: Duration::ZERO,
        shutdown: Duration::ZERO,
        boot: Duration::ZERO,
        device: Duration::ZERO,
        memory: Duration::ZERO,
        host_boot: Duration::ZERO,
    };

    /// As on a small real host: calls of 20 ms, a boot of 8 s, a host's boot of 90 s. For a paused
    /// clock.
    pub const fn realistic() -> Self {
        Self {
            call: Duration::from_millis(20),
            shutdown: Duration::from_secs(3),
            boot: Duration::from_secs(8),
            device: Duration::from_millis(500),
            memory: Duration::from_secs(4),
            host_boot: Duration::from_secs(90),
        }
    }
}

impl Default for SimTiming {
    fn default() -> Self {
        Self::INSTANT
    }
}

/// Runs `future` to its end on a runtime of its own whose clock stands still while there is work
/// and jumps to the next deadline when there is none: pauses cost nothing. One thread, so that the
/// order of tasks is the same each time.
///
/// Only for what lives on tokio's clock: a future that waits for a process or a socket would see
/// its deadlines pass at once.
///
/// # Errors
/// When the runtime cannot be made.
pub fn virtual_time<F: Future>(future: F) -> std::io::Result<F::Output> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().start_paused(true).build()?.block_on(future))
}

/// Sleeps, without a visit to the timer when there is nothing to wait for.
pub(super) async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
