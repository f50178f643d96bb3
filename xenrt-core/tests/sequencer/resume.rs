//! Runs that go on in another process, and runs that are done again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use xenrt_core::model::{GuestSpec, NetworkSpec, PowerState};
use xenrt_core::report::Journal;
use xenrt_core::sequence::Node;
use xenrt_core::sequencer::{
    CancelHandle, ClaimedRun, Difference, EventKind, IfChanged, Keep, PastRun, Plan, ResumeError,
    RunOptions, RunReport, rerun, resume, run,
};
use xenrt_core::testcase::{Registry, TestDescriptor, TestError};

use crate::support::{FakeLab, args, blocker, host_step, sequence, test};

fn plan(tests: Vec<TestDescriptor>, hosts: &[&str], steps: Vec<Node>) -> Plan {
    let hosts = hosts.iter().zip(0..).map(|(name, id)| host_step(id, Some(name), &["base"]));
    let registry = Registry::of(tests).unwrap();
    Plan::new(&sequence(hosts.collect(), steps), &registry).unwrap()
}

/// Copies the journal of a run that is still at work, as a kill would leave it.
fn as_if_killed(run_folder: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(run_folder.join(Journal::FILE), folder.path().join(Journal::FILE)).unwrap();
    folder
}

fn outcomes(report: &RunReport) -> Vec<String> {
    let results = report.results.iter();
    results.map(|result| format!("{} {}", result.test.name, result.outcome.kind())).collect()
}

fn leaving(forever: bool) -> Vec<TestDescriptor> {
    let stays = case!("t.makes", |cx| {
        let host = cx.default_host()?;
        host.create_network(&NetworkSpec::isolated("net")).await?;
        host.create_guest(&GuestSpec::new("left")).await?;
        host.create_guest(&GuestSpec::new("theirs")).await?;
        std::future::pending().await
    });
    let ends = case!("t.makes", |cx| {
        cx.default_host()?.create_guest(&GuestSpec::new("left")).await?;
        Ok(())
    });
    vec![case!("t.pass", |_cx| { Ok(()) }), if forever { stays } else { ends }]
}

#[tokio::test]
async fn what_the_interrupted_run_left_is_removed_first_and_nothing_else() {
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let state = Arc::clone(&lab.hosts[0].state);
    state.guests.lock().unwrap().insert("theirs".into(), PowerState::Running);
    state.guests.lock().unwrap().insert("bystander".into(), PowerState::Running);
    let steps = || vec![test("t.pass"), test("t.makes"), test("t.pass")];
    let first = tempfile::tempdir().unwrap();
    let options = RunOptions::new(first.path()).provider(lab.clone());
    let run_plan = plan(leaving(true), &["SUT"], steps());
    let running = tokio::spawn(run(run_plan, options, CancelHandle::new()));
    while !state.log.lock().unwrap().iter().any(|line| line == "define theirs") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let folder = as_if_killed(first.path());
    running.abort();
    // A dropped run undoes nothing.
    state.log.lock().unwrap().clear();

    let claimed = ClaimedRun::claim(folder.path()).unwrap();
    assert_eq!(claimed.past().ended.len(), 1);
    assert_eq!(claimed.past().interrupted.len(), 1);
    let options = RunOptions::new("unused").provider(lab.clone());
    let run_plan = plan(leaving(false), &["SUT"], steps());
    let report = resume(run_plan, claimed, IfChanged::Refuse, options, CancelHandle::new());
    let report = report.await.unwrap();
    assert_eq!(outcomes(&report), ["pass passed", "makes passed", "pass(1) passed"]);
    let log = state.log.lock().unwrap().clone();
    let at = |line: &str| {
        log.iter().position(|own| own == line).unwrap_or_else(|| panic!("no {line}: {log:#?}"))
    };
    for removed in ["remove network net", "delete left", "delete base"] {
        assert!(at(removed) < at("define base"), "{removed} comes too late: {log:#?}");
    }
    assert!(!log.iter().any(|line| line == "delete theirs" || line == "delete bystander"));
    let left: Vec<_> = state.guests.lock().unwrap().keys().cloned().collect();
    assert_eq!(left, ["bystander", "theirs"]);
    assert!(state.networks.lock().unwrap().is_empty());
    let events = Journal::read(&folder.path().join(Journal::FILE)).unwrap().events;
    let said = events.iter().filter_map(|event| match &event.what {
        EventKind::Log { text, .. } if text.starts_with("removed") => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            "removed guest \"left\" from alpha: the interrupted run had left it",
            "removed network \"net\" from alpha: the interrupted run had left it",
            "removed guest \"base\" from alpha: the interrupted run had left it",
        ]
    );
    let past = PastRun::open(folder.path()).unwrap();
    assert_eq!(past.finished.unwrap().summary.passed, 3);
    let error = ClaimedRun::claim(folder.path()).unwrap_err();
    assert!(matches!(error, ResumeError::Finished(..)), "{error}");
}

