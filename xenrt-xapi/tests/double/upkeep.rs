//! What a pool does beyond its guests, and guests that leave it, through a real sshd.

use uuid::Uuid;
use xenrt_core::model::{
    Guest as _, GuestSpec, Host, HostInfo, NetworkSpec, PowerState, Toolstack as _, VifSpec,
};
use xenrt_core::{Error, ToolstackErrorKind};
use xenrt_xapi::double::{DryGuests, Effect, Object, Rule, World};
use xenrt_xapi::xe::XeCommand;
use xenrt_xapi::{About, BondMode, RemotePool, StorageSpec, XapiGuest, XapiHost};

use crate::dry;
use crate::world::Simulated;

fn pool() -> World {
    let mut world = World::small();
    world.add_host("other", "192.0.2.11");
    world
}

async fn guest(host: &XapiHost, name: &str) -> XapiGuest {
    let spec = GuestSpec::new(name).image("debian").vif(VifSpec::on_default());
    let guest = host.define_guest(&spec).await.unwrap();
    host.xapi_guest(guest.uuid()).await.unwrap()
}

#[tokio::test]
async fn high_availability_is_turned_on_and_off() {
    let mut world = pool();
    world.allow_ha();
    let simulated = Simulated::start_host(&world, "xapi-sim");
    let host = XapiHost::of(simulated.connect_as("xapi-sim").await.as_ref()).unwrap();
    assert!(!host.high_availability().await.unwrap().enabled);
    let local = host.storages().await.unwrap().iter().find(|sr| !sr.shared).unwrap().uuid;
    let error = host.enable_ha(&[local]).await.unwrap_err().to_string();
    assert!(error.contains("HA_CONSTRAINT_VIOLATION_SR_NOT_SHARED"), "{error}");
    let spec = StorageSpec::nfs("heartbeat", "192.0.2.5", "/export");
    let shared = host.create_storage(&spec).await.unwrap();
    simulated.double.rule(Rule::once("pool-ha-enable", Effect::LostAfter)).unwrap();
    host.enable_ha(&[shared]).await.unwrap();
    let twice = host.enable_ha(&[shared]).await.unwrap_err().to_string();
    assert!(twice.contains("HA_IS_ENABLED"), "{twice}");
    host.tolerate_failures(1).await.unwrap();
    let ha = host.high_availability().await.unwrap();
    assert_eq!((ha.enabled, ha.failures_to_tolerate), (true, 1));
    assert_eq!(ha.heartbeats.len(), 1);
    host.disable_ha().await.unwrap();
    assert!(!host.high_availability().await.unwrap().enabled);
    // A success that was none is found out.
    let mut entry = simulated.lab("").hosts.remove(0);
    entry.name = "xapi-sim".to_owned();
    entry.deadlines.host_boot = std::time::Duration::from_secs(2);
    let toolstack = xenrt_xapi::XapiToolstack::new();
    let host = XapiHost::of(toolstack.connect(&entry).await.unwrap().as_ref()).unwrap();
    simulated.double.rule(Rule::once("pool-ha-enable", Effect::Lies)).unwrap();
    let error = host.enable_ha(&[shared]).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_pool_without_a_coordinator_is_decided_upon() {
    let world = pool();
    let simulated = Simulated::start_host(&world, "other");
    let host = XapiHost::of(simulated.connect_as("other").await.as_ref()).unwrap();
    assert!(!host.is_in_emergency_mode().await.unwrap());
    let error = host.emergency_become_coordinator().await.unwrap_err().to_string();
    assert!(error.contains("NOT_IN_EMERGENCY_MODE"), "{error}");
    simulated.double.change(World::lose_coordinator).unwrap();
    assert!(host.is_in_emergency_mode().await.unwrap());
    let refused = host.pool_hosts().await.unwrap_err().to_string();
    assert!(refused.contains("HOST_IN_EMERGENCY_MODE"), "{refused}");
    let lost = Rule::once("pool-emergency-transition", Effect::LostAfter);
    simulated.double.rule(lost).unwrap();
    host.emergency_become_coordinator().await.unwrap();
    let hosts = host.pool_hosts().await.unwrap();
    assert!(hosts.iter().any(|own| own.coordinator && own.uuid == host.uuid()));
    simulated.double.change(World::lose_coordinator).unwrap();
    assert!(host.emergency_follow("192.0.2.77").await.is_err());
    host.emergency_follow("192.0.2.10").await.unwrap();
    host.recover_supporters().await.unwrap();
    let hosts = host.pool_hosts().await.unwrap();
    assert!(hosts.iter().any(|own| own.coordinator && own.name == "xapi-sim"));
}

#[tokio::test]
async fn a_host_gets_another_edition() {
    let mut world = World::small();
    world.allow_editions("xcp-ng enterprise-per-socket");
    let simulated = Simulated::start(&world);
    let host = simulated.connect().await;
    assert_eq!(host.licence().await.unwrap().edition, "xcp-ng");
    host.apply_edition("enterprise-per-socket").await.unwrap();
    assert_eq!(host.licence().await.unwrap().edition, "enterprise-per-socket");
    let error = host.apply_edition("gold").await.unwrap_err().to_string();
    assert!(error.contains("INVALID_EDITION") && error.contains("gold"), "{error}");
}

#[tokio::test]
async fn patches_and_updates_are_applied_once() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let file = |name: &str, text: &str| {
        let path = simulated.path(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (good, empty) = (file("hotfix-1", "bytes"), file("hotfix-0", ""));
    let error = host.upload_patch(&empty).await.unwrap_err().to_string();
    assert!(error.contains("INVALID_PATCH"), "{error}");
    let patch = host.upload_patch(&good).await.unwrap();
    let again = host.upload_patch(&good).await.unwrap_err().to_string();
    assert!(again.contains("PATCH_ALREADY_EXISTS"), "{again}");
    // The answer is lost, it is applied again, and that it was already is no error.
    simulated.double.rule(Rule::once("patch-apply", Effect::LostAfter)).unwrap();
    host.apply_patch(patch).await.unwrap();
    let patches = host.patches().await.unwrap();
    assert_eq!(
        (patches[0].name.as_str(), patches[0].hosts.as_slice()),
        ("hotfix-1", &[host.uuid()][..])
    );
    let update = host.upload_update(&good, None).await.unwrap();
    host.apply_update(update).await.unwrap();
    host.apply_update(update).await.unwrap();
    let applied = host.applied().await.unwrap();
    assert_eq!(
        (applied.patches, applied.updates),
        (vec![patch.to_string()], vec![update.to_string()])
    );
    let gone = host.apply_update(Uuid::nil()).await.unwrap_err();
    assert_eq!(gone.toolstack_kind(), Some(ToolstackErrorKind::NoSuchObject), "{gone}");
}

#[tokio::test]
async fn a_host_reports_crashes_metrics_and_its_status() {
    let mut world = World::small();
    let dump: Uuid = world.add(Object::new("crashdump")).parse().unwrap();
    let simulated = Simulated::start(&world);
    let host = simulated.connect().await;
    assert_eq!(host.crash_dumps().await.unwrap()[0].uuid, dump);
    host.remove_crash_dump(dump).await.unwrap();
    host.remove_crash_dump(dump).await.unwrap();
    assert!(host.crash_dumps().await.unwrap().is_empty());

    let guest = guest(&host, "one").await;
    guest.start().await.unwrap();
    let (own, vm) = (host.uuid().to_string(), guest.uuid().to_string());
    let measured = |world: &mut World| {
        world.set_metric("host", &own, "loadavg", "0.250000");
        world.set_metric("vm", &vm, "memory", "nan");
        world.set_metric("vm", &vm, "odd", "two numbers");
    };
    simulated.double.change(measured).unwrap();
    assert!((host.metric("loadavg").await.unwrap() - 0.25).abs() < 1e-9);
    assert!(guest.metric("memory").await.unwrap().is_nan());
    let odd = guest.metric("odd").await.unwrap_err().to_string();
    assert!(odd.contains("two numbers"), "{odd}");
    assert!(host.metric("nosuch").await.is_err());

    let report = simulated.path("report");
    host.save_status_report(&report, &["xapi", "logs"]).await.unwrap();
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(text.ends_with(": xapi,logs\n"), "{text}");
    let lost = Effect::Fails("INTERNAL_ERROR".into(), vec!["no".into()]);
    simulated.double.rule(Rule::once("host-get-system-status", lost)).unwrap();
    assert!(host.save_status_report(&report, &[]).await.is_err());

    host.write_message(About::Host(host.uuid()), "ALARM", 1, "it's; hot").await.unwrap();
    let messages = host.messages().await.unwrap();
    assert_eq!((messages[0].name.as_str(), messages[0].body.as_str()), ("ALARM", "it's; hot"));
}

#[tokio::test]
async fn a_host_is_rebooted_by_xapi() {
    let world = World::small();
    let simulated = Simulated::start_host(&world, "xapi-sim");
    let guests = DryGuests::new(simulated.double.clone());
    let host = dry::connect(&simulated, "xapi-sim", &guests).await;
    let host = XapiHost::of(host.as_ref()).unwrap();
    let guest = guest(&host, "one").await;
    guest.start().await.unwrap();
    let boot = |world: &World| {
        world.all("host").next().and_then(|host| host.hidden("boot").map(str::to_owned))
    };
    let before = simulated.double.look(boot).unwrap();
    host.reboot_by_xapi().await.unwrap();
    assert_ne!(simulated.double.look(boot).unwrap(), before);
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
    assert!(host.pool_hosts().await.unwrap()[0].enabled);
    let HostInfo { hostname, .. } = host.info().await.unwrap();
    assert_eq!(hostname, "xapi-sim");
}

#[tokio::test]
async fn interfaces_are_bonded_once_and_brought_down_and_up() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    host.define_network(&NetworkSpec::isolated("bonded")).await.unwrap();
    let list = XeCommand::new("network-list").param("name-label", "bonded");
    let network = host.xe().uuids(list).await.unwrap()[0];
    host.scan_interfaces().await.unwrap();
    let both: Vec<Uuid> =
        host.interfaces().await.unwrap().iter().map(|interface| interface.uuid).collect();
    simulated.double.rule(Rule::once("bond-create", Effect::LostAfter)).unwrap();
    let bond = host.create_bond(&both, network, BondMode::ActiveBackup).await.unwrap();
    host.set_bond_mode(bond, BondMode::BalanceSlb).await.unwrap();
    let look = |world: &World| {
        let bonds: Vec<Option<String>> =
            world.all("bond").map(|bond| bond.hidden("mode").map(str::to_owned)).collect();
        bonds
    };
    assert_eq!(simulated.double.look(look).unwrap(), [Some("balance-slb".to_owned())]);
    host.set_interface_up(both[1], false).await.unwrap();
    let interfaces = host.interfaces().await.unwrap();
    assert!(!interfaces.iter().find(|own| own.uuid == both[1]).unwrap().attached);
    host.set_interface_up(both[1], true).await.unwrap();
    host.remove_bond(bond).await.unwrap();
}

#[tokio::test]
async fn a_guest_moves_to_another_pool_with_its_disks() {
    let mut there = World::small();
    there.allow_login("root", "s3cret");
    let second = Simulated::start(&there);
    let mut here = World::small();
    here.know_pool("192.0.2.200", &second.double);
    let first = Simulated::start(&here);
    let (host, other) = (first.connect().await, second.connect().await);
    let guest = guest(&host, "one").await;
    guest.start().await.unwrap();
    let (uuid, mac) = (guest.uuid(), guest.view().await.unwrap().vifs[0].mac);

    let wrong = RemotePool::new("192.0.2.200", "root", "wrong");
    let error = guest.migrate_to_pool(&wrong).await.unwrap_err();
    assert!(error.to_string().contains("SESSION_AUTHENTICATION_FAILED"), "{error}");
    let pool = RemotePool::new("192.0.2.200", "root", "s3cret");
    let nobody = pool.clone().vif(xenrt_core::model::MacAddress::new([2; 6]), Uuid::nil());
    let error = guest.migrate_to_pool(&nobody).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { kind: "VIF", .. }), "{error}");
    guest.check().await.unwrap();

    let network = second.double.look(|world| world.all("network").last().unwrap().uuid()).unwrap();
    let storage = StorageSpec::nfs("store", "192.0.2.5", "/export");
    let storage = other.create_storage(&storage).await.unwrap();
    let pool = pool.vif(mac, network.parse().unwrap()).storage(storage);
    // Where the answer is lost, the source tells that it went.
    first.double.rule(Rule::once("vm-migrate", Effect::LostAfter)).unwrap();
    guest.migrate_to_pool(&pool).await.unwrap();
    let gone = guest.power_state().await.unwrap_err();
    assert_eq!(gone.toolstack_kind(), Some(ToolstackErrorKind::NoSuchObject), "{gone}");
    let arrived = other.xapi_guest(uuid).await.unwrap();
    assert_eq!(arrived.power_state().await.unwrap(), PowerState::Running);
    let (vif, disk) = second
        .double
        .look(|world| {
            let vm = uuid.to_string();
            let own = |class: &'static str| {
                world.all(class).find(|object| object.text("vm-uuid") == vm).unwrap()
            };
            let disk = world.object("vdi", &own("vbd").text("vdi-uuid")).unwrap();
            (own("vif").text("network-uuid"), disk.text("sr-uuid"))
        })
        .unwrap();
    assert_eq!((vif, disk), (network, storage.to_string()));
    let left = first.double.look(|world| (world.all("vif").count(), world.all("vdi").count()));
    assert_eq!(left.unwrap(), (0, 2), "the CDs alone are left");
    assert!(!first.double.calls().unwrap().join("\n").contains("s3cret"));
}

#[tokio::test]
async fn cds_are_listed_and_drives_come_and_go() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    assert_eq!(host.cds().await.unwrap(), ["debian-12.iso", "guest-tools.iso"]);
    let guest = guest(&host, "one").await;
    guest.add_cd("debian-12.iso", 3).await.unwrap();
    guest.check().await.unwrap();
    guest.remove_cd("debian-12.iso").await.unwrap();
    let none = guest.eject_cd().await.unwrap_err();
    assert!(none.to_string().contains("no CD drive"), "{none}");
}
