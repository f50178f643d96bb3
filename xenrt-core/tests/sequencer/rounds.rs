//! Rounds, retries, orders.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use xenrt_core::sequence::{Action, Node, Rounds};
use xenrt_core::sequencer::{CancelHandle, EventKind, ExitCode, Level};
use xenrt_core::testcase::{TestDescriptor, TestError};

use crate::support::{
    Outline, action, blocker, finally, parallel, run_plan, serial, test, times, with, with_block,
};

fn repeated(node: Node, rounds: Rounds) -> Node {
    match node {
        Node::Test(_) => with(node, |test| test.rounds = rounds),
        _ => with_block(node, |block| block.rounds = rounds),
    }
}

/// `attempt`, `round` and outcome of each attempt that was told, by the name of its test.
fn attempts(outline: &Outline) -> Vec<String> {
    let names: Vec<_> = outline.report.results.iter().map(|entry| &entry.test.name).collect();
    let told = outline.events.iter().filter_map(|event| match &event.what {
        EventKind::AttemptFinished { attempt, round, outcome, .. } => {
            let name = names[event.test?.0 as usize];
            Some(format!("{name} round {round} attempt {attempt}: {}", outcome.kind()))
        }
        _ => None,
    });
    told.collect()
}

fn one_end_each(outline: &Outline) {
    for number in 0..u32::try_from(outline.report.results.len()).unwrap() {
        let ends = outline.events.iter().filter(|event| {
            event.test.is_some_and(|test| test.0 == number)
                && matches!(event.what, EventKind::TestFinished { .. })
        });
        assert_eq!(ends.count(), 1, "test {number}");
    }
}

async fn run(tests: Vec<TestDescriptor>, steps: Vec<Node>) -> Outline {
    let outline = run_plan(tests, vec![], steps, CancelHandle::new(), |_| ()).await;
    one_end_each(&outline);
    outline
}

#[tokio::test]
async fn a_test_that_passes_on_a_retry_is_flaky() {
    let flaky = case!("t.flaky", |cx| {
        match cx.attempt() {
            1 | 2 => Err(TestError::product(format!("attempt {} is bad", cx.attempt()))),
            _ => Ok(()),
        }
    });
    let fails = case!("t.fails", |cx| {
        cx.save_evidence("mine.txt", "x")?;
        Err(TestError::product(format!("attempt {}", cx.attempt())))
    });
    let skips = case!("t.skips", |_cx| { Err(TestError::skip("not here")) });
    let retried = |id, retries| with(test(id), |test| test.retries = Some(retries));
    let steps =
        vec![retried("t.flaky", 2), retried("t.flaky", 1), test("t.fails"), test("t.skips")];
    let outline =
        run_plan(vec![flaky, fails, skips], vec![], steps, CancelHandle::new(), |options| {
            options.retries = 1;
        })
        .await;
    one_end_each(&outline);
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    insta::assert_snapshot!(attempts(&outline).join("\n"));
    let flaky: Vec<bool> = outline.report.results.iter().map(|entry| entry.marks.flaky).collect();
    assert_eq!(flaky, [true, false, false, false]);
    assert_eq!(outline.report.summary.flaky, 1);
    // Each attempt keeps its own evidence.
    for folder in ["002-fails", "002-fails-attempt2"] {
        assert!(outline.folder.path().join("tests").join(folder).join("mine.txt").exists());
    }
}

#[tokio::test]
async fn a_repeated_test_has_one_verdict_that_says_which_rounds_failed() {
    let odd = case!("t.odd", |cx| {
        if cx.round() % 2 == 1 {
            Err(TestError::product(format!("{}", cx.round())))
        } else {
            Ok(())
        }
    });
    let outline = run(
        vec![odd, case!("t.pass", |_cx| { Ok(()) })],
        vec![repeated(test("t.odd"), times(5)), repeated(test("t.pass"), times(2))],
    )
    .await;
    assert_eq!(
        outline.outcomes(),
        ["odd: failed: rounds 1, 3 and 5 of 5, the first of them: 1", "pass: passed"]
    );
    assert_eq!(attempts(&outline).len(), 7);
}

