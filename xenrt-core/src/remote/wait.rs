//! Waiting for a condition, never for a time.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, Result};

/// What one look at a condition found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait<T> {
    /// It holds; this is what was waited for.
    Done(T),
    /// Not yet; this is what was seen, for the error that a deadline may bring.
    NotYet(String),
}

impl Wait<()> {
    /// Done where `holds`, else not yet, with `seen`.
    pub fn on(holds: bool, seen: impl Into<String>) -> Self {
        if holds { Self::Done(()) } else { Self::NotYet(seen.into()) }
    }
}

/// Waits until `look` finds its condition true.
///
/// `waiting_for` names the condition in the error: `guest tiny to be Running`. Looks come at once,
/// then with growing pauses (50 ms, up to a second). An error of a look ends the wait, but for a
/// connection that cannot be made or was lost, which counts as "not yet": what is waited for is
/// often a machine that comes back.
///
/// ```
/// # use std::time::Duration;
/// # use xenrt_core::remote::{wait_until, Wait};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut looks = 0;
/// let count = wait_until("the third look", || {
///     looks += 1;
///     let looks = looks;
///     async move { Ok(if looks == 3 { Wait::Done(looks) } else { Wait::NotYet(format!("{looks} looks")) }) }
/// })
/// .within(Duration::from_secs(5))
/// .await;
/// assert_eq!(count.unwrap(), 3);
/// # }
/// ```
///
/// # Errors
/// [`Error::Timeout`] with what was last seen, or the error of a look.
pub fn wait_until<F, Fut, T>(waiting_for: impl Into<String>, look: F) -> WaitUntil<F>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Wait<T>>>,
{
    WaitUntil { waiting_for: waiting_for.into(), look, longest_pause: Duration::from_secs(1) }
}

/// A wait that is being described; [`within`](Self::within) carries it out.
#[derive(Debug)]
#[must_use = "a wait does nothing until its deadline is set and it is awaited"]
pub struct WaitUntil<F> {
    waiting_for: String,
    look: F,
    longest_pause: Duration,
}

impl<F> WaitUntil<F> {
    /// The longest pause between two looks; 1 s unless set.
    pub fn pausing_at_most(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// Waits, at most `deadline`. The last look is made when the deadline has passed, so that a
    /// condition which came true in the last pause counts.
    ///
    /// # Errors
    /// [`Error::Timeout`] with what was last seen, or the error of a look. A look that does not
    /// return is given up with the deadline.
    pub async fn within<Fut, T>(mut self, deadline: Duration) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Wait<T>>>,
    {
        const FIRST_PAUSE: Duration = Duration::from_millis(50);
        // A look that began in time may take a little longer than the deadline to answer.
        let grace = (deadline / 10).clamp(Duration::from_millis(100), Duration::from_secs(10));
        let started = Instant::now();
        let mut pause = FIRST_PAUSE.min(self.longest_pause);
        let mut last_seen = String::from("nothing yet");
        loop {
            let left = deadline.saturating_sub(started.elapsed());
            match tokio::time::timeout(left + grace, (self.look)()).await {
                Ok(Ok(Wait::Done(value))) => return Ok(value),
                Ok(Ok(Wait::NotYet(seen))) => last_seen = seen,
                Ok(Err(Error::Remote(error))) if error.is_connection() => {
                    last_seen = error.to_string();
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => last_seen = format!("{last_seen} (and then no answer)"),
            }
            if started.elapsed() >= deadline {
                return Err(Error::Timeout {
                    waiting_for: self.waiting_for,
                    waited: started.elapsed(),
                    last_seen,
                });
            }
            tokio::time::sleep(pause.min(deadline.saturating_sub(started.elapsed()))).await;
            pause = (pause * 3 / 2).min(self.longest_pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_says_what_was_seen_last() {
        let error = wait_until("guest tiny to be Running", || async {
            Ok(Wait::<()>::NotYet("Paused".into()))
        })
        .within(Duration::from_secs(30))
        .await
        .unwrap_err();
        let Error::Timeout { waiting_for, last_seen, .. } = error else { panic!("{error}") };
        assert_eq!(
            (waiting_for.as_str(), last_seen.as_str()),
            ("guest tiny to be Running", "Paused")
        );
    }

    #[tokio::test]
    async fn a_lost_connection_is_not_the_end_but_a_refusal_is() {
        let mut looks = 0;
        let done = wait_until("it to come back", || {
            looks += 1;
            let error = crate::remote::RemoteError::Connect {
                target: "root@host".into(),
                message: "refused".into(),
                source: None,
            };
            let result = if looks < 3 { Err(error.into()) } else { Ok(Wait::Done(looks)) };
            async move { result }
        })
        .within(Duration::from_secs(5))
        .await;
        assert_eq!(done.unwrap(), 3);
        let refused = wait_until("x", || async { Err::<Wait<()>, _>(Error::invalid("a", "b")) })
            .within(Duration::from_secs(5))
            .await;
        assert!(matches!(refused, Err(Error::Invalid { .. })));
    }
}