fn mixed() -> Vec<TestDescriptor> {
    vec![
        case!("t.pass", |_cx| { Ok(()) }),
        case!("t.fail", |cx| {
            if cx.args().get_or("good", false)? { Ok(()) } else { Err(TestError::product("no")) }
        }),
        case!("t.skip", |_cx| { Err(TestError::skip("not here")) }),
    ]
}

/// Runs `steps`, and keeps the journal up to the end of the `ended`th test.
async fn killed_after(ended: usize, steps: Vec<Node>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(plan(mixed(), &[], steps), RunOptions::new(folder.path()), CancelHandle::new()).await;
    cut(folder.path(), ended);
    folder
}

/// Keeps the journal of a run up to the end of the `ended`th test.
fn cut(folder: &Path, ended: usize) {
    let journal = folder.join(Journal::FILE);
    let text = std::fs::read_to_string(&journal).unwrap();
    let mut kept = String::new();
    let mut ends = 0;
    for line in text.split_inclusive('\n') {
        if ends == ended {
            break;
        }
        kept.push_str(line);
        ends += usize::from(line.contains("\"test_finished\""));
    }
    std::fs::write(journal, kept).unwrap();
}

async fn go_on(
    folder: &Path,
    steps: Vec<Node>,
    if_changed: IfChanged,
) -> Result<RunReport, ResumeError> {
    let claimed = ClaimedRun::claim(folder)?;
    let options = RunOptions::new("unused");
    resume(plan(mixed(), &[], steps), claimed, if_changed, options, CancelHandle::new()).await
}

#[tokio::test]
async fn what_an_ended_test_blocked_stays_blocked() {
    let steps = || vec![blocker(test("t.fail")), test("t.pass"), test("t.pass")];
    let folder = killed_after(1, steps()).await;
    let report = go_on(folder.path(), steps(), IfChanged::Refuse).await.unwrap();
    assert_eq!(outcomes(&report), ["fail failed", "pass blocked", "pass(1) blocked"]);
}

#[tokio::test]
async fn another_sequence_is_refused_with_the_difference_or_gone_on_with() {
    let before = || vec![test("t.pass"), test("t.fail"), args(test("t.pass"), &[("a", "1")])];
    // The first is gone, the second stays, the third has another argument, and one is new.
    let after = || {
        vec![test("t.skip"), test("t.fail"), test("t.pass"), args(test("t.pass"), &[("a", "2")])]
    };
    let folder = killed_after(2, before()).await;
    let error = go_on(folder.path(), after(), IfChanged::Refuse).await.unwrap_err();
    let ResumeError::Changed(differences) = &error else { panic!("{error}") };
    assert!(differences.contains(&Difference::New("t.skip [t.skip]".into())), "{differences:?}");
    insta::assert_snapshot!(error);
    let report = go_on(folder.path(), after(), IfChanged::GoOn).await.unwrap();
    assert_eq!(outcomes(&report), ["skip skipped", "fail failed", "pass passed", "pass(1) passed"]);
    // What had ended under another number was not run again.
    let events = Journal::read(&folder.path().join(Journal::FILE)).unwrap();
    assert_eq!(events.damage, None);
    let ends: Vec<u32> = events
        .events
        .iter()
        .filter(|event| matches!(event.what, EventKind::TestFinished { .. }))
        .map(|event| event.test.unwrap().0)
        .collect();
    assert_eq!(ends, [2, 1, 0, 3]);
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("journal.jsonl."))
        .collect();
    assert_eq!(names.len(), 1, "the old journal is kept: {names:?}");
}

