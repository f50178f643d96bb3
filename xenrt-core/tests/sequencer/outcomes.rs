//! Outcomes, blocking, parallel blocks, skips.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{FakeLab, blocker, host_step, parallel, run_plan, serial, test};
use xenrt_core::sequencer::{CancelHandle, EventKind, ExitCode, RunOptions};
use xenrt_core::testcase::TestError;

#[tokio::test(start_paused = true)]
async fn every_way_to_end_has_its_outcome() {
    let tests = vec![
        case!("t.pass", |cx| {
            cx.step("one");
            cx.value("speed", 1.5, "Mbit/s");
            Ok(())
        }),
        case!("t.fail", |_cx| { Err(TestError::product("lost 3 packets").context("sending")) }),
        case!("t.error", |_cx| { Err(std::io::Error::other("disk full").into()) }),
        case!("t.skip", |_cx| { Err(TestError::skip("no PVH here")) }),
        case!("t.panic", |_cx| { panic!("a bug in the test") }),
        case!("t.assert", |_cx| {
            let seen = 3;
            assert_eq!(seen, 4);
            Ok(())
        }),
        case!("t.slow", |_cx| { std::future::pending().await }),
        case!("t.unprepared", prepare: |_cx| { Err(TestError::product("cannot start")) }, |_cx| {
            Ok(())
        }),
        case!("t.messy", cleanup: |_cx| { Err(TestError::product("cannot tidy up")) }, |_cx| {
            Ok(())
        }),
    ];
    let steps = tests.iter().map(|known| test(known.id)).collect();
    let outline = run_plan(tests, vec![], steps, CancelHandle::new(), |_| ()).await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    assert_eq!(outline.report.exit_code, ExitCode::Failed);
    assert!(matches!(outline.events.last().unwrap().what, EventKind::RunFinished { .. }));
    let numbers: Vec<u64> = outline.events.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (0..outline.events.len() as u64).collect::<Vec<_>>());
}

static RELEASED: AtomicBool = AtomicBool::new(false);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_blocks_its_thread_is_given_up() {
    let mut blocking = case!("t.blocking", |_cx| {
        while !RELEASED.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    });
    blocking.timeout = Some(Duration::from_millis(50));
    let tests = vec![blocking, case!("t.next", |_cx| { Ok(()) })];
    let steps = vec![test("t.blocking"), test("t.next")];
    let short = |options: &mut RunOptions| options.grace = Duration::from_millis(50);
    let outline = run_plan(tests, vec![], steps, CancelHandle::new(), short).await;
    // The runtime waits for its threads when it is dropped.
    RELEASED.store(true, Ordering::SeqCst);
    let outcomes = outline.outcomes();
    assert!(outcomes[0].contains("blocks its thread"), "{outcomes:?}");
    assert_eq!(outcomes[1], "next: passed");
}

fn failing() -> Vec<xenrt_core::testcase::TestDescriptor> {
    vec![
        case!("t.pass", |_cx| { Ok(()) }),
        case!("t.fail", |_cx| { Err(TestError::product("no")) }),
        case!("t.skip", |_cx| { Err(TestError::skip("no")) }),
    ]
}

async fn outcomes(steps: Vec<xenrt_core::sequence::Node>) -> String {
    let outline = run_plan(failing(), vec![], steps, CancelHandle::new(), |_| ()).await;
    outline.outcomes().join("\n")
}

#[tokio::test]
async fn only_a_blocker_blocks_and_only_its_own_block() {
    insta::assert_snapshot!(
        "serial",
        outcomes(vec![
            test("t.fail"),
            test("t.pass"),
            serial([blocker(test("t.fail")), test("t.pass"), serial([test("t.pass")])]),
            test("t.pass"),
            blocker(serial([blocker(test("t.fail"))])),
            test("t.pass"),
        ])
        .await
    );
    insta::assert_snapshot!(
        "skipped_blocker",
        outcomes(vec![blocker(test("t.skip")), test("t.pass"),]).await
    );
    insta::assert_snapshot!(
        "parallel",
        outcomes(vec![
            blocker(parallel(
                Some(1),
                [
                    // A blocked block makes the parallel block blocked though it is no blocker itself.
                    serial([blocker(test("t.fail")), test("t.pass")]),
                    test("t.pass"),
                ]
            )),
            test("t.pass"),
        ])
        .await
    );
}

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[tokio::test(start_paused = true)]
async fn parallel_tests_run_side_by_side_and_no_more_than_workers_at_once() {
    let tests = vec![case!("t.wait", |_cx| {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(10)).await;
        NOW.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    })];
    for (workers, most, seconds) in [(Some(3), 3, 40), (None, 12, 10)] {
        MOST.store(0, Ordering::SeqCst);
        let started = tokio::time::Instant::now();
        let steps = vec![parallel(workers, (0..12).map(|_| test("t.wait")))];
        let outline = run_plan(tests.clone(), vec![], steps, CancelHandle::new(), |_| ()).await;
        assert_eq!(outline.report.summary.passed, 12);
        assert_eq!(MOST.load(Ordering::SeqCst), most);
        assert_eq!(started.elapsed().as_secs(), seconds);
    }
}

#[tokio::test]
async fn tests_that_lack_hosts_or_abilities_are_skipped_with_the_reason() {
    let mut two = case!("t.two", |_cx| { Ok(()) });
    two.requires.hosts = 2;
    let mut migrates = case!("t.migrates", |_cx| { Ok(()) });
    migrates.requires.abilities = &[xenrt_core::model::Ability::LiveMigration];
    let steps = || vec![test("t.two"), test("t.migrates")];
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let hosts = vec![host_step(0, None, &[])];
    let outline = run_plan(vec![two, migrates], hosts, steps(), CancelHandle::new(), |options| {
        options.provider = Some(lab);
    })
    .await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    assert_eq!(outline.report.exit_code, ExitCode::NothingRan);
}
