//! What goes wrong: restarts, broken connections, hanging tasks, other coordinators, lies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use xenrt_core::model::{
    DiskSpec, Guest, GuestSpec, Host, Memory, NetworkSpec, PowerState, ShutdownMode, SnapshotKind,
    VifSpec,
};
use xenrt_core::remote::RemoteError;
use xenrt_core::{Blame, Error, ToolstackErrorKind};
use xenrt_xapi::XapiHost;
use xenrt_xapi::double::{Effect, Rule, World};
use xenrt_xapi::xe::{ApiCode, Login, Xe, XeCommand, XeError};

use crate::world::Simulated;

/// What is done to a guest; the second argument is the other host of its pool.
type Act = for<'a> fn(&'a dyn Guest, &'a Arc<dyn Host>) -> BoxFuture<'a, xenrt_core::Result<()>>;

/// A verb, how to come to the state before it, and the command of `xe` that is its middle.
struct Verb {
    command: &'static str,
    before: PowerState,
    run: Act,
}

const VERBS: &[Verb] = &[
    Verb { command: "vm-start", before: PowerState::Halted, run: |g, _| g.start() },
    Verb { command: "vm-start", before: PowerState::Halted, run: |g, _| g.start_paused() },
    Verb { command: "vm-pause", before: PowerState::Running, run: |g, _| g.pause() },
    Verb { command: "vm-suspend", before: PowerState::Running, run: |g, _| g.suspend() },
    Verb { command: "vm-resume", before: PowerState::Suspended, run: |g, _| g.resume() },
    Verb {
        command: "vm-shutdown",
        before: PowerState::Running,
        run: |g, _| g.shutdown(ShutdownMode::Clean),
    },
    Verb {
        command: "vm-shutdown",
        before: PowerState::Running,
        run: |g, _| g.shutdown(ShutdownMode::Hard),
    },
    Verb {
        command: "vm-param-set",
        before: PowerState::Running,
        run: |g, _| async { g.rename("renamed").await }.boxed(),
    },
    Verb { command: "vm-vcpu-hotplug", before: PowerState::Running, run: |g, _| g.set_vcpus(2) },
    Verb { command: "vm-param-set", before: PowerState::Halted, run: |g, _| g.set_vcpus(2) },
    Verb {
        command: "vm-memory-dynamic-range-set",
        before: PowerState::Running,
        run: |g, _| g.set_memory(Memory::mib(384)),
    },
    Verb {
        command: "vdi-create",
        before: PowerState::Running,
        run: |g, _| async { g.attach_disk(DiskSpec::new(Memory::mib(16))).await.map(drop) }.boxed(),
    },
    Verb {
        command: "vbd-create",
        before: PowerState::Halted,
        run: |g, _| async { g.attach_disk(DiskSpec::new(Memory::mib(16))).await.map(drop) }.boxed(),
    },
    Verb {
        command: "vbd-plug",
        before: PowerState::Running,
        run: |g, _| async { g.attach_disk(DiskSpec::new(Memory::mib(16))).await.map(drop) }.boxed(),
    },
    Verb {
        command: "vif-create",
        before: PowerState::Running,
        run: |g, _| async { g.attach_vif(VifSpec::on_default()).await.map(drop) }.boxed(),
    },
    Verb {
        command: "vif-plug",
        before: PowerState::Running,
        run: |g, _| async { g.attach_vif(VifSpec::on_default()).await.map(drop) }.boxed(),
    },
    Verb { command: "vm-unpause", before: PowerState::Paused, run: |g, _| g.unpause() },
    Verb {
        command: REBOOT,
        before: PowerState::Running,
        run: |g, _| g.reboot(ShutdownMode::Clean),
    },
    Verb { command: REBOOT, before: PowerState::Running, run: |g, _| g.reboot(ShutdownMode::Hard) },
    Verb { command: "vbd-unplug", before: PowerState::Running, run: |g, _| g.detach_disk("xvda") },
    Verb { command: "vbd-destroy", before: PowerState::Halted, run: |g, _| g.detach_disk("xvda") },
    Verb { command: "vdi-destroy", before: PowerState::Running, run: |g, _| g.detach_disk("xvda") },
    Verb {
        command: "vif-unplug",
        before: PowerState::Running,
        run: |g, _| detach_first_vif(g).boxed(),
    },
    Verb {
        command: "vif-destroy",
        before: PowerState::Halted,
        run: |g, _| detach_first_vif(g).boxed(),
    },
    Verb {
        command: "vm-snapshot",
        before: PowerState::Halted,
        run: |g, _| snapshot(g, SnapshotKind::Disks, false).boxed(),
    },
    Verb {
        command: "vm-checkpoint",
        before: PowerState::Running,
        run: |g, _| snapshot(g, SnapshotKind::Memory, false).boxed(),
    },
    Verb {
        command: "snapshot-revert",
        before: PowerState::Halted,
        run: |g, _| snapshot(g, SnapshotKind::Disks, true).boxed(),
    },
    Verb {
        command: "vm-migrate",
        before: PowerState::Running,
        run: |g, other| async move { g.migrate(other).await }.boxed(),
    },
    Verb { command: "vm-uninstall", before: PowerState::Halted, run: |g, _| g.delete() },
];

