//! Ending a run early.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use xenrt_core::model::Undo;
use xenrt_core::sequencer::{CancelHandle, CancelReason, EventKind, ExitCode};

use crate::support::{FakeLab, host_step, parallel, run_plan, test};

#[tokio::test(start_paused = true)]
async fn the_first_time_interrupts_undoes_and_releases() {
    let tests = vec![
        case!("t.long", cleanup: |cx| {
            cx.info("cleaned up");
            Ok(())
        }, |cx| {
            cx.default_host()?.create_basic_guest("a", "tiny").await?;
            tokio::time::sleep(Duration::from_secs(1000)).await;
            Ok(())
        }),
        case!("t.next", |_cx| { Ok(()) }),
    ];
    let cancel = CancelHandle::new();
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let hosts = vec![host_step(0, None, &["shared"])];
    let steps = vec![test("t.long"), test("t.next")];
    let (outline, ()) = tokio::join!(
        run_plan(tests, hosts, steps, cancel.clone(), |options| {
            options.provider = Some(Arc::<FakeLab>::clone(&lab));
        }),
        async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            cancel.cancel(CancelReason::CtrlC);
        }
    );
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    assert_eq!(outline.report.exit_code, ExitCode::Cancelled);
    assert!(lab.hosts[0].state.guests.lock().unwrap().is_empty());
    assert_eq!(*lab.log.lock().unwrap(), ["acquire 1", "release"]);
    let said = outline.shown(|what| match what {
        EventKind::Log { text, .. } => Some(text.clone()),
        EventKind::Cancelled { reason } => Some(format!("cancelled: {reason}")),
        _ => None,
    });
    assert_eq!(said, ["cancelled: Ctrl-C", "cleaned up"]);
}

#[tokio::test(start_paused = true)]
async fn the_second_time_ends_at_once_and_says_what_is_left() {
    let tests = vec![case!("t.stubborn", cleanup: |_cx| { std::future::pending().await }, |cx| {
        cx.on_cleanup(Undo::new("never", std::future::pending));
        std::future::pending().await
    })];
    let cancel = CancelHandle::new();
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let hosts = vec![host_step(0, None, &["shared"])];
    let started = tokio::time::Instant::now();
    let (outline, ()) = tokio::join!(
        run_plan(tests, hosts, vec![test("t.stubborn")], cancel.clone(), |options| {
            options.provider = Some(Arc::<FakeLab>::clone(&lab));
        }),
        async {
            for reason in [CancelReason::Terminated, CancelReason::CtrlC] {
                tokio::time::sleep(Duration::from_secs(10)).await;
                cancel.cancel(reason);
            }
        }
    );
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(outline.report.exit_code, ExitCode::Cancelled);
    assert_eq!(*lab.log.lock().unwrap(), ["acquire 1"]);
    let warnings = outline.shown(|what| match what {
        EventKind::Log { text, .. } => Some(text.clone()),
        _ => None,
    });
    insta::assert_snapshot!(warnings.join("\n"));
    assert!(matches!(outline.events.last().unwrap().what, EventKind::RunFinished { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_preparation_is_interrupted_too() {
    static CANCEL: OnceLock<CancelHandle> = OnceLock::new();
    let cancel = CANCEL.get_or_init(CancelHandle::new).clone();
    cancel.cancel(CancelReason::TimeIsOver);
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let tests = vec![case!("t.pass", |_cx| { Ok(()) })];
    let hosts = vec![host_step(0, None, &[])];
    let outline = run_plan(tests, hosts, vec![test("t.pass")], cancel, |options| {
        options.provider = Some(lab);
    })
    .await;
    assert_eq!(outline.report.exit_code, ExitCode::Cancelled);
    assert_eq!(outline.report.summary.blocked, 1);
}

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[tokio::test(start_paused = true)]
async fn all_parallel_tests_are_interrupted() {
    let tests = vec![case!("t.wait", cleanup: |cx| {
        SEEN.lock().unwrap().push(cx.name().to_owned());
        Ok(())
    }, |_cx| { std::future::pending().await })];
    let cancel = CancelHandle::new();
    let steps = vec![parallel(Some(2), (0..5).map(|_| test("t.wait")))];
    let (outline, ()) =
        tokio::join!(run_plan(tests, vec![], steps, cancel.clone(), |_| ()), async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            cancel.cancel(CancelReason::Asked("enough".into()));
        });
    assert_eq!(outline.report.summary.blocked, 5);
    // Those that ran were cleaned up, the others never began.
    let mut seen = SEEN.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, ["wait", "wait(1)"]);
}
