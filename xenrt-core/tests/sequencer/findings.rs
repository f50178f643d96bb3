//! Bad news in consoles and logs belongs to the test that ran while it was written.

use std::sync::Arc;

use xenrt_core::model::{GuestSpec, PowerState};
use xenrt_core::remote::{Command, ShellExt as _};
use xenrt_core::sequencer::{CancelHandle, EventKind};
use xenrt_core::testcase::{TestContext, TestDescriptor, TestError};

use crate::support::{FakeLab, Outline, host_step, run_plan, test};

const PANIC: &str = "\n[    1.5] Kernel panic - not syncing: Attempted to kill init!\n";
const OOPS: &str = "[   77.0] Oops: 0002 [#1] SMP\n[   77.0] CPU: 0\n";

/// What the host of a test writes.
fn state(cx: &TestContext) -> Result<Arc<crate::support::State>, TestError> {
    let host = cx.default_host()?;
    Ok(crate::support::state_of(host.as_ref()))
}

fn tests() -> Vec<TestDescriptor> {
    vec![
        case!("t.quiet", |cx| {
            cx.default_host()?.dom0().run(&Command::new("true")).await?;
            Ok(())
        }),
        case!("t.oops", |cx| {
            state(cx)?.kernel_log.lock().unwrap().push_str(OOPS);
            Ok(())
        }),
        case!("t.own_guest", |cx| {
            cx.default_host()?.create_guest(&GuestSpec::new("own")).await?;
            state(cx)?.consoles.lock().unwrap().insert("own".into(), PANIC.into());
            Ok(())
        }),
        case!("t.shared_guest", |cx| {
            cx.guest("shared")?;
            let state = state(cx)?;
            let mut consoles = state.consoles.lock().unwrap();
            let console = consoles.entry("shared".into()).or_default();
            console.push_str("\n[    3.0] Out of memory: Killed process 7 (init) total-vm:1kB\n");
            Ok(())
        }),
    ]
}

async fn run_tests(names: &[&str]) -> Outline {
    let lab = FakeLab::of(&["alpha"]);
    // Older than the run, so nobody's.
    lab.hosts[0].state.kernel_log.lock().unwrap().push_str("[    1.0] BUG: old news\n");
    let steps = names.iter().map(|name| test(name)).collect();
    let hosts = vec![host_step(0, None, &["shared"])];
    run_plan(tests(), hosts, steps, CancelHandle::new(), |options| {
        options.provider = Some(Arc::new(lab));
    })
    .await
}

/// `test: pattern in source`, for each finding.
fn findings(outline: &Outline) -> Vec<String> {
    let findings = outline.events.iter().filter_map(|event| match &event.what {
        EventKind::Finding { source, pattern, .. } => {
            let test = event.test.map_or("the run".to_owned(), |test| test.0.to_string());
            Some(format!("{test}: {pattern} in {source}"))
        }
        _ => None,
    });
    findings.collect()
}

#[tokio::test]
async fn a_finding_belongs_to_the_test_that_ran_and_changes_no_verdict() {
    let names = ["t.quiet", "t.oops", "t.quiet", "t.own_guest", "t.shared_guest", "t.quiet"];
    let outline = run_tests(&names).await;
    assert_eq!(
        findings(&outline),
        [
            "1: Oops in host alpha kernel log",
            "3: kernel panic in guest own console",
            "4: out of memory in guest shared console",
        ]
    );
    assert_eq!(outline.report.summary.passed, 6);
}

#[tokio::test]
async fn the_log_of_an_earlier_guest_of_the_same_name_is_not_told_again() {
    let outline = run_tests(&["t.own_guest", "t.own_guest"]).await;
    // The second one appends nothing to what the host keeps under that name.
    assert_eq!(findings(&outline), ["0: kernel panic in guest own console"]);
}

#[tokio::test]
async fn looking_for_findings_leaves_no_command_in_the_journal() {
    let outline = run_tests(&["t.quiet"]).await;
    let commands = outline.shown(|what| match what {
        EventKind::Command(record) => Some(record.command.clone()),
        _ => None,
    });
    assert!(!commands.is_empty() && commands.iter().all(|line| line != "dmesg"), "{commands:?}");
}

#[tokio::test]
async fn the_state_of_a_guest_is_evidence_with_what_it_should_be() {
    let tests = vec![case!("t.stops", |cx| {
        let guest = cx.guest("shared")?;
        // Behind the library's back, as a crash is.
        state(cx)?.guests.lock().unwrap().insert("shared".into(), PowerState::Paused);
        guest.check().await?;
        Ok(())
    })];
    let hosts = vec![host_step(0, None, &["shared"])];
    let steps = vec![test("t.stops")];
    let outline = run_plan(tests, hosts, steps, CancelHandle::new(), |options| {
        options.provider = Some(Arc::new(FakeLab::of(&["alpha"])));
    })
    .await;
    let file = outline.folder.path().join("tests/000-stops/shared-state.txt");
    insta::assert_snapshot!(std::fs::read_to_string(file).unwrap());
}
