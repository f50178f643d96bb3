//! `finally`, `depends`, actions.

use std::sync::Arc;
use std::time::Duration;

use xenrt_core::sequence::{Action, Dependency, Node, Place, Rounds};
use xenrt_core::sequencer::{CancelHandle, CancelReason, EventKind, ExitCode, Plan, Selection};
use xenrt_core::testcase::{Registry, TestDescriptor, TestError};

use crate::support::{
    FakeLab, Outline, action, blocker, finally, host_step, parallel, run_plan, sequence, serial,
    test, with, with_block,
};

fn tests() -> Vec<TestDescriptor> {
    vec![
        case!("t.pass", |_cx| { Ok(()) }),
        case!("t.fail", |_cx| { Err(TestError::product("no")) }),
        case!("t.skip", |_cx| { Err(TestError::skip("no")) }),
        case!("t.wait", |_cx| {
            tokio::time::sleep(Duration::from_secs(100)).await;
            Ok(())
        }),
        case!("t.host", |cx| {
            cx.default_host()?;
            Ok(())
        }),
    ]
}

async fn run(steps: Vec<Node>) -> Outline {
    run_plan(tests(), vec![], steps, CancelHandle::new(), |_| ()).await
}

/// `id` with its own name, so that reports are easy to read.
fn named(id: &str, name: &str) -> Node {
    with(test(id), |test| test.name = Some(name.into()))
}

#[tokio::test]
async fn finally_runs_whatever_came_before_and_is_in_the_results() {
    let outline = run(vec![
        finally(serial([test("t.pass")]), [named("t.pass", "after a pass")]),
        // Blocked by its own step.
        finally(
            serial([blocker(test("t.fail")), test("t.pass")]),
            [named("t.fail", "after a block"), named("t.pass", "and on")],
        ),
        // Blocked from outside before any of its steps ran.
        serial([
            blocker(test("t.fail")),
            finally(serial([test("t.pass")]), [named("t.pass", "blocked from outside")]),
        ]),
        // A blocker in it blocks the rest of it alone.
        finally(
            blocker(serial([test("t.pass")])),
            [blocker(named("t.fail", "blocks")), named("t.pass", "is blocked")],
        ),
        named("t.pass", "the next one"),
        finally(parallel(None, [test("t.pass"), test("t.pass")]), [named("t.pass", "the last")]),
    ])
    .await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    let order = outline.events.iter().filter_map(|event| match event.what {
        EventKind::TestStarted { .. } => event.test.map(|test| test.0),
        _ => None,
    });
    let order: Vec<u32> = order.collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn finally_runs_after_a_cancelled_run_but_no_longer_than_what_is_kept_back() {
    let steps = || {
        vec![
            finally(
                serial([test("t.wait")]),
                [named("t.wait", "in time"), named("t.wait", "too late")],
            ),
            test("t.pass"),
        ]
    };
    let cancel = CancelHandle::new();
    let cut = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        cancel.cancel(CancelReason::CtrlC);
    };
    let kept_back = Duration::from_secs(150);
    let run = run_plan(tests(), vec![], steps(), cancel.clone(), |options| {
        options.finally_reserve = kept_back;
    });
    let (outline, ()) = tokio::join!(run, cut);
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    assert_eq!(outline.report.exit_code, ExitCode::Cancelled);
}

#[tokio::test]
async fn after_a_failed_preparation_finally_runs_where_its_hosts_are() {
    for (broken, name) in [(false, "a guest that cannot be started"), (true, "no host")] {
        let mut lab = FakeLab::of(&["alpha"]);
        lab.broken = broken;
        lab.hosts[0].state.unstartable.lock().unwrap().push("bad".into());
        let step = finally(
            serial([test("t.host")]),
            [
                named("t.host", "needs a host"),
                with(named("t.pass", "needs a guest"), |test| test.guest = Some("bad".into())),
                with(named("t.pass", "needs the other guest"), |test| {
                    test.guest = Some("good".into());
                }),
            ],
        );
        let hosts = vec![host_step(0, None, &["good", "bad"])];
        let lab = Arc::new(lab);
        let outline = run_plan(tests(), hosts, vec![step], CancelHandle::new(), |options| {
            options.provider = Some(lab);
        })
        .await;
        insta::assert_snapshot!(name, outline.outcomes().join("\n"));
        assert_eq!(outline.report.exit_code, ExitCode::PreparationFailed);
    }
}