/// Whether a guest was rebooted cannot be told from outside when the connection broke, and doing it
/// twice is not the same: here an error that says so is right.
const REBOOT: &str = "vm-reboot";

async fn detach_first_vif(guest: &dyn Guest) -> xenrt_core::Result<()> {
    let mac = guest.view().await?.vifs[0].mac;
    guest.detach_vif(mac).await
}

async fn snapshot(guest: &dyn Guest, kind: SnapshotKind, revert: bool) -> xenrt_core::Result<()> {
    let snapshots = guest.snapshots()?;
    let made = snapshots.create("before", kind).await?;
    assert_eq!(snapshots.list().await?.len(), 1, "made twice");
    if revert { snapshots.revert(&made).await } else { Ok(()) }
}

fn spec(name: &str) -> GuestSpec {
    let spec = GuestSpec::new(name).image("bare").vif(VifSpec::on_default()).max_vcpus(4);
    spec.disk(DiskSpec::new(Memory::mib(8)))
}

async fn bring_to(guest: &dyn Guest, state: PowerState) {
    if state != PowerState::Halted {
        guest.start().await.unwrap();
    }
    match state {
        PowerState::Suspended => guest.suspend().await.unwrap(),
        PowerState::Paused => guest.pause().await.unwrap(),
        _ => {}
    }
}

fn count(simulated: &Simulated, class: &str) -> usize {
    simulated.double.look(|world| world.all(class).count()).unwrap()
}

/// A world with a second host to move to.
fn pool() -> World {
    let mut world = World::small();
    world.add_host("other", "192.0.2.11");
    world
}

/// Runs every verb with these rules in the middle of it and returns what came of each.
async fn every_verb(
    rules: impl Fn(&str) -> Vec<Rule>,
) -> Vec<(&'static str, xenrt_core::Result<()>)> {
    let simulated = Simulated::start_host(&pool(), "xapi-sim");
    let host = XapiHost::of(simulated.connect_as("xapi-sim").await.as_ref()).unwrap();
    let disturb = |command: &str, _| {
        for rule in rules(command) {
            simulated.double.rule(rule).unwrap();
        }
    };
    every_verb_on(&simulated, &host, disturb).await
}

/// Runs every verb after `disturb` was told of its command and its number.
async fn every_verb_on(
    simulated: &Simulated,
    host: &XapiHost,
    disturb: impl Fn(&str, usize),
) -> Vec<(&'static str, xenrt_core::Result<()>)> {
    let mut results = Vec::new();
    // Each dom0 sees the domains of its own host.
    let beside = simulated.start_beside("other");
    let other = beside.connect_as("other").await;
    for (index, verb) in VERBS.iter().enumerate() {
        let guest = host.define_guest(&spec(&format!("g{index}"))).await.unwrap();
        bring_to(guest.as_ref(), verb.before).await;
        let before = ["vm", "vbd", "vif", "vdi"].map(|class| count(simulated, class));
        disturb(verb.command, index);
        let result = (verb.run)(guest.as_ref(), &other).await;
        assert!(simulated.double.rules_are_used_up().unwrap(), "{} was not hit", verb.command);
        if result.is_ok() && verb.command != "vm-uninstall" {
            guest.check().await.unwrap_or_else(|error| panic!("{}: {error}", verb.command));
        }
        let after = ["vm", "vbd", "vif", "vdi"].map(|class| count(simulated, class));
        // A snapshot is a VM with a VIF, and with a VBD and a VDI for each disk.
        for (before, after) in before.iter().zip(after) {
            assert!(after <= before + 1, "{}: made twice", verb.command);
        }
        // Whatever came of it, everything can be removed.
        guest.ensure_deleted().await.unwrap();
        assert_eq!(["vbd", "vif"].map(|class| count(simulated, class)), [0, 0], "{}", verb.command);
        results.push((verb.command, result));
    }
    assert_eq!(count(simulated, "vdi"), 2, "only the CDs are left");
    results
}

