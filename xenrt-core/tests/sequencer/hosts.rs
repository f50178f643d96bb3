//! Preparation, undo, checks, evidence, leaks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use xenrt_core::model::{Ability, Undo};
use xenrt_core::remote::{Command, ShellExt as _};
use xenrt_core::sequencer::{CancelHandle, EventKind, ExitCode, Keep, RunOptions};
use xenrt_core::testcase::{TestContext, TestDescriptor, TestError, TestResult};

use crate::support::{FakeLab, Outline, host_step, run_plan, test, without_place};

async fn on(lab: &Arc<FakeLab>, guests: &[&str], tests: Vec<TestDescriptor>) -> Outline {
    on_with(lab, guests, tests, |_| ()).await
}

async fn on_with(
    lab: &Arc<FakeLab>,
    guests: &[&str],
    tests: Vec<TestDescriptor>,
    change: impl FnOnce(&mut RunOptions),
) -> Outline {
    let steps = tests.iter().map(|known| test(known.id)).collect();
    let lab = Arc::clone(lab);
    run_plan(
        tests,
        vec![host_step(0, Some("SUT"), guests)],
        steps,
        CancelHandle::new(),
        |options| {
            options.provider = Some(lab);
            change(options);
        },
    )
    .await
}

/// Makes guest `a`, then something else to undo, then guest `b`.
async fn build(cx: &TestContext) -> TestResult {
    let host = cx.default_host()?;
    host.create_basic_guest("a", "generic-linux").await?;
    cx.on_cleanup(Undo::new("remove the file", || async { Ok(()) }));
    cx.host("SUT")?.create_basic_guest("b", "tiny").await?;
    Ok(())
}

fn undone(outline: &Outline) -> Vec<String> {
    outline.shown(|what| match what {
        EventKind::Undone { undo, error: None, .. } => Some(undo.clone()),
        EventKind::Undone { undo, error: Some(error), .. } => {
            Some(without_place(&format!("{undo}: {error}")))
        }
        _ => None,
    })
}

const ALL_UNDONE: [&str; 3] = ["delete guest \"b\"", "remove the file", "delete guest \"a\""];

