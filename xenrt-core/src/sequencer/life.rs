//! The life of one test, from its first event to its last.

use std::sync::Arc;

use tokio::time::Instant;

use super::body::{Task, Trouble, body, cleanup};
use super::claims::Held;
use super::evidence::{collect_evidence, save_leaks};
use super::finish::{check, find_leaks, undo_all};
use super::recover::wait_for_hosts;
use super::stop::Stop;
use super::walk::Ended;
use super::{EventKind, Level, Resources, TestIndex, findings};
use crate::testcase::{ErasedTestCase, Marks, Outcome, Phase, RunShared, TestContext};

/// One attempt at a test.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// From 1, in this round.
    pub(crate) attempt: u32,
    /// From 1.
    pub(crate) round: u32,
    /// The hosts that it claims, its default host first.
    pub(crate) hosts: Box<[usize]>,
    pub(crate) held: Arc<Held>,
    pub(crate) stop: Stop,
    pub(crate) resources: Arc<Resources>,
}

/// Runs a test: prepare, run, evidence where it did not pass, checks where it did, clean-up, undo,
/// comparison. Never fails: whatever goes wrong is the outcome of the test.
pub(super) async fn live(shared: &Arc<RunShared>, index: TestIndex, attempt: Attempt) -> Ended {
    let started = Instant::now();
    let cx = TestContext::new(Arc::clone(shared), index, attempt);
    let mut task = Task::start(&cx, body(cx.clone(), *cx.case().descriptor));
    let overdue = async {
        tokio::select! {
            _ = cx.stop().stopped() => {}
            () = tokio::time::sleep_until(cx.deadline()) => {}
        }
    };
    let (mut outcome, case) = match task.end(overdue, shared.grace).await {
        Ok(end) => (end.outcome, end.case),
        Err(trouble) => (trouble.outcome(cx.phase()), None),
    };
    if cx.has_used_anything()
        && outcome == Outcome::Passed
        && let Err(failed) = check(&cx).await
    {
        outcome = failed;
    }
    if cx.has_used_anything() {
        findings::look(&cx, started).await;
    }
    let went_wrong = !matches!(outcome, Outcome::Passed | Outcome::Skipped { .. });
    if went_wrong && cx.has_used_anything() {
        for news in wait_for_hosts(&cx, started).await {
            outcome.explain(&news);
        }
        collect_evidence(&cx, &outcome, started).await;
    }
    if let Some(case) = case {
        outcome = clean_up(&cx, case, outcome).await;
    }
    let mut marks = Marks::default();
    if cx.has_used_anything() {
        marks.leaked = undo_all(&cx).await;
        marks.leaked.extend(find_leaks(&cx).await);
        save_leaks(&cx, &marks.leaked);
    }
    if outcome == Outcome::Passed {
        for argument in cx.args().unread() {
            cx.warn(format!("the test did not read its argument {argument}"));
        }
    }
    Ended { outcome, marks, time: started.elapsed() }
}

async fn clean_up(
    cx: &TestContext,
    mut case: Box<dyn ErasedTestCase>,
    outcome: Outcome,
) -> Outcome {
    let reserve = cx.shared().cleanup_reserve;
    let mut task = Task::start(cx, {
        let cx = cx.clone();
        async move { cleanup(&cx, &mut case).await }
    });
    let trouble = match task.end(tokio::time::sleep(reserve), cx.shared().grace).await {
        Ok(Ok(())) => return outcome,
        Ok(Err(trouble)) | Err(trouble) => trouble,
    };
    match (outcome, trouble) {
        // A test that has nothing to clean up says so by the same word as everywhere.
        (outcome, Trouble::Error(error)) if error.is_skip() => outcome,
        (Outcome::Passed, trouble) => trouble.outcome(Phase::Cleanup),
        (outcome, trouble) => {
            let text = format!("clean-up: {}", trouble.outcome(Phase::Cleanup).message());
            cx.send(EventKind::Log { level: Level::Warning, text });
            outcome
        }
    }
}