#[tokio::test]
async fn a_restart_in_the_middle_of_each_verb_is_waited_for() {
    // The answer with an HTTP status is the end of a reboot: nobody knows whether it was done.
    let restart = |command: &str| {
        let told = if command == REBOOT { 2 } else { 3 };
        Rule::restart(command).into_iter().take(told).collect()
    };
    for (command, result) in every_verb(restart).await {
        done_or_told(command, result, "Server internal error");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_each_verb_makes_nothing_twice() {
    let lost = |command: &str| vec![Rule::once(command, Effect::LostAfter)];
    for (command, result) in every_verb(lost).await {
        done_or_told(command, result, "Lost connection");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_each_verb_loses_nothing() {
    let lost = |command: &str| vec![Rule::once(command, Effect::LostBefore)];
    for (command, result) in every_verb(lost).await {
        done_or_told(command, result, "Lost connection");
    }
}

/// A verb succeeded; a reboot may have failed because of `what`, in words that can be matched.
fn done_or_told(command: &str, result: xenrt_core::Result<()>, what: &str) {
    let Err(error) = result else { return };
    assert!(command == REBOOT && error.to_string().contains(what), "{command}: {error}");
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::NotRunning), "{error}");
}

#[tokio::test]
async fn a_session_that_ends_in_each_verb_loses_nothing_and_makes_nothing_twice() {
    let ended = |command: &str| {
        vec![Rule::once(
            command,
            Effect::Fails("SESSION_INVALID".into(), vec!["OpaqueRef:x".into()]),
        )]
    };
    for (command, result) in every_verb(ended).await {
        done_or_told(command, result, "SESSION_INVALID");
    }
}

#[tokio::test]
async fn the_coordinator_may_change_before_each_verb() {
    let mut world = pool();
    world.allow_login("root", "pass");
    let simulated = Simulated::start_host(&world, "xapi-sim");
    let file = simulated.path("password");
    std::fs::write(&file, "pass\n").unwrap();
    let mut entry = simulated.lab("").hosts.remove(0);
    entry.name = "xapi-sim".to_owned();
    for (key, value) in [
        ("xe_server", "192.0.2.20".to_owned()),
        ("xe_user", "root".to_owned()),
        ("xe_password_file", file.display().to_string()),
    ] {
        entry.attributes.insert(key.to_owned(), value);
    }
    let host = xenrt_xapi::XapiToolstack::new();
    let host = xenrt_core::model::Toolstack::connect(&host, &entry).await.unwrap();
    let host = XapiHost::of(host.as_ref()).unwrap();
    let change = |_: &str, index| {
        let address = format!("192.0.2.{}", 20 + index % 2);
        simulated.double.change(|world| world.set_coordinator(&address)).unwrap();
    };
    change("", 0);
    for (command, result) in every_verb_on(&simulated, &host, change).await {
        result.unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    let calls = simulated.double.calls().unwrap().join("\n");
    assert!(calls.contains("-s 192.0.2.21") && !calls.contains("pass\n"), "{calls}");
}

#[tokio::test]
async fn a_verb_whose_task_hangs_ends_in_time_and_the_guest_is_what_it_was() {
    let simulated = Simulated::start(&World::small());
    let mut entry = simulated.lab("").hosts.remove(0);
    entry.deadlines.command = Duration::from_secs(6);
    let toolstack = xenrt_xapi::XapiToolstack::new();
    let host = xenrt_core::model::Toolstack::connect(&toolstack, &entry).await.unwrap();
    let guest = host.define_guest(&spec("tiny")).await.unwrap();
    simulated.double.rule(Rule::once("vm-start", Effect::Hangs)).unwrap();
    let started = Instant::now();
    let error = guest.start().await.unwrap_err();
    assert!(matches!(error, Error::Remote(RemoteError::Deadline { .. })), "{error}");
    assert!(started.elapsed() < Duration::from_secs(60));
    guest.check().await.unwrap();
    guest.start().await.unwrap();
    guest.check().await.unwrap();
}

#[tokio::test]
async fn what_is_looked_at_survives_restarts_too() {
    let restart = |_: &str| {
        let lost = Rule::once("vm-list", Effect::LostAfter);
        [Rule::restart("vm-list").to_vec(), vec![lost]].concat()
    };
    for (command, result) in every_verb(restart).await {
        result.unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

#[tokio::test]
async fn a_guest_is_defined_once_whatever_breaks() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let commands = [
        "vm-list",
        "vm-install",
        "vm-memory-limits-set",
        "vm-param-set",
        "vif-create",
        "vdi-create",
        "vbd-create",
        "vbd-list",
    ];
    let effects = [Effect::LostAfter, Effect::LostBefore, Effect::Refused];
    for (index, (command, effect)) in
        commands.iter().flat_map(|command| effects.iter().map(move |e| (command, e))).enumerate()
    {
        simulated.double.rule(Rule::once(command, effect.clone())).unwrap();
        let name = format!("g{index}");
        let spec = GuestSpec::new(&name).image("debian").memory(Memory::mib(300));
        let spec = spec.vif(VifSpec::on_default()).disk(DiskSpec::new(Memory::mib(8)));
        let guest = host.define_guest(&spec).await;
        let guest = guest.unwrap_or_else(|error| panic!("{command} {effect:?}: {error}"));
        assert!(simulated.double.rules_are_used_up().unwrap(), "{command}");
        guest.check().await.unwrap();
        assert_eq!(guest.view().await.unwrap().disks.len(), 2, "{command} {effect:?}");
        guest.delete().await.unwrap();
        assert_eq!(count(&simulated, "vdi"), 2, "{command} {effect:?}");
    }
    // Only the control domain and the two templates.
    assert_eq!(count(&simulated, "vm"), 3);
}

#[tokio::test]
async fn a_guest_that_cannot_be_completed_leaves_nothing() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    for command in
        ["vm-memory-limits-set", "vm-param-set", "vif-create", "vdi-create", "vbd-create"]
    {
        let fails = Effect::Fails("INTERNAL_ERROR".into(), vec!["no".into()]);
        simulated.double.rule(Rule::once(command, fails)).unwrap();
        let spec = GuestSpec::new("half").image("debian").memory(Memory::mib(300));
        let spec = spec.vif(VifSpec::on_default()).disk(DiskSpec::new(Memory::mib(8)));
        let error = host.define_guest(&spec).await.unwrap_err();
        assert_eq!(error.blame(), Blame::Product, "{command}: {error}");
        assert_eq!(
            ["vm", "vdi", "vif"].map(|class| count(&simulated, class)),
            [3, 2, 0],
            "{command}"
        );
    }
}

#[tokio::test]
async fn networks_are_not_made_twice_either() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    for (index, effect) in [Effect::LostAfter, Effect::LostBefore].into_iter().enumerate() {
        simulated.double.rule(Rule::once("network-create", effect)).unwrap();
        host.define_network(&NetworkSpec::isolated(format!("n{index}"))).await.unwrap();
    }
    simulated.double.rule(Rule::once("network-destroy", Effect::LostAfter)).unwrap();
    host.remove_network("n0").await.unwrap();
    assert_eq!(count(&simulated, "network"), 3);
}

#[tokio::test]
async fn a_task_that_hangs_ends_with_the_deadline() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = host.define_guest(&spec("tiny")).await.unwrap();
    simulated.double.rule(Rule::once("vm-start", Effect::Hangs)).unwrap();
    let xe =
        Xe::with_deadline(simulated.connected_shell().await, Login::Local, Duration::from_secs(2));
    let started = Instant::now();
    let error = xe.run(&XeCommand::new("vm-start").uuid(guest.uuid())).await.unwrap_err();
    assert!(matches!(error, XeError::Remote(xenrt_core::remote::RemoteError::Deadline { .. })));
    assert!(error.is_ambiguous());
    assert!(started.elapsed() < Duration::from_secs(15));
    guest.check().await.unwrap();
}

#[tokio::test]
async fn something_that_is_busy_is_waited_for_and_then_told() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = host.define_guest(&spec("tiny")).await.unwrap();
    let busy = || {
        let values = vec!["VM".into(), guest.uuid().to_string(), "start".into(), "x".into()];
        Effect::Fails("OTHER_OPERATION_IN_PROGRESS".into(), values)
    };
    simulated.double.rule(Rule::once("vm-start", busy()).times(2)).unwrap();
    guest.start().await.unwrap();
    simulated.double.rule(Rule::once("vm-pause", busy()).times(1000)).unwrap();
    let xe =
        Xe::with_deadline(simulated.connected_shell().await, Login::Local, Duration::from_secs(2));
    let error = xe.run(&XeCommand::new("vm-pause").uuid(guest.uuid())).await.unwrap_err();
    assert_eq!(error.code(), Some(&ApiCode::OtherOperationInProgress));
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_is_no_success() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = host.define_guest(&spec("tiny")).await.unwrap();
    let ended = || Effect::Fails("SESSION_INVALID".into(), vec!["OpaqueRef:x".into()]);
    // Asked again where it only asks, and where the state tells that it was not done.
    simulated.double.rule(Rule::once("vm-list", ended())).unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
    simulated.double.rule(Rule::once("vm-start", ended())).unwrap();
    guest.start().await.unwrap();
    guest.check().await.unwrap();
    // A reboot cannot be told from none.
    simulated.double.rule(Rule::once("vm-reboot", ended())).unwrap();
    let error = guest.reboot(ShutdownMode::Hard).await.unwrap_err();
    assert!(error.to_string().contains("SESSION_INVALID"), "{error}");
    guest.check().await.unwrap();
}

