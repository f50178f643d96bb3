//! The life of one test, from its first event to its last.

use std::sync::Arc;

use tokio::time::Instant;

use super::body::{Task, Trouble, body, cleanup};
use super::evidence::{collect_evidence, save_leaks};
use super::finish::{check, find_leaks, undo_all};
use super::recover::wait_for_hosts;
use super::{EventKind, Level, TestIndex, findings};
use crate::model::{Ability, Host};
use crate::seconds::micros;
use crate::testcase::{ErasedTestCase, Marks, Outcome, Phase, RunShared, TestContext};

/// Runs a test: prepare, run, evidence where it did not pass, checks where it did, clean-up, undo,
/// comparison. Never fails: whatever goes wrong is the outcome of the test.
pub(super) async fn live(shared: &Arc<RunShared>, index: TestIndex) -> Outcome {
    let started = Instant::now();
    let events = &shared.events;
    if let Some(reason) = reason_to_skip(shared, index) {
        let outcome = Outcome::Skipped { reason };
        return finished(shared, index, outcome, Marks::default(), started);
    }
    events.send(
        Some(index),
        EventKind::TestStarted { attempt: 1, round: 1, lane: 0, hosts: Vec::new() },
    );
    let cx = TestContext::new(Arc::clone(shared), index, 1);
    let mut task = Task::start(&cx, body(cx.clone(), cx.case().descriptor));
    let overdue = async {
        tokio::select! {
            () = shared.cancel.cancelled() => {}
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
        for news in wait_for_hosts(&cx).await {
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
    finished(shared, index, outcome, marks, started)
}

fn finished(
    shared: &RunShared,
    index: TestIndex,
    outcome: Outcome,
    marks: Marks,
    started: Instant,
) -> Outcome {
    let seconds = micros(started.elapsed());
    let what = EventKind::TestFinished { outcome: outcome.clone(), marks, seconds };
    shared.events.send(Some(index), what);
    outcome
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

/// Why the test cannot run on the hosts of this run, if it cannot. The hosts that it would use are
/// its default host and those after it, from the first one again.
fn reason_to_skip(shared: &RunShared, index: TestIndex) -> Option<String> {
    let case = &shared.cases[index.0 as usize];
    let needs = &case.descriptor.requires;
    let hosts = &shared.resources.hosts;
    if hosts.is_empty() {
        // A test without any requirement may need no host at all.
        return (needs.hosts > 1 || !needs.abilities.is_empty())
            .then(|| "it needs a host, and the sequence prepares none".to_owned());
    }
    if needs.hosts > hosts.len() {
        return Some(format!("it needs {} hosts, and the run has {}", needs.hosts, hosts.len()));
    }
    // A `host` attribute that names no host is the test's error, not a reason to skip it.
    let first = match &case.host {
        Some(name) => shared.resources.host(name).ok()?,
        None => 0,
    };
    let mut used = hosts.iter().cycle().skip(first).take(needs.hosts.max(1));
    used.find_map(|host| lacking(host.host.as_ref(), needs.abilities))
}

fn lacking(host: &dyn Host, needed: &[Ability]) -> Option<String> {
    let error = needed.iter().find_map(|ability| host.require(*ability).err())?;
    Some(format!("host {}: {error}", host.name()))
}