#[tokio::test]
async fn a_repeated_block_runs_its_steps_each_round_and_its_finally_once() {
    static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let note = case!("t.note", |cx| {
        LOG.lock().unwrap().push(format!("{} {}", cx.name(), cx.round()));
        Ok(())
    });
    let third = case!("t.third", |cx| {
        if cx.round() == 3 { Err(TestError::product("the third")) } else { Ok(()) }
    });
    let outline = run(
        vec![note, third],
        vec![
            finally(
                repeated(serial([test("t.note"), repeated(test("t.note"), times(2))]), times(2)),
                [test("t.note")],
            ),
            // The round in which a blocker failed is the last one.
            repeated(serial([blocker(test("t.third")), test("t.note")]), times(5)),
            repeated(
                parallel(None, [repeated(serial([test("t.third")]), times(2)), test("t.third")]),
                times(2),
            ),
        ],
    )
    .await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    insta::assert_snapshot!("attempts_of_blocks", attempts(&outline).join("\n"));
    let log = LOG.lock().unwrap().clone();
    assert_eq!(
        log,
        [
            "note 1",
            "note(1) 1",
            "note(1) 2",
            "note 2",
            "note(1) 3",
            "note(1) 4",
            "note(2) 1",
            "note(3) 1",
            "note(3) 2",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_soak_begins_no_round_after_its_time_and_ends_when_nothing_can_run() {
    let slow = case!("t.slow", |_cx| {
        tokio::time::sleep(Duration::from_secs(25)).await;
        Ok(())
    });
    let skip = case!("t.skip", |_cx| { Ok(()) });
    let for_a_minute = || Rounds { times: None, duration: Some(Duration::from_secs(60)) };
    let both = Rounds { times: Some(2), ..for_a_minute() };
    let started = tokio::time::Instant::now();
    let mut impossible = skip;
    impossible.requires.hosts = 7;
    let outline = run(
        vec![slow, impossible],
        vec![
            repeated(test("t.slow"), for_a_minute()),
            repeated(serial([test("t.slow")]), for_a_minute()),
            repeated(serial([test("t.slow")]), both),
            // Nothing in it can run: it must not turn round for a minute.
            repeated(serial([test("t.skip")]), for_a_minute()),
            repeated(
                serial([test("t.skip"), action(Action::Sleep(Duration::from_secs(40)))]),
                for_a_minute(),
            ),
        ],
    )
    .await;
    assert_eq!(started.elapsed().as_secs(), 75 + 75 + 50 + 80);
    insta::assert_snapshot!(outline.outcomes().join("\n"));
}

#[tokio::test]
async fn ten_thousand_rounds_are_one_verdict() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let count = case!("t.count", |cx| {
        RUNS.fetch_add(1, Ordering::Relaxed);
        if cx.round() == 7777 { Err(TestError::product("unlucky")) } else { Ok(()) }
    });
    let outline = run(vec![count], vec![repeated(serial([test("t.count")]), times(10_000))]).await;
    assert_eq!(RUNS.load(Ordering::Relaxed), 10_000);
    assert_eq!(outline.outcomes(), ["count: failed: round 7777 of 10000: unlucky"]);
    assert_eq!(outline.report.exit_code, ExitCode::Failed);
}

#[tokio::test]
async fn a_seed_gives_an_order_that_can_be_had_again() {
    let tests = || vec![case!("t.pass", |_cx| { Ok(()) })];
    let order = |outline: &Outline| {
        let started = outline.events.iter().filter_map(|event| match event.what {
            EventKind::TestStarted { .. } => event.test.map(|test| test.0),
            _ => None,
        });
        started.collect::<Vec<u32>>()
    };
    let block = |seed| {
        with_block(repeated(serial((0..6).map(|_| test("t.pass"))), times(2)), |block| {
            block.seed = seed;
        })
    };
    let first = run(tests(), vec![block(Some(5))]).await;
    let again = run(tests(), vec![block(Some(5))]).await;
    assert_eq!(order(&first), order(&again));
    let all = order(&first);
    let (one, two) = all.split_at(6);
    assert_ne!(one, two, "each round has its own order");
    assert_ne!(order(&first), order(&run(tests(), vec![block(Some(6))]).await));
    assert_eq!(order(&run(tests(), vec![block(None)]).await)[..6], [0, 1, 2, 3, 4, 5]);
    let said = first.shown(|what| match what {
        EventKind::Log { level: Level::Info, text } => Some(text.clone()),
        _ => None,
    });
    assert_eq!(
        said,
        [
            "the order of the serial block at line 1, round 1, is drawn from the seed 5",
            "the order of the serial block at line 1, round 2, is drawn from the seed 5",
        ]
    );
    let of_the_run = |seed| {
        run_plan(tests(), vec![], vec![block(None)], CancelHandle::new(), move |options| {
            options.seed = Some(seed);
        })
    };
    assert_eq!(order(&of_the_run(1).await), order(&of_the_run(1).await));
    assert_ne!(order(&of_the_run(1).await), order(&of_the_run(2).await));
}