#[tokio::test]
async fn a_success_that_was_none_is_found_out() {
    let simulated = Simulated::start(&World::small());
    let mut entry = simulated.lab("").hosts.remove(0);
    entry.deadlines.state = Duration::from_secs(2);
    let toolstack = xenrt_xapi::XapiToolstack::new();
    let host = xenrt_core::model::Toolstack::connect(&toolstack, &entry).await.unwrap();
    let guest = host.define_guest(&spec("tiny")).await.unwrap();
    simulated.double.rule(Rule::once("vm-start", Effect::Lies)).unwrap();
    let error = guest.start().await.unwrap_err();
    assert!(matches!(&error, Error::Timeout { last_seen, .. } if last_seen == "Halted"), "{error}");
    guest.check().await.unwrap();
    assert!(matches!(XapiHost::of(host.as_ref()), Some(own) if own.name() == "sim"));
}

#[tokio::test]
async fn the_coordinator_is_followed_where_a_login_can_be_used_there() {
    let mut world = World::small();
    world.allow_login("root", "pass");
    world.set_coordinator("192.0.2.20");
    let simulated = Simulated::start(&world);
    let login = |password: &str| Login::Remote {
        server: "192.0.2.10".into(),
        port: Some(443),
        user: "root".into(),
        password: password.into(),
    };
    let xe = Xe::with_deadline(simulated.shell(), login("pass"), Duration::from_secs(20));
    assert_eq!(xe.uuids(XeCommand::new("host-list")).await.unwrap().len(), 1);
    let calls = simulated.double.calls().unwrap();
    assert!(calls[0].contains("192.0.2.10") && calls[1].contains("192.0.2.20"), "{calls:?}");
    let wrong = Xe::with_deadline(simulated.shell(), login("wrong"), Duration::from_secs(20));
    let error = wrong.run(&XeCommand::new("host-list")).await.unwrap_err();
    assert_eq!(error.code(), Some(&ApiCode::SessionAuthenticationFailed), "{error}");
}

#[tokio::test]
async fn a_toolstack_that_never_comes_back_is_told_with_what_to_do() {
    let simulated = Simulated::start(&World::small());
    simulated.double.rule(Rule::once("", Effect::Refused).times(1000)).unwrap();
    let xe =
        Xe::with_deadline(simulated.connected_shell().await, Login::Local, Duration::from_secs(2));
    let error = xe.run(&XeCommand::new("host-list")).await.unwrap_err();
    assert!(matches!(error, XeError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("systemctl status xapi"), "{error}");
}
