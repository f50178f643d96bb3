//! Connections that break more than once while something is made: it is made once.

use std::time::{Duration, Instant};

use xenrt_core::Error;
use xenrt_core::model::{
    DiskSpec, Guest as _, GuestSpec, Host as _, Memory, NetworkSpec, SnapshotKind, VifSpec,
};
use xenrt_xapi::double::{Effect, Object, Rule, World};
use xenrt_xapi::xe::XeCommand;
use xenrt_xapi::{BondMode, StorageSpec, XapiGuest, XapiHost};

use crate::world::Simulated;

/// What defining a guest with a disk sends that makes something or changes it.
const DEFINES: &[&str] = &[
    "vm-install",
    "vm-memory-limits-set",
    "vm-param-set",
    "vif-create",
    "vdi-create",
    "vbd-create",
    "vbd-param-set",
];

fn spec(name: &str) -> GuestSpec {
    let spec = GuestSpec::new(name).image("debian").memory(Memory::mib(300));
    spec.vif(VifSpec::on_default()).disk(DiskSpec::new(Memory::mib(8)))
}

fn count(simulated: &Simulated, class: &str) -> usize {
    simulated.double.look(|world| world.all(class).count()).unwrap()
}

/// Breaks the connection at each of these commands so.
fn rules(simulated: &Simulated, broken: &[(&str, Effect)]) {
    for (command, effect) in broken {
        simulated.double.rule(Rule::once(command, effect.clone())).unwrap();
    }
}

/// Defines a guest whose connection breaks so, and looks that it is whole and there once.
async fn defined_once(simulated: &Simulated, host: &XapiHost, broken: &[(&str, Effect)]) {
    let before = ["vm", "vdi", "vbd", "vif"].map(|class| count(simulated, class));
    rules(simulated, broken);
    let guest = host.define_guest(&spec("often")).await;
    let guest = guest.unwrap_or_else(|error| panic!("{broken:?}: {error}"));
    assert!(simulated.double.rules_are_used_up().unwrap(), "{broken:?} did not happen");
    guest.check().await.unwrap();
    let made = ["vm", "vdi", "vbd", "vif"].map(|class| count(simulated, class));
    let expected = [before[0] + 1, before[1] + 2, before[2] + 2, before[3] + 1];
    assert_eq!(made, expected, "{broken:?}");
    guest.delete().await.unwrap();
    let left = ["vm", "vdi", "vbd", "vif"].map(|class| count(simulated, class));
    assert_eq!(left, before, "{broken:?}");
}

#[tokio::test]
async fn a_guest_is_defined_once_where_the_connection_breaks_at_two_commands() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let pairs = DEFINES.iter().enumerate().flat_map(|(index, first)| {
        DEFINES.iter().skip(index + 1).map(move |second| (*first, *second))
    });
    for (index, (first, second)) in pairs.enumerate() {
        let (one, other) = match index % 3 {
            0 => (Effect::LostAfter, Effect::LostAfter),
            1 => (Effect::LostBefore, Effect::LostAfter),
            _ => (Effect::LostAfter, Effect::LostBefore),
        };
        defined_once(&simulated, &host, &[(first, one), (second, other)]).await;
    }
}

#[tokio::test]
async fn a_guest_is_defined_once_where_the_connection_breaks_again_and_again_at_one_command() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let (before, after) = (Effect::LostBefore, Effect::LostAfter);
    for command in DEFINES {
        let broken = [&before, &before, &before, &after].map(|effect| (*command, effect.clone()));
        defined_once(&simulated, &host, &broken).await;
    }
    // What is the same when it is done twice is sent until it is answered.
    for command in ["vm-memory-limits-set", "vm-param-set", "vbd-param-set"] {
        let broken = [&after, &after, &before, &after].map(|effect| (command, effect.clone()));
        defined_once(&simulated, &host, &broken).await;
    }
}

