//! Who works beside whom: claims, semaphores, any host, lanes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use xenrt_core::model::Ability;
use xenrt_core::sequence::{Claim, HostChoice, Node};
use xenrt_core::sequencer::{CancelHandle, EventKind};
use xenrt_core::testcase::{Claims, TestContext, TestDescriptor, TestResult};

use crate::support::{
    FakeHost, FakeLab, Outline, args, host_step, parallel, run_plan, run_sequence, sequence,
    serial, test, with,
};

/// A test that is at work for ten seconds on its default host, and its guest where it has one.
fn works(id: &'static str) -> TestDescriptor {
    TestDescriptor { id, ..case!("t.works", |cx| { work(cx).await }) }
}

async fn work(cx: &TestContext) -> TestResult {
    cx.default_host()?;
    if cx.args().get::<String>("guest")?.is_some() {
        cx.default_guest()?;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    Ok(())
}

async fn run_on(
    names: &[&str],
    guests: &[&str],
    tests: Vec<TestDescriptor>,
    steps: Vec<Node>,
) -> (Outline, u64) {
    let lab = Arc::new(FakeLab::of(names));
    let mut hosts: Vec<_> = (0..).zip(names).map(|(id, _)| host_step(id, None, &[])).collect();
    hosts[0].guests = host_step(0, None, guests).guests;
    let started = tokio::time::Instant::now();
    let outline = run_plan(tests, hosts, steps, CancelHandle::new(), |options| {
        options.provider = Some(lab);
    })
    .await;
    assert_eq!(
        outline.report.summary.passed as usize,
        outline.report.results.len(),
        "{:?}",
        outline.outcomes()
    );
    (outline, started.elapsed().as_secs())
}

fn claiming(node: Node, claim: Claim) -> Node {
    with(node, |test| test.claim = Some(claim))
}

fn on(node: Node, host: &str) -> Node {
    let host = if host == "any" { HostChoice::Any } else { HostChoice::Named(host.into()) };
    with(node, |test| test.host = Some(host))
}

#[tokio::test(start_paused = true)]
async fn tests_that_claim_a_host_for_themselves_run_one_after_the_other() {
    let mut alone = works("t.alone");
    alone.claims = Claims { host: Claim::Exclusive, ..Claims::DEFAULT };
    let tests = || vec![works("t.works"), alone];
    let three = |node: fn() -> Node| vec![parallel(None, (0..3).map(|_| node()))];
    for (steps, seconds) in [
        (three(|| test("t.works")), 10),
        (three(|| test("t.alone")), 30),
        (three(|| claiming(test("t.works"), Claim::Exclusive)), 30),
        (three(|| claiming(test("t.alone"), Claim::Shared)), 10),
        // Two beside each other, then the one alone.
        (vec![parallel(None, [test("t.works"), test("t.alone"), test("t.works")])], 20),
    ] {
        assert_eq!(run_on(&["alpha"], &[], tests(), steps).await.1, seconds);
    }
    // On hosts of their own they are in nobody's way.
    let steps = vec![parallel(None, [on(test("t.alone"), "alpha"), on(test("t.alone"), "beta")])];
    assert_eq!(run_on(&["alpha", "beta"], &[], tests(), steps).await.1, 10);
    // One that needs both waits for both.
    let mut both = works("t.both");
    both.requires.hosts = 2;
    both.claims.host = Claim::Exclusive;
    let steps = vec![parallel(
        None,
        [on(test("t.alone"), "beta"), test("t.both"), on(test("t.alone"), "alpha")],
    )];
    let tests = vec![alone, both];
    assert_eq!(run_on(&["alpha", "beta"], &[], tests, steps).await.1, 20);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_is_named_is_for_one_test_alone_unless_it_is_shared() {
    let named = |guest: &str| args(test("t.works"), &[("guest", guest)]);
    let by_attribute = |guest: &str| {
        let guest = guest.to_owned();
        with(test("t.works"), move |test| test.guest = Some(guest.as_str().into()))
    };
    let guests = ["one", "two"];
    for (steps, seconds) in [
        (vec![named("one"), named("two")], 10),
        (vec![named("one"), named("one")], 20),
        (vec![named("one"), by_attribute("one"), by_attribute("two")], 20),
    ] {
        let steps = vec![parallel(None, steps)];
        assert_eq!(run_on(&["alpha"], &guests, vec![works("t.works")], steps).await.1, seconds);
    }
    let mut shares = works("t.works");
    shares.claims.guest = Some(Claim::Shared);
    let steps = vec![parallel(None, [named("one"), named("one")])];
    assert_eq!(run_on(&["alpha"], &guests, vec![shares], steps).await.1, 10);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_claimed_is_had_where_nobody_else_has_it() {
    let tests = vec![
        case!("t.owner", |cx| {
            cx.default_guest()?;
            tokio::time::sleep(Duration::from_secs(10)).await;
            Ok(())
        }),
        case!("t.thief", |cx| {
            tokio::time::sleep(Duration::from_secs(5)).await;
            cx.guest("shared")?;
            Ok(())
        }),
        case!("t.late", |cx| {
            tokio::time::sleep(Duration::from_secs(15)).await;
            cx.guest("shared")?;
            cx.hosts()?;
            Ok(())
        }),
    ];
    let owner = with(test("t.owner"), |test| test.guest = Some("shared".into()));
    let steps = vec![parallel(None, [owner, test("t.thief"), test("t.late")])];
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let hosts = vec![host_step(0, None, &["shared"])];
    let outline = run_plan(tests, hosts, steps, CancelHandle::new(), |options| {
        options.provider = Some(lab);
    })
    .await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_semaphore_bounds_the_tests_of_its_class_wherever_they_stand() {
    static NOW: Mutex<(usize, usize)> = Mutex::new((0, 0));
    let mut migrate = case!("t.migrate", |_cx| {
        {
            let mut now = NOW.lock().unwrap();
            now.0 += 1;
            now.1 = now.1.max(now.0);
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        NOW.lock().unwrap().0 -= 1;
        Ok(())
    });
    migrate.legacy = &["testcases.guestops.srm.TCMigrate"];
    let steps = vec![parallel(
        None,
        (0..3).flat_map(|_| [test("guestops.srm.TCMigrate"), serial([test("t.migrate")])]),
    )];
    let mut sequence = sequence(vec![], steps);
    sequence.semaphores = BTreeMap::from([("tcmigrate".to_owned(), 2), ("other".to_owned(), 1)]);
    let started = tokio::time::Instant::now();
    let outline = run_sequence(vec![migrate], &sequence, CancelHandle::new(), |_| ()).await;
    assert_eq!(outline.report.summary.passed, 6);
    assert_eq!(NOW.lock().unwrap().1, 2);
    assert_eq!(started.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn any_host_is_one_with_the_abilities_that_is_free() {
    let mut migrates = works("t.migrates");
    migrates.requires.abilities = &[Ability::LiveMigration];
    migrates.claims.host = Claim::Exclusive;
    let mut impossible = works("t.impossible");
    impossible.requires.abilities = &[Ability::Snapshots];
    let any = |id| on(test(id), "any");
    let lab = FakeLab {
        hosts: vec![
            FakeHost::new("alpha"),
            FakeHost::migrating("beta"),
            FakeHost::migrating("gamma"),
        ],
        ..FakeLab::default()
    };
    let steps = vec![
        parallel(None, [any("t.migrates"), any("t.migrates"), any("t.works"), any("t.migrates")]),
        any("t.impossible"),
        with(any("t.works"), |test| test.requires = vec![Ability::LiveMigration]),
    ];
    let hosts = (0..3).map(|id| host_step(id, None, &[])).collect();
    let tests = vec![works("t.works"), migrates, impossible];
    let lab = Arc::new(lab);
    let started = tokio::time::Instant::now();
    let outline = run_plan(tests, hosts, steps, CancelHandle::new(), |options| {
        options.provider = Some(lab);
    })
    .await;
    assert_eq!(started.elapsed().as_secs(), 30);
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    let on = outline.shown(|what| match what {
        EventKind::TestStarted { lane, hosts, .. } => Some(format!("lane {lane}: {hosts:?}")),
        _ => None,
    });
    insta::assert_snapshot!(on.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn workers_go_on_with_others_while_a_step_waits_for_its_host() {
    // Two workers: the second step waits for the host of the first, and keeps nobody from working.
    let alone = |host| claiming(on(test("t.works"), host), Claim::Exclusive);
    let steps =
        vec![parallel(Some(2), [alone("alpha"), alone("alpha"), alone("beta"), alone("beta")])];
    let (_, seconds) = run_on(&["alpha", "beta"], &[], vec![works("t.works")], steps).await;
    assert_eq!(seconds, 20);
}