fn depends(node: Node, group: Option<&str>, name: &str) -> Node {
    let place = Place { offset: 40, length: 4, line: 7, column: 9 };
    with(node, |test| {
        test.depends.push(Dependency { group: group.map(Into::into), name: name.into(), place });
    })
}

#[tokio::test]
async fn whatever_order_is_drawn_a_test_comes_behind_those_that_it_depends_on() {
    let block = |seed| {
        let inner =
            serial([named("t.pass", "inner"), depends(named("t.pass", "after a"), None, "a")]);
        let steps = serial([
            named("t.pass", "a"),
            named("t.pass", "free"),
            inner,
            depends(named("t.pass", "after inner"), None, "inner"),
            depends(named("t.pass", "last"), None, "after inner"),
            named("t.pass", "other"),
        ]);
        with_block(steps, |block| block.seed = Some(seed))
    };
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let outline = run(vec![block(seed)]).await;
        assert_eq!(outline.report.exit_code, ExitCode::AllPassed, "{:?}", outline.outcomes());
        let order = |outline: &Outline| -> Vec<String> {
            let started = outline.events.iter().filter_map(|event| match event.what {
                EventKind::TestStarted { .. } => event.test,
                _ => None,
            });
            let name = |test: xenrt_core::sequencer::TestIndex| {
                outline.report.results[test.0 as usize].test.name.clone()
            };
            started.map(name).collect()
        };
        let all = order(&outline);
        let at = |name: &str| all.iter().position(|own| own == name).unwrap();
        assert!(at("a") < at("after a") && at("inner") < at("after inner"), "{all:?}");
        assert!(at("after inner") < at("last"), "{all:?}");
        assert_eq!(order(&run(vec![block(seed)]).await), all, "the seed gives the same again");
        orders.insert(all);
    }
    assert!(orders.len() > 10, "{} orders", orders.len());
}

#[tokio::test]
async fn a_test_is_skipped_when_one_that_it_depends_on_did_not_pass() {
    let outline = run(vec![
        test("t.pass"),
        test("t.fail"),
        test("t.skip"),
        depends(named("t.pass", "after pass"), None, "pass"),
        depends(named("t.pass", "after fail"), Some("t"), "fail"),
        depends(named("t.pass", "after skip"), None, "skip"),
        depends(named("t.pass", "after after"), None, "after fail"),
        serial([blocker(test("t.fail")), named("t.pass", "blocked")]),
        depends(named("t.pass", "after blocked"), None, "blocked"),
    ])
    .await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
}

