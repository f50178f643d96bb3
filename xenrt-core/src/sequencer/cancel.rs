//! Ending a run early.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Why a run is to end early. Ordered: of two reasons the greater one is the more urgent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CancelReason {
    /// The program that embeds the run asked for it, with these words.
    Asked(String),
    /// The run's time is over.
    TimeIsOver,
    /// SIGTERM.
    Terminated,
    /// SIGINT: somebody pressed Ctrl-C.
    CtrlC,
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked(words) => words,
            Self::TimeIsOver => "the run's time is over",
            Self::Terminated => "SIGTERM",
            Self::CtrlC => "Ctrl-C",
        })
    }
}

/// The end of a run, in the hands of whoever may decide it. Clones share it.
///
/// The first [`cancel`](Self::cancel) ends the run in order: no test is started any more, the
/// running ones are interrupted at their next `await`, what was created is undone, the lab is
/// released. The second one ends it at once: nothing more is undone, and the run says what may be
/// left.
#[derive(Debug, Clone)]
pub struct CancelHandle(Arc<watch::Sender<State>>);

#[derive(Debug, Clone, Default)]
struct State {
    times: u32,
    reason: Option<CancelReason>,
}

impl Default for CancelHandle {
    fn default() -> Self {
        Self::new()
    }
}

impl CancelHandle {
    /// A handle that nobody has used yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    /// Asks the run to end; see [`CancelHandle`] for what the first and the second time mean. The
    /// reason that is reported is the most urgent one.
    pub fn cancel(&self, reason: CancelReason) {
        self.0.send_modify(|state| {
            state.times += 1;
            state.reason = state.reason.take().max(Some(reason));
        });
    }

    /// Why the run was cancelled; `None` while it was not.
    pub fn reason(&self) -> Option<CancelReason> {
        self.0.borrow().reason.clone()
    }

    /// Whether the run was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.borrow().times > 0
    }

    /// Whether the run was cancelled twice.
    pub fn is_hard(&self) -> bool {
        self.0.borrow().times > 1
    }

    /// Returns once the run is cancelled.
    pub async fn cancelled(&self) {
        self.reached(1).await;
    }

    /// Returns once the run is cancelled a second time.
    pub async fn hard(&self) {
        self.reached(2).await;
    }

    async fn reached(&self, times: u32) {
        let mut receiver = self.0.subscribe();
        if receiver.wait_for(|state| state.times >= times).await.is_err() {
            // `self` holds a sender, so the channel cannot be closed; if it were, nobody could
            // ever cancel.
            std::future::pending::<()>().await;
        }
    }
}

/// Cancels on SIGINT (Ctrl-C) and SIGTERM, for programs that run sequences: once for an end in
/// order, twice for an end at once. Must be called inside a tokio runtime; the signals keep this
/// meaning until the runtime ends.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn cancel_on_ctrl_c(handle: &CancelHandle) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let handle = handle.clone();
    tokio::spawn(async move {
        loop {
            let reason = tokio::select! {
                Some(()) = interrupt.recv() => CancelReason::CtrlC,
                Some(()) = terminate.recv() => CancelReason::Terminated,
                else => return,
            };
            handle.cancel(reason);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_time_is_hard_and_the_most_urgent_reason_is_told() {
        let handle = CancelHandle::new();
        assert!(!handle.is_cancelled());
        handle.cancel(CancelReason::CtrlC);
        handle.cancelled().await;
        assert!(handle.is_cancelled() && !handle.is_hard());
        handle.cancel(CancelReason::TimeIsOver);
        handle.hard().await;
        assert_eq!(handle.reason(), Some(CancelReason::CtrlC));
    }
}
