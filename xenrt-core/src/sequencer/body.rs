//! What the author of a test wrote, run so that it cannot end more than itself.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::panics::{CaughtPanic, catch, catch_now};
use super::stop::{Stop, StopReason};
use crate::Blame;
use crate::seconds::Readable;
use crate::testcase::{
    ErasedTestCase, Outcome, Phase, TestContext, TestDescriptor, TestError, TestResult,
};

tokio::task_local! {
    /// The test whose task this is: commands that are run through handles of the preparation are
    /// recorded for it.
    pub(super) static CURRENT_TEST: TestContext;
}

/// Why a part of a test did not come to its end as it should.
#[derive(Debug)]
pub(super) enum Trouble {
    Error(TestError),
    Panic(CaughtPanic),
    TimedOut(Duration),
    Stopped(StopReason),
    /// It kept its thread and did not listen.
    Stuck(Duration),
}

/// What came of `prepare` and `run`.
pub(super) struct BodyEnd {
    pub(super) outcome: Outcome,
    /// The prepared test, where its clean-up is still to be done.
    pub(super) case: Option<Box<dyn ErasedTestCase>>,
}

/// Runs `prepare` and `run` of a test, and its clean-up too where nothing is to be done between.
pub(super) async fn body(cx: TestContext, descriptor: TestDescriptor) -> BodyEnd {
    let limits = Limits { cx: &cx, deadline: cx.deadline(), stop: Some(cx.stop()) };
    let mut case = match catch_now(descriptor.make) {
        Ok(case) => case,
        Err(panic) => {
            return BodyEnd { outcome: Trouble::Panic(panic).outcome(Phase::Prepare), case: None };
        }
    };
    if let Err(trouble) = limits.watch(case.prepare(&cx)).await {
        return BodyEnd { outcome: trouble.outcome(Phase::Prepare), case: None };
    }
    cx.enter(Phase::Run);
    cx.show_phase();
    let outcome = match limits.watch(case.run(&cx)).await {
        Ok(()) => Outcome::Passed,
        Err(trouble) => trouble.outcome(Phase::Run),
    };
    if outcome != Outcome::Passed || cx.has_used_anything() {
        return BodyEnd { outcome, case: Some(case) };
    }
    let outcome = match cleanup(&cx, &mut case).await {
        Ok(()) => Outcome::Passed,
        Err(trouble) => trouble.outcome(Phase::Cleanup),
    };
    BodyEnd { outcome, case: None }
}

/// Runs the clean-up of a test. A cancellation does not end it: it is what a cancelled run waits
/// for.
pub(super) async fn cleanup(
    cx: &TestContext,
    case: &mut Box<dyn ErasedTestCase>,
) -> Result<(), Trouble> {
    cx.enter(Phase::Cleanup);
    let deadline = Instant::now() + cx.shared().cleanup_reserve;
    Limits { cx, deadline, stop: None }.watch(case.cleanup(cx)).await
}

/// How long a part of a test may go on.
struct Limits<'a> {
    cx: &'a TestContext,
    deadline: Instant,
    stop: Option<&'a Stop>,
}

impl Limits<'_> {
    async fn watch(&self, part: BoxFuture<'_, TestResult>) -> Result<(), Trouble> {
        let started = Instant::now();
        let mut part = catch(part);
        // Most parts of most small tests are ready at once and need no timer.
        let first = futures::poll!(&mut part);
        let result = match first {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => {
                self.cx.show_phase();
                tokio::select! {
                    biased;
                    result = &mut part => result,
                    reason = self.stopped() => return Err(Trouble::Stopped(reason)),
                    () = tokio::time::sleep_until(self.deadline) => {
                        return Err(Trouble::TimedOut(started.elapsed()));
                    }
                }
            }
        };
        match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Trouble::Error(error)),
            Err(panic) => Err(Trouble::Panic(panic)),
        }
    }

    async fn stopped(&self) -> StopReason {
        let Some(stop) = self.stop else { return std::future::pending().await };
        stop.stopped().await
    }
}

impl Trouble {
    /// The outcome of a test that had this trouble in `phase`.
    ///
    /// An error decides by its [blame](TestError::blame), but in `prepare` and `cleanup`, where
    /// nothing is a verdict on the product. A panic speaks of the test, except that of an assertion
    /// in `run`, which is its author's verdict. So does a test that takes too long: each remote
    /// call has a deadline of its own, which speaks of the product when it passes.
    pub(super) fn outcome(self, phase: Phase) -> Outcome {
        let verdict = phase == Phase::Run;
        match self {
            Self::Error(error) => match error.blame() {
                None => Outcome::Skipped { reason: error.to_string() },
                Some(Blame::Product) if verdict => {
                    Outcome::Failed { phase, message: format!("{error:?}") }
                }
                Some(blame) => Outcome::Errored { phase, blame, message: format!("{error:?}") },
            },
            Self::Panic(panic) if verdict && panic.is_assertion() => {
                Outcome::Failed { phase, message: panic.to_string() }
            }
            Self::Panic(panic) => {
                Outcome::Errored { phase, blame: Blame::Test, message: panic.to_string() }
            }
            Self::TimedOut(waited) => Outcome::Errored {
                phase,
                blame: Blame::Test,
                message: format!(
                    "{phase} did not end in the time that it has, {}",
                    Readable(waited)
                ),
            },
            Self::Stuck(waited) => Outcome::Errored {
                phase,
                blame: Blame::Test,
                message: format!(
                    "{phase} did not end in {} and cannot be interrupted: it blocks its thread; use \
                     `tokio::task::spawn_blocking` for what blocks",
                    Readable(waited)
                ),
            },
            Self::Stopped(reason) => Outcome::Blocked { by: reason.during(phase) },
        }
    }
}

/// A task that is told to stop when nobody waits for it any more.
pub(super) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    /// Starts a task in the name of a test.
    pub(super) fn start(cx: &TestContext, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(CURRENT_TEST.scope(cx.clone(), work)))
    }

    /// Starts a task in the name of nobody.
    pub(super) fn start_plain(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Waits for its end. When `overdue` comes first, the task has `grace` to end and is given up
    /// then. So is one that panics: its work catches the panics of the author's code itself,
    /// but not those of their destructors.
    ///
    /// # Errors
    /// Why it was given up.
    pub(super) async fn end(
        &mut self,
        overdue: impl Future<Output = ()>,
        grace: Duration,
    ) -> Result<T, Trouble> {
        let started = Instant::now();
        let late = async {
            overdue.await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            biased;
            result = self.ended() => result.map_err(Trouble::Panic),
            () = late => Err(Trouble::Stuck(started.elapsed())),
        }
    }
}

impl<T> Task<T> {
    /// Waits for its end.
    ///
    /// # Errors
    /// Its panic.
    pub(super) async fn ended(&mut self) -> Result<T, CaughtPanic> {
        let error = match (&mut self.0).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        Err(match error.try_into_panic() {
            Ok(payload) => CaughtPanic::without_place(payload.as_ref()),
            Err(_) => CaughtPanic { message: "the runtime shut down".to_owned(), place: None },
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The context of the test whose task this is, if it is one's.
pub(super) fn current_test() -> Option<TestContext> {
    CURRENT_TEST.try_with(Clone::clone).ok()
}