/// In which order tests began and ended.
fn story(outline: &Outline) -> Vec<String> {
    let name = |event: &xenrt_core::sequencer::Event| {
        let at = event.test.map_or(0, |test| test.0 as usize);
        outline.report.results[at].test.name.clone()
    };
    let line = |event: &xenrt_core::sequencer::Event| match event.what {
        EventKind::TestStarted { .. } => Some(format!("{} began", name(event))),
        EventKind::TestFinished { .. } => Some(format!("{} ended", name(event))),
        _ => None,
    };
    outline.events.iter().filter_map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn a_step_of_a_parallel_block_waits_for_those_that_it_depends_on() {
    let outline = run(vec![parallel(
        // Whoever waits holds no worker, so that one is enough.
        Some(1),
        [
            named("t.wait", "first"),
            serial([
                named("t.pass", "beside"),
                depends(named("t.pass", "after first"), None, "first"),
            ]),
            depends(named("t.pass", "after both"), None, "after first"),
            named("t.fail", "bad"),
            depends(named("t.pass", "after bad"), None, "bad"),
        ],
    )])
    .await;
    let outcomes = outline.outcomes();
    assert_eq!(
        outcomes,
        [
            "first: passed",
            "beside: passed",
            "after first: passed",
            "after both: passed",
            "bad: failed: no",
            "after bad: skipped: it depends on t/bad, which failed",
        ]
    );
    let story = story(&outline);
    let at = |line: &str| story.iter().position(|own| own == line).unwrap();
    assert!(at("first ended") < at("beside began"), "{story:?}");
    assert!(at("after first ended") < at("after both began"), "{story:?}");
}

#[tokio::test(start_paused = true)]
async fn blocks_beside_one_another_wait_without_an_end_to_their_workers() {
    // Each block depends on the one before; the longest is last, and would begin first.
    let step = |at: usize| {
        let own = named("t.wait", &format!("w{at}"));
        let first = match at {
            0 => own,
            _ => depends(own, None, &format!("w{}", at - 1)),
        };
        parallel(Some(1), [serial([first]), named("t.pass", &format!("p{at}"))])
    };
    let steps = vec![parallel(Some(2), (0..6).map(step).collect::<Vec<_>>())];
    let outline = run_plan(tests(), vec![], steps, CancelHandle::new(), |options| {
        let durations = (0..6_u64).map(|at| (format!("t/w{at}"), Duration::from_secs(at * 100)));
        options.durations = durations.collect();
    })
    .await;
    assert!(
        outline.outcomes().iter().all(|line| line.ends_with(": passed")),
        "{:?}",
        outline.outcomes()
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_another_test_stops_with_the_run() {
    let cancel = CancelHandle::new();
    let cut = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        cancel.cancel(CancelReason::CtrlC);
    };
    let steps = vec![parallel(
        None,
        [named("t.wait", "first"), depends(named("t.pass", "after"), None, "first")],
    )];
    let run = run_plan(tests(), vec![], steps, cancel.clone(), |_| ());
    let (outline, ()) = tokio::join!(run, cut);
    let blocked = outline.outcomes().iter().filter(|line| line.contains(": blocked")).count();
    assert_eq!(blocked, 2, "{:?}", outline.outcomes());
}

#[test]
fn a_dependency_that_cannot_be_is_refused_with_its_place() {
    let registry = Registry::of(tests()).unwrap();
    let steps = vec![
        depends(test("t.pass"), None, "fail"),
        test("t.fail"),
        depends(test("t.pass"), Some("t"), "pss"),
    ];
    let error = Plan::new(&sequence(vec![], steps), &registry).unwrap_err();
    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn a_selection_keeps_finally_and_says_which_dependencies_are_not_looked_at() {
    let steps = || {
        vec![
            finally(serial([named("t.fail", "first")]), [named("t.pass", "tidy")]),
            finally(
                serial([depends(named("t.pass", "second"), None, "first")]),
                [named("t.pass", "clean"), named("t.pass", "sweep")],
            ),
        ]
    };
    let registry = Registry::of(tests()).unwrap();
    let plan = Plan::new(&sequence(vec![], steps()), &registry).unwrap();
    let mut selection = Selection { run: vec!["second".into()], ..Selection::default() };
    let names = |plan: &Plan| plan.tests().map(|test| test.name.clone()).collect::<Vec<_>>();
    let cut = plan.select(&selection);
    assert_eq!(names(&cut), ["second", "clean", "sweep"]);
    assert_eq!(
        cut.warnings(),
        ["t/second depends on t/first, which is not selected; it runs all the same"]
    );
    selection.skip.push("sweep".into());
    assert_eq!(names(&plan.select(&selection)), ["second", "clean"]);
    selection.no_finally = true;
    assert_eq!(names(&plan.select(&selection)), ["second"]);
}

fn actions(outline: &Outline) -> Vec<String> {
    outline.shown(|what| match what {
        EventKind::ActionStarted { action, .. } => Some(format!("{action} began")),
        EventKind::ActionFinished { action, error: None, seconds, .. } => {
            Some(format!("{action} ended after {} s", seconds.0.as_secs()))
        }
        EventKind::ActionFinished { action, error: Some(error), .. } => {
            Some(format!("{action}: {error}"))
        }
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn a_sleep_takes_its_time_and_is_cut_short_by_a_cancellation() {
    let sleep = || action(Action::Sleep(Duration::from_secs(60)));
    let cancel = CancelHandle::new();
    let cut = async {
        tokio::time::sleep(Duration::from_secs(90)).await;
        cancel.cancel(CancelReason::CtrlC);
    };
    let steps = vec![test("t.pass"), sleep(), test("t.pass"), sleep(), test("t.pass"), sleep()];
    let run = run_plan(tests(), vec![], steps, cancel.clone(), |_| ());
    let started = tokio::time::Instant::now();
    let (outline, ()) = tokio::join!(run, cut);
    assert_eq!(started.elapsed().as_secs(), 90);
    assert_eq!(
        actions(&outline),
        [
            "sleep 1 min began",
            "sleep 1 min ended after 60 s",
            "sleep 1 min began",
            "sleep 1 min: the run was cancelled (Ctrl-C)",
            "sleep 1 min: not done, since the run was cancelled (Ctrl-C)",
        ]
    );
    assert_eq!((outline.report.summary.passed, outline.report.summary.blocked), (2, 1));
}

#[tokio::test]
async fn the_preparation_can_be_done_again_between_tests() {
    let tests = vec![
        case!("t.breaks", |cx| {
            let guest = cx.guest("shared")?;
            guest.pause().await?;
            Ok(())
        }),
        case!("t.uses", |cx| {
            let state = cx.guest("shared")?.power_state().await?;
            if state == xenrt_core::model::PowerState::Running {
                return Ok(());
            }
            Err(TestError::product(format!("it is {state}")))
        }),
    ];
    let steps = || vec![test("t.breaks"), test("t.uses"), action(Action::Prepare), test("t.uses")];
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let hosts = || vec![host_step(0, None, &["shared"])];
    let run = |lab: &Arc<FakeLab>, steps| {
        let lab = Arc::clone(lab);
        run_plan(tests.clone(), hosts(), steps, CancelHandle::new(), |options| {
            options.provider = Some(lab);
        })
    };
    let outline = run(&lab, steps()).await;
    insta::assert_snapshot!("prepared_again", outline.outcomes().join("\n"));
    assert_eq!(actions(&outline), ["prepare began", "prepare ended after 0 s"]);
    // The hosts are the same ones; what was made on them was undone.
    assert_eq!(*lab.log.lock().unwrap(), ["acquire 1", "release"]);
    let log = lab.hosts[0].state.log.lock().unwrap().clone();
    assert_eq!(log.iter().filter(|what| *what == "define shared").count(), 2);
    assert!(lab.hosts[0].state.guests.lock().unwrap().is_empty());

    // What cannot be undone blocks what follows, as a blocker would.
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    lab.hosts[0].state.undeletable.lock().unwrap().push("shared".into());
    let outline = run(&lab, steps()).await;
    insta::assert_snapshot!("not_prepared_again", outline.outcomes().join("\n"));
    let soak = with_block(serial([action(Action::Prepare), test("t.uses")]), |block| {
        block.rounds = Rounds { times: Some(3), duration: None };
    });
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let outline = run(&lab, vec![soak]).await;
    assert_eq!(outline.outcomes(), ["uses: passed"]);
    let log = lab.hosts[0].state.log.lock().unwrap().clone();
    assert_eq!(log.iter().filter(|what| *what == "define shared").count(), 4);
}