#[tokio::test(start_paused = true)]
async fn what_was_created_is_undone_in_reverse_order_whatever_happened() {
    let tests = [
        case!("t.pass", |cx| { build(cx).await }),
        case!("t.fail", |cx| {
            build(cx).await?;
            Err(TestError::product("no"))
        }),
        case!("t.panic", |cx| {
            build(cx).await?;
            panic!("oh")
        }),
        case!("t.slow", |cx| {
            build(cx).await?;
            std::future::pending().await
        }),
        case!("t.unprepared", prepare: |cx| {
            build(cx).await?;
            Err(TestError::infrastructure("no"))
        }, |_cx| { Ok(()) }),
    ];
    for descriptor in tests {
        let lab = Arc::new(FakeLab::of(&["alpha"]));
        let outline = on(&lab, &[], vec![descriptor]).await;
        assert_eq!(undone(&outline), ALL_UNDONE, "{}", descriptor.id);
        assert!(lab.hosts[0].state.guests.lock().unwrap().is_empty());
        assert_eq!(outline.report.summary.leaked, 0, "{:?}", outline.outcomes());
        assert_eq!(*lab.log.lock().unwrap(), ["acquire 1", "release"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_fails_or_hangs_is_a_leak_and_does_not_stop_the_rest() {
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    lab.hosts[0].state.undeletable.lock().unwrap().push("b".into());
    let outline = on(
        &lab,
        &[],
        vec![
            case!("t.refused", |cx| { build(cx).await }),
            case!("t.hangs", |cx| {
                cx.on_cleanup(Undo::new("wait for ever", std::future::pending));
                cx.on_cleanup(Undo::new("panic", || async { panic!("in an undo") }));
                cx.on_cleanup(Undo::new("do the last first", || async { Ok(()) }));
                Ok(())
            }),
        ],
    )
    .await;
    insta::assert_snapshot!(undone(&outline).join("\n"));
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    assert_eq!(outline.report.summary.leaked, 2);
    assert_eq!(outline.report.exit_code, ExitCode::Failed);
}

#[tokio::test]
async fn what_stays_on_a_host_is_a_leak_of_the_test_that_left_it() {
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let tests = || {
        vec![
            case!("t.clean", |cx| { build(cx).await }),
            case!("t.leaks", |cx| {
                let host = cx.default_host()?;
                // Behind the library's back: no undo is registered.
                host.define_guest(&xenrt_core::model::GuestSpec::new("stray")).await?;
                Ok(())
            }),
            case!("t.idle", |_cx| { Ok(()) }),
            case!("t.after", |cx| { build(cx).await }),
        ]
    };
    let outline = on(&lab, &[], tests()).await;
    assert_eq!(
        outline.outcomes(),
        [
            "clean: passed",
            "leaks: passed [leaked domain stray on alpha]",
            "idle: passed",
            "after: passed",
        ]
    );
    assert_eq!(outline.report.exit_code, ExitCode::Failed);
    // One inventory before the tests and one after each test that used the host.
    let log = lab.hosts[0].state.log.lock().unwrap().clone();
    assert_eq!(log.iter().filter(|what| *what == "inventory").count(), 4);
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let outline = on_with(&lab, &[], tests(), |options| options.allow_leaks = true).await;
    assert_eq!(outline.report.exit_code, ExitCode::AllPassed);
}

#[tokio::test]
async fn a_test_that_leaves_things_otherwise_than_it_says_fails_by_the_check() {
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let outline = on(
        &lab,
        &["shared"],
        vec![
            case!("t.crashes", |cx| {
                let guest = cx.default_host()?.create_basic_guest("a", "tiny").await?;
                guest.request(&xenrt_core::model::GuestAction::Pause).await?;
                Ok(())
            }),
            case!("t.deletes", |cx| {
                let guest = cx.default_host()?.create_basic_guest("b", "tiny").await?;
                guest.ensure_deleted().await?;
                Ok(())
            }),
            case!("t.pauses_the_shared_one", |cx| { Ok(cx.guest("shared")?.pause().await?) }),
        ],
    )
    .await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    lab.hosts[0].state.unreachable.store(true, Ordering::Relaxed);
    let outline = on(
        &lab,
        &[],
        vec![case!("t.host", |cx| {
            cx.default_host()?;
            Ok(())
        })],
    )
    .await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
}

#[tokio::test]
async fn a_failure_leaves_evidence_and_the_commands_are_recorded_for_their_test() {
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let outline = on(
        &lab,
        &["shared"],
        vec![case!("t.fail", |cx| {
            build(cx).await?;
            cx.save_evidence("note.txt", "mine")?;
            assert!(cx.save_evidence("../note.txt", "not mine").is_err());
            cx.default_host()?.dom0().run(&Command::new("false")).await?;
            Ok(())
        })],
    )
    .await;
    let evidence = outline.shown(|what| match what {
        EventKind::Evidence { file } => Some(file.clone()),
        _ => None,
    });
    insta::assert_snapshot!(evidence.join("\n"));
    for file in evidence {
        assert!(outline.folder.path().join(&file).is_file(), "{file} is missing");
    }
    let commands: Vec<_> = outline
        .events
        .iter()
        .filter_map(|event| match &event.what {
            EventKind::Command(record) => Some((event.test.is_some(), record.command.as_str())),
            _ => None,
        })
        .collect();
    assert!(commands.contains(&(true, "false")), "{commands:?}");
    let log = std::fs::read_to_string(outline.folder.path().join("tests/000-fail/commands.log"));
    assert!(log.unwrap().contains("$ false\nit is false\n[exit status 1] "));
}

#[tokio::test]
async fn a_test_that_touches_nothing_leaves_no_folder() {
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let outline =
        on(&lab, &[], vec![case!("t.fail", |_cx| { Err(TestError::product("no")) })]).await;
    assert!(!outline.folder.path().join("tests").exists());
    assert!(outline.folder.path().join("journal.jsonl").exists());
}

#[tokio::test]
async fn unknown_names_are_told_with_the_known_ones() {
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let outline = on(
        &lab,
        &["shared"],
        vec![
            case!("t.host", |cx| {
                for name in ["RESOURCE_HOST_0", "SUT", "alpha"] {
                    assert_eq!(cx.host(name)?.name(), "alpha");
                }
                cx.host("RESOURCE_HOST_1")?;
                Ok(())
            }),
            case!("t.guest", |cx| {
                assert_eq!(cx.default_guest()?.name(), "shared");
                cx.guest("shred")?;
                Ok(())
            }),
        ],
    )
    .await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
}

#[tokio::test]
async fn a_failed_preparation_blocks_every_test_and_gives_the_hosts_back() {
    let tests = || vec![case!("t.one", |_cx| { Ok(()) }), case!("t.two", |_cx| { Ok(()) })];
    let broken = FakeLab { broken: true, ..FakeLab::of(&["alpha"]) };
    let lab = Arc::new(broken);
    let outline = on(&lab, &[], tests()).await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    assert_eq!(outline.report.exit_code, ExitCode::PreparationFailed);
    assert_eq!(*lab.log.lock().unwrap(), ["acquire 1", "release"]);

    let lab = Arc::new(FakeLab::of(&["alpha"]));
    lab.hosts[0].state.unstartable.lock().unwrap().push("b".into());
    let outline = on(&lab, &["a", "b"], tests()).await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    assert_eq!(undone(&outline).len(), 2);
    assert!(lab.hosts[0].state.guests.lock().unwrap().is_empty());

    let steps = vec![test("t.one")];
    let hosts = vec![host_step(0, None, &[])];
    let outline = run_plan(tests(), hosts, steps, CancelHandle::new(), |_| ()).await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
}

#[tokio::test]
async fn the_environment_is_kept_where_that_is_asked_for() {
    for (keep, fails, kept) in [
        (Keep::Never, true, false),
        (Keep::OnFailure, false, false),
        (Keep::OnFailure, true, true),
        (Keep::Always, false, true),
    ] {
        let lab = Arc::new(FakeLab::of(&["alpha"]));
        let descriptor = if fails {
            case!("t.fail", |_cx| { Err(TestError::product("no")) })
        } else {
            case!("t.pass", |_cx| { Ok(()) })
        };
        on_with(&lab, &["shared"], vec![descriptor], |options| options.keep = keep).await;
        let end = if kept { "keep" } else { "release" };
        assert_eq!(*lab.log.lock().unwrap(), ["acquire 1", end], "{keep:?}");
        let guests = lab.hosts[0].state.guests.lock().unwrap().len();
        assert_eq!(guests, usize::from(kept), "{keep:?}");
    }
}

#[tokio::test]
async fn a_lab_that_keeps_its_hosts_makes_the_run_errored() {
    let lab = Arc::new(FakeLab { unreleasable: true, ..FakeLab::of(&["alpha"]) });
    let outline = on(&lab, &[], vec![case!("t.pass", |_cx| { Ok(()) })]).await;
    assert_eq!(outline.report.exit_code, ExitCode::Errored);
    let warnings = outline.shown(|what| match what {
        EventKind::Log { text, .. } => Some(text.clone()),
        _ => None,
    });
    assert_eq!(warnings, ["the fake lab did not take its hosts back: qemu 812 does not stop"]);
}

#[tokio::test]
async fn the_demands_name_the_abilities_that_the_tests_need() {
    let mut descriptor = case!("t.suspends", |_cx| { Ok(()) });
    descriptor.requires.abilities = &[Ability::Suspend];
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let outline = on(&lab, &[], vec![descriptor]).await;
    assert_eq!(outline.report.exit_code, ExitCode::AllPassed);
    assert_eq!(*lab.demands.lock().unwrap(), [Ability::Suspend]);
}