#[tokio::test]
async fn a_rerun_has_what_did_not_go_well_in_all_runs_before() {
    let good = |node| args(node, &[("good", "yes")]);
    let steps = || vec![test("t.pass"), test("t.fail"), test("t.skip"), test("t.fail")];
    let first = tempfile::tempdir().unwrap();
    run(plan(mixed(), &[], steps()), RunOptions::new(first.path()), CancelHandle::new()).await;
    let past = PastRun::open(first.path()).unwrap();
    // One more test, and one that was mended.
    let mut changed = vec![test("t.pass"), test("t.fail"), test("t.skip"), good(test("t.fail"))];
    changed.push(test("t.pass"));
    let whole = plan(mixed(), &[], changed);
    let again = rerun(&whole, &past).unwrap();
    assert_eq!((again.failed, again.new, again.passed, again.skipped), (2, 1, 1, 1));
    let second = tempfile::tempdir().unwrap();
    let mut options = RunOptions::new(second.path());
    options.origin.rerun_of = Some((past.run, first.path().to_owned()));
    let report = run(again.plan, options, CancelHandle::new()).await;
    assert_eq!(outcomes(&report), ["fail failed", "fail(1) passed", "pass(1) passed"]);
    // The third run knows both.
    let again = rerun(&whole, &PastRun::open(second.path()).unwrap()).unwrap();
    assert_eq!((again.failed, again.new, again.passed, again.skipped), (1, 0, 3, 1));
    let names: Vec<_> = again.plan.tests().map(|test| test.name.clone()).collect();
    assert_eq!(names, ["fail"]);
}

#[tokio::test]
async fn a_guest_that_a_killed_test_had_renamed_is_found_and_removed() {
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let state = Arc::clone(&lab.hosts[0].state);
    let tests = |forever: bool| {
        let renames = case!("t.renames", |cx| {
            let host = cx.default_host()?;
            let guest = host.create_guest(&GuestSpec::new("left")).await?;
            // The guests here do not know their own new name.
            let _ = guest.rename("moved").await;
            // Another one may have the name since.
            host.create_guest(&GuestSpec::new("left")).await?;
            std::future::pending().await
        });
        vec![if forever { renames } else { case!("t.renames", |_cx| { Ok(()) }) }]
    };
    let steps = || vec![test("t.renames")];
    let first = tempfile::tempdir().unwrap();
    let options = RunOptions::new(first.path()).provider(lab.clone());
    let running =
        tokio::spawn(run(plan(tests(true), &["SUT"], steps()), options, CancelHandle::new()));
    let names = || state.guests.lock().unwrap().keys().cloned().collect::<Vec<_>>();
    while names() != ["base", "left", "moved"] {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let folder = as_if_killed(first.path());
    running.abort();
    let claimed = ClaimedRun::claim(folder.path()).unwrap();
    let options = RunOptions::new("unused").provider(lab.clone());
    let run_plan = plan(tests(false), &["SUT"], steps());
    let report = resume(run_plan, claimed, IfChanged::Refuse, options, CancelHandle::new());
    assert_eq!(outcomes(&report.await.unwrap()), ["renames passed"]);
    assert_eq!(names(), [""; 0]);
}

#[tokio::test]
async fn a_run_goes_on_within_the_limits_that_it_had() {
    let steps = || vec![test("t.pass"), test("t.fail")];
    let folder = tempfile::tempdir().unwrap();
    let mut options = RunOptions::new(folder.path());
    options.retries = 2;
    options.time_limit = Some(Duration::from_secs(7200));
    options.test_timeout = Duration::from_secs(90);
    options.keep = Keep::OnFailure;
    run(plan(mixed(), &[], steps()), options, CancelHandle::new()).await;
    cut(folder.path(), 1);
    let limits = PastRun::open(folder.path()).unwrap().origin.limits.unwrap();
    assert_eq!(limits.time_limit.unwrap().0, Duration::from_secs(7200));
    assert_eq!((limits.test_timeout.0, limits.keep), (Duration::from_secs(90), Keep::OnFailure));
    go_on(folder.path(), steps(), IfChanged::Refuse).await.unwrap();
    let events = Journal::read(&folder.path().join(Journal::FILE)).unwrap().events;
    let resumed = events.iter().position(|it| matches!(it.what, EventKind::RunResumed { .. }));
    let attempts = events[resumed.unwrap()..]
        .iter()
        .filter(|event| matches!(event.what, EventKind::TestStarted { .. }))
        .count();
    assert_eq!(attempts, 3);
}
