//! What a sequence prepares: networks and guests, before and after, and what cannot be.

use std::sync::Arc;

use xenrt_core::sequence::{
    AfterInstall, BridgeStep, GuestAction, GuestCall, GuestStep, HostStep, Place, PoolStep,
    Prepare, Sequence, StorageStep, StorageType,
};
use xenrt_core::sequencer::{CancelHandle, EventKind, ExitCode, Plan, PlanHost, TestIndex};
use xenrt_core::testcase::Registry;

use crate::support::{FakeLab, Outline, host_step, run_sequence, sequence, test};

fn at(line: u32) -> Place {
    Place { offset: 0, length: 1, line, column: 3 }
}

fn then(guest: &mut GuestStep, line: u32, action: GuestAction) {
    guest.after_install.push(AfterInstall { action, place: at(line) });
}

fn call(method: &str) -> GuestAction {
    GuestAction::Other(GuestCall { method: method.into(), arguments: Vec::new() })
}

fn prepared(hosts: Vec<HostStep>) -> Sequence {
    sequence(hosts, vec![test("t.pass")])
}

async fn run(sequence: &Sequence, lab: &Arc<FakeLab>) -> Outline {
    let tests = vec![case!("t.pass", |_cx| { Ok(()) })];
    let lab = Arc::clone(lab);
    run_sequence(tests, sequence, CancelHandle::new(), |options| options.provider = Some(lab)).await
}

fn bridge(name: &str) -> BridgeStep {
    BridgeStep { name: name.into(), place: at(1) }
}

#[tokio::test]
async fn networks_come_before_guests_and_what_comes_before_before_the_rest() {
    let mut host = host_step(0, None, &["late"]);
    host.bridges.push(bridge("net0"));
    then(&mut host.guests[0], 5, GuestAction::Suspend);
    then(&mut host.guests[0], 6, GuestAction::Start);
    then(&mut host.guests[0], 7, GuestAction::Pause);
    then(&mut host.guests[0], 8, call("unpause"));
    then(&mut host.guests[0], 9, GuestAction::RemoveCd);
    then(&mut host.guests[0], 10, GuestAction::Shutdown);
    let mut sequence = prepared(vec![host]);
    sequence.preprepare =
        Prepare { hosts: vec![host_step(0, None, &["early"])], ..Prepare::default() };
    let mut pool = PoolStep::new(0, at(1));
    pool.hosts = vec![0];
    pool.master = Some(0);
    pool.bridges.push(bridge("pool0"));
    pool.guests.push(GuestStep::new("pooled", at(1)));
    sequence.prepare.pools.push(pool);
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let outline = run(&sequence, &lab).await;
    assert_eq!(outline.report.exit_code, ExitCode::AllPassed, "{:?}", outline.outcomes());
    let steps = outline.shown(|what| match what {
        EventKind::PrepareStarted { step } => Some(step.clone()),
        EventKind::PrepareProgress { step, message, .. } => Some(format!("  {step}: {message}")),
        EventKind::Undone { undo, error: None, .. } => Some(format!("undone: {undo}")),
        _ => None,
    });
    insta::assert_snapshot!(steps.join("\n"));
    assert!(lab.hosts[0].state.networks.lock().unwrap().is_empty());
    assert!(lab.hosts[0].state.guests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn prepare_workers_are_as_many_as_the_file_says() {
    for (workers, most) in [(None, 8), (Some("1"), 1), (Some("3"), 3)] {
        let names: Vec<String> = (0..12).map(|number| format!("g{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut sequence = prepared(vec![host_step(0, None, &names)]);
        sequence
            .variables
            .extend(workers.map(|workers| ("PREPARE_WORKERS".into(), workers.into())));
        let outline = run(&sequence, &Arc::new(FakeLab::of(&["alpha"]))).await;
        let (mut now, mut seen) = (0, 0);
        for event in &outline.events {
            match &event.what {
                EventKind::PrepareStarted { step } if step != "hosts" => now += 1,
                EventKind::PrepareFinished { step, .. } if step != "hosts" => now -= 1,
                _ => {}
            }
            seen = seen.max(now);
        }
        assert_eq!(seen, most, "{workers:?}");
    }
    let mut sequence = prepared(vec![]);
    sequence.variables.insert("PREPARE_WORKERS".into(), "many".into());
    let error =
        Plan::new(&sequence, &Registry::of(vec![case!("t.pass", |_cx| { Ok(()) })]).unwrap());
    assert_eq!(
        error.unwrap_err().to_string(),
        "made.seq:1:1: PREPARE_WORKERS is \"many\"; expected a number of at least 1"
    );
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_named_before_anything_is_built() {
    let mut host = host_step(0, None, &["web"]);
    then(&mut host.guests[0], 12, GuestAction::InstallDrivers);
    then(&mut host.guests[0], 13, call("installPowerShell"));
    host.guests[0].place = at(10);
    host.guests[0].packages.push("nginx".into());
    host.storage.push(StorageStep {
        kind: StorageType::NetApp,
        name: "filer".into(),
        is_default: false,
        options: Vec::new(),
        network: None,
        block_backend_pages: None,
        exporter_host: None,
        size: None,
        place: at(7),
    });
    host.install.product_version = Some("Clearwater".into());
    host.place = at(4);
    let sequence = prepared(vec![host]);
    let lab = Arc::new(FakeLab::of(&["alpha"]));
    let outline = run(&sequence, &lab).await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    assert_eq!(outline.report.exit_code, ExitCode::PreparationFailed);
    assert_eq!(*lab.log.lock().unwrap(), [""; 0], "the lab was not even asked");
    let registry = Registry::of(vec![case!("t.pass", |_cx| { Ok(()) })]).unwrap();
    let plan = Plan::new(&sequence, &registry).unwrap();
    assert_eq!(plan.not_carried_out().len(), 4);
    assert_eq!(
        plan.warnings(),
        ["line 4: the lab's hosts are used as they are: productVersion of RESOURCE_HOST_0 is not \
          looked at"]
    );
}

#[test]
fn a_plan_says_what_would_be_skipped_and_why() {
    let mut two = case!("t.two", |_cx| { Ok(()) });
    two.requires.hosts = 2;
    let mut migrates = case!("t.migrates", |_cx| { Ok(()) });
    migrates.requires.abilities = &[xenrt_core::model::Ability::LiveMigration];
    let registry = Registry::of(vec![two, migrates, case!("t.pass", |_cx| { Ok(()) })]).unwrap();
    let steps = vec![test("t.two"), test("t.pass"), test("t.migrates")];
    let plan = Plan::new(&sequence(vec![host_step(0, None, &[])], steps), &registry).unwrap();
    let lab = FakeLab::of(&["alpha"]);
    let host: &dyn xenrt_core::model::Host = &lab.hosts[0];
    let skips = plan.skips(&[PlanHost::from(host)]);
    let told: Vec<_> = skips
        .iter()
        .map(|(index, test, why)| format!("{} {}: {why}", index.0, test.name))
        .collect();
    assert_eq!(
        told,
        [
            "0 two: it needs 2 hosts, and the run has 1",
            "2 migrates: host alpha: live_migration is not supported by fake: it is a fake",
        ]
    );
    assert_eq!(skips[0].0, TestIndex(0));
}