/// A connection that breaks for good ends with the deadline, and with what it was.
#[tokio::test]
async fn a_guest_that_cannot_be_made_in_time_is_told_and_leaves_nothing() {
    let simulated = Simulated::start(&World::small());
    let mut entry = simulated.lab("").hosts.remove(0);
    entry.deadlines.command = Duration::from_secs(3);
    entry.deadlines.suspend = Duration::from_secs(3);
    let toolstack = xenrt_xapi::XapiToolstack::new();
    let host = xenrt_core::model::Toolstack::connect(&toolstack, &entry).await.unwrap();
    simulated.double.rule(Rule::once("vm-install", Effect::LostBefore).times(1_000_000)).unwrap();
    let started = Instant::now();
    let error = host.define_guest(&GuestSpec::new("never").image("bare")).await.unwrap_err();
    assert!(error.to_string().contains("Lost connection"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert_eq!(["vm", "vdi", "vif"].map(|class| count(&simulated, class)), [3, 2, 0]);
}

async fn guest(host: &XapiHost, name: &str) -> XapiGuest {
    let guest = host.define_guest(&spec(name)).await.unwrap();
    host.xapi_guest(guest.uuid()).await.unwrap()
}

#[tokio::test]
async fn snapshots_clones_and_disks_are_made_once() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = guest(&host, "one").await;
    let (before, after) = (Effect::LostBefore, Effect::LostAfter);
    rules(
        &simulated,
        &[
            ("vm-snapshot", before.clone()),
            ("vm-snapshot", before.clone()),
            ("vm-snapshot", after.clone()),
            ("snapshot-param-set", after.clone()),
            ("snapshot-param-set", after.clone()),
            ("snapshot-param-set", before.clone()),
        ],
    );
    let snapshots = guest.snapshots().unwrap();
    let made = snapshots.create("before", SnapshotKind::Disks).await.unwrap();
    assert!(simulated.double.rules_are_used_up().unwrap());
    assert_eq!(snapshots.list().await.unwrap().len(), 1);
    rules(&simulated, &[("snapshot-revert", after.clone()), ("snapshot-revert", after.clone())]);
    snapshots.revert(&made).await.unwrap();
    let removed = [&before, &after].map(|effect| ("snapshot-uninstall", effect.clone()));
    rules(&simulated, &removed);
    snapshots.delete(&made).await.unwrap();
    assert!(simulated.double.rules_are_used_up().unwrap());
    let vms = count(&simulated, "vm");
    for (index, command) in ["vm-clone", "vm-copy"].into_iter().enumerate() {
        let broken = [&before, &before, &after].map(|effect| (command, effect.clone()));
        rules(&simulated, &broken);
        let name = format!("copy {index}");
        let copy = match command {
            "vm-clone" => guest.clone_as(&name).await.unwrap(),
            _ => guest.copy_as(&name, None).await.unwrap(),
        };
        assert!(simulated.double.rules_are_used_up().unwrap(), "{command}");
        assert_eq!(count(&simulated, "vm"), vms + 1, "{command}");
        copy.delete().await.unwrap();
    }
    guest.start().await.unwrap();
    let disks = count(&simulated, "vdi");
    rules(
        &simulated,
        &[
            ("vdi-create", before.clone()),
            ("vdi-create", after.clone()),
            ("vbd-create", before.clone()),
            ("vbd-create", after.clone()),
            ("vbd-param-set", after.clone()),
            ("vbd-plug", before.clone()),
            ("vbd-plug", after.clone()),
        ],
    );
    let disk = guest.attach_disk(DiskSpec::new(Memory::mib(16))).await.unwrap();
    assert!(simulated.double.rules_are_used_up().unwrap());
    assert_eq!(count(&simulated, "vdi"), disks + 1);
    let broken = ["vbd-unplug", "vbd-unplug", "vbd-destroy", "vbd-destroy", "vdi-destroy"];
    rules(&simulated, &broken.map(|command| (command, before.clone())));
    guest.detach_disk(&disk.device).await.unwrap();
    assert!(simulated.double.rules_are_used_up().unwrap());
    assert_eq!(count(&simulated, "vdi"), disks);
    guest.check().await.unwrap();
}

#[tokio::test]
async fn networks_vlans_bonds_and_storage_are_made_once() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let (before, after) = (Effect::LostBefore, Effect::LostAfter);
    let twice = |command| [(command, before.clone()), (command, after.clone())];
    rules(&simulated, &twice("network-create"));
    rules(&simulated, &["network-param-set"; 2].map(|command| (command, after.clone())));
    host.define_network(&NetworkSpec::isolated("own")).await.unwrap();
    assert!(simulated.double.rules_are_used_up().unwrap());
    assert_eq!(count(&simulated, "network"), 3);
    let named = XeCommand::new("network-list").param("name-label", "own");
    let network = host.xe().uuids(named).await.unwrap()[0];
    let interfaces = host.interfaces().await.unwrap();
    rules(&simulated, &twice("vlan-create"));
    let vlan = host.create_vlan(interfaces[1].uuid, 100, network).await.unwrap();
    rules(&simulated, &twice("vlan-destroy"));
    host.remove_vlan(vlan).await.unwrap();
    rules(&simulated, &twice("bond-create"));
    let both: Vec<uuid::Uuid> = interfaces.iter().map(|own| own.uuid).collect();
    let bond = host.create_bond(&both, network, BondMode::ActiveBackup).await.unwrap();
    assert_eq!(["vlan", "bond"].map(|class| count(&simulated, class)), [0, 1]);
    host.remove_bond(bond).await.unwrap();
    rules(&simulated, &twice("network-destroy"));
    host.remove_network("own").await.unwrap();
    rules(&simulated, &twice("sr-create"));
    let spec = StorageSpec::nfs("store", "192.0.2.5", "/export");
    let storage = host.create_storage(&spec).await.unwrap();
    assert_eq!(count(&simulated, "sr"), 3);
    rules(&simulated, &[("pbd-unplug", before.clone()), ("pbd-unplug", after.clone())]);
    rules(&simulated, &twice("sr-forget"));
    host.forget_storage(storage).await.unwrap();
    assert!(simulated.double.rules_are_used_up().unwrap());
    assert_eq!(["network", "sr"].map(|class| count(&simulated, class)), [2, 2]);
}

