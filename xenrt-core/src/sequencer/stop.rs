//! When tests are to stop that did not end by themselves.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::{CancelHandle, CancelReason};
use crate::seconds::Readable;
use crate::testcase::Phase;

/// When the tests of a part of a run are to stop: when the run is cancelled, or when the time of a
/// block around them is over. Clones and parts share what they know.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    cancel: CancelHandle,
    /// When a `finally` block first knew that the run is cancelled: its time is counted from there.
    cancelled_at: Arc<OnceLock<Instant>>,
    /// How long after a cancellation there still is time.
    kept_back: Duration,
    until: Option<(Instant, Arc<str>)>,
}

/// Why tests are to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The run was cancelled.
    Cancelled(CancelReason),
    /// The time of a block is over, in words.
    TimeIsOver(Arc<str>),
}

impl StopReason {
    /// By what a test is blocked that had not begun.
    pub(crate) fn before(&self) -> String {
        match self {
            Self::Cancelled(reason) => format!("the run was cancelled ({reason})"),
            Self::TimeIsOver(what) => what.to_string(),
        }
    }

    /// By what a test is blocked that was at work.
    pub(crate) fn during(&self, phase: Phase) -> String {
        match self {
            Self::Cancelled(reason) => {
                format!("the run was cancelled while the test was in {phase} ({reason})")
            }
            Self::TimeIsOver(what) => format!("{what}; the test was in {phase}"),
        }
    }
}

impl Stop {
    /// When the run is cancelled.
    pub(crate) fn when_cancelled(cancel: CancelHandle) -> Self {
        Self { cancel, cancelled_at: Arc::default(), kept_back: Duration::ZERO, until: None }
    }

    /// Also when `time` is over; `what` says so in words.
    pub(super) fn after(&self, time: Duration, what: impl FnOnce() -> String) -> Self {
        let deadline = Instant::now() + time;
        if self.until.as_ref().is_some_and(|(earlier, _)| *earlier <= deadline) {
            return self.clone();
        }
        Self { until: Some((deadline, what().into())), ..self.clone() }
    }

    /// For a `finally` block: where this says stop, there still is `reserve` for it.
    pub(super) fn for_finally(&self, reserve: Duration) -> Self {
        let until = self.until.as_ref().map(|(deadline, _)| {
            let what =
                format!("the time that is kept back for `finally` is over ({})", Readable(reserve));
            ((*deadline).max(Instant::now()) + reserve, what.into())
        });
        let kept_back = self.kept_back + reserve;
        Self { until, kept_back, cancelled_at: Arc::default(), cancel: self.cancel.clone() }
    }

    /// Why tests are to stop, if they are.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        if let Some(reason) = self.cancel.reason() {
            let seen = *self.cancelled_at.get_or_init(Instant::now);
            if seen.elapsed() >= self.kept_back {
                return Some(StopReason::Cancelled(reason));
            }
        }
        let (deadline, what) = self.until.as_ref()?;
        (Instant::now() >= *deadline).then(|| StopReason::TimeIsOver(Arc::clone(what)))
    }

    /// Returns once tests are to stop.
    pub(crate) async fn stopped(&self) -> StopReason {
        let cancelled = async {
            self.cancel.cancelled().await;
            let seen = *self.cancelled_at.get_or_init(Instant::now);
            tokio::time::sleep_until(seen + self.kept_back).await;
            self.cancel.reason().unwrap_or(CancelReason::TimeIsOver)
        };
        let Some((deadline, what)) = &self.until else {
            return StopReason::Cancelled(cancelled.await);
        };
        tokio::select! {
            biased;
            reason = cancelled => StopReason::Cancelled(reason),
            () = tokio::time::sleep_until(*deadline) => StopReason::TimeIsOver(Arc::clone(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_finally_block_has_its_time_after_all_others_must_stop() {
        let cancel = CancelHandle::new();
        let run = Stop::when_cancelled(cancel.clone());
        let block = run.after(Duration::from_secs(10), || "the block is over".to_owned());
        let inner = block.after(Duration::from_secs(99), || "never told".to_owned());
        assert_eq!(inner.stopped().await, StopReason::TimeIsOver("the block is over".into()));
        assert_eq!(run.reason(), None);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let finally = block.for_finally(Duration::from_secs(60));
        assert_eq!(finally.reason(), None);
        let began = Instant::now();
        finally.stopped().await;
        assert_eq!(began.elapsed().as_secs(), 60);

        let finally = run.for_finally(Duration::from_secs(60));
        cancel.cancel(CancelReason::CtrlC);
        assert_eq!(run.reason(), Some(StopReason::Cancelled(CancelReason::CtrlC)));
        assert_eq!(finally.reason(), None);
        let began = Instant::now();
        assert_eq!(finally.stopped().await, StopReason::Cancelled(CancelReason::CtrlC));
        assert_eq!(began.elapsed().as_secs(), 60);
        assert!(finally.reason().is_some());
    }
}
