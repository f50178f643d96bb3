//! The journal onto the disk itself, now and then.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Calls `fdatasync` for a file that is written, in a thread of its own: it may take seconds on a
/// busy disk, and nobody waits for it but the end of a run.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    written: Arc<AtomicBool>,
    stop: Mutex<bool>,
    wake: Condvar,
}

/// At most so often.
const EVERY: Duration = Duration::from_secs(1);

impl Syncer {
    /// Syncs `file` whenever `written` was set. `problem` is told the first time that it fails.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        file: Arc<File>,
        written: Arc<AtomicBool>,
        problem: impl Fn(std::io::Error) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { written, stop: Mutex::default(), wake: Condvar::new() });
        let its = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("xenrt-sync".to_owned()).spawn(move || {
                let mut failed = false;
                loop {
                    let stop = its.wait();
                    if its.written.swap(false, Ordering::Relaxed)
                        && let Err(error) = file.sync_data()
                        && !std::mem::replace(&mut failed, true)
                    {
                        problem(error);
                    }
                    if stop {
                        return;
                    }
                }
            })?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Shared {
    /// Waits a while, and says whether it is over.
    fn wait(&self) -> bool {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.wake.wait_timeout_while(stop, EVERY, |stop| !*stop);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Syncs a last time, and ends the thread.
impl Drop for Syncer {
    fn drop(&mut self) {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there is nothing left to sync with.
            let _ = thread.join();
        }
    }
}
