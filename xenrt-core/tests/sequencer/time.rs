//! Timeouts of blocks and the time of a run.

use std::sync::Arc;
use std::time::Duration;

use xenrt_core::sequence::Node;
use xenrt_core::sequencer::{CancelHandle, EventKind, ExitCode};
use xenrt_core::testcase::TestDescriptor;

use crate::support::{
    FakeLab, blocker, finally, host_step, parallel, run_plan, serial, test, with, with_block,
};

fn tests() -> Vec<TestDescriptor> {
    vec![
        case!("t.pass", |_cx| { Ok(()) }),
        case!("t.wait", |_cx| {
            tokio::time::sleep(Duration::from_secs(100)).await;
            Ok(())
        }),
        case!("t.guest", cleanup: |cx| {
            cx.info("cleaned up");
            Ok(())
        }, |cx| {
            cx.default_host()?.create_basic_guest("a", "tiny").await?;
            std::future::pending().await
        }),
    ]
}

fn within(node: Node, seconds: u64) -> Node {
    with_block(node, |block| block.timeout = Some(Duration::from_secs(seconds)))
}

#[tokio::test(start_paused = true)]
async fn what_has_not_ended_in_the_time_of_a_block_is_blocked_by_it_and_finally_still_runs() {
    let steps = vec![
        within(
            finally(
                serial([test("t.pass"), test("t.guest"), test("t.pass")]),
                [with(test("t.wait"), |test| test.name = Some("finally".into()))],
            ),
            50,
        ),
        // The time of an outer block counts for the inner ones too.
        within(parallel(None, [within(serial([test("t.wait")]), 500), test("t.wait")]), 60),
        within(serial([test("t.wait")]), 500),
        // A test that is over its own time is its own fault.
        within(
            serial([with(test("t.wait"), |test| test.timeout = Some(Duration::from_secs(20)))]),
            50,
        ),
        test("t.pass"),
    ];
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let hosts = vec![host_step(0, None, &[])];
    let started = tokio::time::Instant::now();
    let outline = run_plan(tests(), hosts, steps, CancelHandle::new(), |options| {
        options.provider = Some(Arc::<FakeLab>::clone(&lab));
    })
    .await;
    assert_eq!(started.elapsed().as_secs(), 50 + 100 + 60 + 100 + 20);
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    let cleaned = outline.shown(|what| match what {
        EventKind::Log { text, .. } => Some(text.clone()),
        EventKind::Undone { undo, .. } => Some(undo.clone()),
        _ => None,
    });
    assert_eq!(cleaned, ["cleaned up", "delete guest \"a\""]);
    assert!(lab.hosts[0].state.guests.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_test_that_waits_for_its_host_is_blocked_when_the_time_is_over() {
    let alone =
        || with(test("t.wait"), |test| test.claim = Some(xenrt_core::sequence::Claim::Exclusive));
    let limited = within(serial([alone()]), 50);
    let steps = vec![
        parallel(None, [alone(), blocker(limited)]),
        serial([blocker(within(serial([test("t.wait")]), 50)), test("t.pass")]),
        test("t.pass"),
    ];
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let hosts = vec![host_step(0, None, &[])];
    let outline = run_plan(tests(), hosts, steps, CancelHandle::new(), |options| {
        options.provider = Some(lab);
    })
    .await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_run_keeps_time_back_for_finally_and_for_giving_everything_back() {
    let steps =
        vec![finally(serial([test("t.wait"), test("t.guest")]), [test("t.wait")]), test("t.wait")];
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let hosts = vec![host_step(0, None, &["shared"])];
    let started = tokio::time::Instant::now();
    let outline = run_plan(tests(), hosts, steps, CancelHandle::new(), |options| {
        options.provider = Some(Arc::<FakeLab>::clone(&lab));
        options.time_limit = Some(Duration::from_secs(3600));
        options.finally_reserve = Duration::from_secs(300);
    })
    .await;
    assert_eq!(started.elapsed().as_secs(), 3300 + 100);
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    assert_eq!(outline.report.exit_code, ExitCode::Cancelled);
    assert!(lab.hosts[0].state.guests.lock().unwrap().is_empty());
    assert_eq!(*lab.log.lock().unwrap(), ["acquire 1", "release"]);
    let cancelled = outline.shown(|what| match what {
        EventKind::Cancelled { reason } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(cancelled, ["the run's time is over"]);
}