/// xapi goes on with what it was asked for when the one who asked is gone: what is not there yet may
/// come.
#[tokio::test]
async fn nothing_is_sent_again_while_xapi_may_still_be_doing_it() {
    let mut world = World::small();
    let task = Object::new("task").with("name-label", "network.create").with("status", "pending");
    let task: uuid::Uuid = world.add(task).parse().unwrap();
    let simulated = Simulated::start(&world);
    let host = simulated.connect().await;
    simulated.double.rule(Rule::once("network-create", Effect::LostBefore)).unwrap();
    let looks = |simulated: &Simulated| {
        let calls = simulated.double.calls().unwrap();
        calls.iter().filter(|call| call.starts_with("task-list")).count()
    };
    let comes = async {
        let started = Instant::now();
        while looks(&simulated) < 3 {
            assert!(started.elapsed() < Duration::from_secs(30), "nobody looks for tasks");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let late = Object::new("network").with("name-label", "late").with("bridge", "xapi7");
        simulated.double.change(|world| world.add(late)).unwrap();
        host.cancel_task(task).await.unwrap();
    };
    let spec = NetworkSpec::isolated("late");
    let (made, ()) = tokio::join!(host.define_network(&spec), comes);
    made.unwrap();
    let calls = simulated.double.calls().unwrap();
    let created = calls.iter().filter(|call| call.starts_with("network-create")).count();
    assert_eq!((created, count(&simulated, "network")), (1, 3), "{calls:#?}");
}

#[tokio::test]
async fn what_xapi_never_ends_is_told_and_nothing_is_sent_again() {
    let mut world = World::small();
    world.add(Object::new("task").with("name-label", "network.create").with("status", "pending"));
    let simulated = Simulated::start(&world);
    let mut entry = simulated.lab("").hosts.remove(0);
    entry.deadlines.command = Duration::from_secs(4);
    let toolstack = xenrt_xapi::XapiToolstack::new();
    let host = xenrt_core::model::Toolstack::connect(&toolstack, &entry).await.unwrap();
    simulated.double.rule(Rule::once("network-create", Effect::LostBefore)).unwrap();
    let error = host.define_network(&NetworkSpec::isolated("never")).await.unwrap_err();
    assert!(matches!(error, Error::Toolstack { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("not known whether it was done") && text.contains("still works"),
        "{text}"
    );
    assert_eq!(count(&simulated, "network"), 2);
}
