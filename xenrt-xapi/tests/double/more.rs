//! What xapi has beyond the object model.

use std::net::Ipv4Addr;
use std::time::Duration;

use xenrt_core::model::{
    Ability, DiskSpec, Guest as _, GuestSpec, Host as _, Memory, NetworkSpec, PowerState,
    SnapshotKind, VifSpec,
};
use xenrt_core::{Error, ToolstackErrorKind};
use xenrt_xapi::double::{Effect, Object, Rule, World};
use xenrt_xapi::{Addressing, BondMode, Compression, StorageSpec, TaskStatus, XapiGuest, XapiHost};

use crate::world::Simulated;

async fn guest(host: &XapiHost, name: &str) -> XapiGuest {
    let spec = GuestSpec::new(name).image("debian").vif(VifSpec::on_default());
    let guest = host.define_guest(&spec).await.unwrap();
    host.xapi_guest(guest.uuid()).await.unwrap()
}

#[tokio::test]
async fn snapshots_keep_what_was() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = guest(&host, "tiny").await;
    let snapshots = guest.snapshots().unwrap();
    let halted = snapshots.create("halted; a, b", SnapshotKind::Disks).await.unwrap();
    let error = snapshots.create("x", SnapshotKind::Memory).await.unwrap_err();
    assert!(matches!(error, Error::WrongState { .. }), "{error}");
    let error = snapshots.request_create("x", SnapshotKind::Memory).await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::BadState), "{error}");
    guest.start().await.unwrap();
    simulated.double.rule(Rule::once("vm-checkpoint", Effect::LostAfter)).unwrap();
    let running = snapshots.create("running", SnapshotKind::Memory).await.unwrap();
    guest.attach_disk(DiskSpec::new(Memory::mib(16))).await.unwrap();
    let names: Vec<String> =
        snapshots.list().await.unwrap().into_iter().map(|snapshot| snapshot.name).collect();
    assert_eq!(names, ["halted; a, b", "running"], "none was made twice");
    snapshots.revert(&running).await.unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Suspended);
    assert_eq!(guest.view().await.unwrap().disks.len(), 1, "the new disk is gone");
    guest.resume().await.unwrap();
    guest.check().await.unwrap();
    snapshots.revert(&halted).await.unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
    guest.check().await.unwrap();
    snapshots.delete(&halted).await.unwrap();
    snapshots.delete(&halted).await.unwrap();
    // Its snapshots go with a guest.
    guest.delete().await.unwrap();
    let left = simulated.double.look(|world| (world.all("vm").count(), world.all("vdi").count()));
    assert_eq!(left.unwrap(), (3, 2));
}

#[tokio::test]
async fn quiesced_snapshots_need_somebody_in_the_guest() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = guest(&host, "tiny").await;
    guest.start().await.unwrap();
    let snapshots = guest.snapshots().unwrap();
    // The connection breaks when it is done.
    simulated.double.rule(Rule::once("vm-snapshot-with", Effect::LostAfter)).unwrap();
    let made = snapshots.create("at rest", SnapshotKind::Quiesced).await.unwrap();
    assert_eq!(made.reverts_to, PowerState::Halted);
    let calls = simulated.double.calls().unwrap().join("\n");
    assert_eq!(calls.matches("vm-snapshot-with-quiesce").count(), 1, "{calls}");
    assert_eq!(snapshots.list().await.unwrap().len(), 1);
    snapshots.delete(&made).await.unwrap();
    let uuid = guest.uuid().to_string();
    simulated.double.change(|world| world.remove_agent(&uuid)).unwrap();
    let refused = snapshots.create("x", SnapshotKind::Quiesced).await.unwrap_err();
    assert_eq!(refused.toolstack_kind(), Some(ToolstackErrorKind::NotSupported), "{refused}");
    assert!(snapshots.list().await.unwrap().is_empty());
    guest.check().await.unwrap();
}

#[tokio::test]
async fn copies_are_guests_of_their_own() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = guest(&host, "one").await;
    simulated.double.rule(Rule::once("vm-clone", Effect::LostAfter)).unwrap();
    let clone = guest.clone_as("two").await.unwrap();
    let copy = guest.copy_as("three", host.storages().await.unwrap().first().map(|s| s.uuid)).await;
    let copy = copy.unwrap();
    assert!(matches!(guest.clone_as("two").await, Err(Error::Invalid { .. })));
    let file = simulated.path("one.xva").display().to_string();
    guest.export(&file, Compression::None).await.unwrap();
    let again = guest.export(&file, Compression::Gzip).await.unwrap_err().to_string();
    assert!(again.contains("File exists"), "{again}");
    assert!(matches!(guest.export("one.xva", Compression::None).await, Err(Error::Invalid { .. })));
    let imported = host.import(&file, None).await.unwrap();
    for other in [&clone, &copy, &imported] {
        assert_ne!(other.uuid(), guest.uuid());
        other.start().await.unwrap();
        other.check().await.unwrap();
        let (own, theirs) = (guest.view().await.unwrap(), other.view().await.unwrap());
        assert_ne!(own.disks[0].path, theirs.disks[0].path);
        other.ensure_deleted().await.unwrap();
    }
    let missing = host.import("/nonexistent", None).await.unwrap_err().to_string();
    assert!(missing.contains("does not exist"), "{missing}");
    guest.check().await.unwrap();
}

#[tokio::test]
async fn storage_is_created_used_and_removed() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let spec = StorageSpec::nfs("store", "192.0.2.5", "/export");
    simulated.double.rule(Rule::once("sr-create", Effect::LostAfter)).unwrap();
    let sr = host.create_storage(&spec).await.unwrap();
    let storages = host.storages().await.unwrap();
    assert_eq!(storages.iter().filter(|storage| storage.name == "store").count(), 1);
    let made = storages.iter().find(|storage| storage.uuid == sr).unwrap();
    assert_eq!((made.driver.as_str(), made.shared), ("nfs", true));
    assert!(host.probe_storage(&spec).await.unwrap().contains("SRlist"));
    host.scan_storage(sr).await.unwrap();
    let guest = guest(&host, "one").await;
    let copy = guest.copy_as("two", Some(sr)).await.unwrap();
    let disk = Object::new("vdi").with("sr-uuid", sr.to_string());
    simulated.double.change(|world| world.add(disk)).unwrap();
    let full = host.destroy_storage(sr).await.unwrap_err();
    assert_eq!(full.toolstack_kind(), Some(ToolstackErrorKind::BadState), "{full}");
    copy.delete().await.unwrap();
    host.forget_storage(sr).await.unwrap();
    host.forget_storage(sr).await.unwrap();
    let lacking = StorageSpec::ext("x", "/dev/sdb").device_config("device", "/dev/sdb");
    let local = host.create_storage(&lacking).await.unwrap();
    host.destroy_storage(local).await.unwrap();
    // The password of a share reaches the driver and nobody else.
    let share = StorageSpec::smb("share", "//192.0.2.5/x", "me", "s3cret, really");
    let share = host.create_storage(&share).await.unwrap().to_string();
    let config = simulated.double.look(|world| {
        let pbd = world.all("pbd").find(|pbd| pbd.text("sr-uuid") == share);
        pbd.map(|pbd| pbd.text("device-config")).unwrap_or_default()
    });
    assert!(config.unwrap().contains("password: s3cret, really"));
    assert!(!simulated.double.calls().unwrap().join("\n").contains("s3cret"));
}

#[tokio::test]
async fn hosts_are_emptied_disabled_and_enabled() {
    let mut world = World::small();
    let other = world.add_host("other", "192.0.2.11");
    let simulated = Simulated::start(&world);
    let host = XapiHost::of(simulated.connect_as("xapi-sim").await.as_ref()).unwrap();
    let guest = guest(&host, "one").await;
    guest.start().await.unwrap();
    host.disable().await.unwrap();
    host.evacuate().await.unwrap();
    let there = simulated.double.look(|world| {
        world.object("vm", &guest.uuid().to_string()).map(|vm| vm.text("resident-on"))
    });
    assert_eq!(there.unwrap().as_deref(), Some(other.as_str()));
    let hosts = host.pool_hosts().await.unwrap();
    assert_eq!(hosts.len(), 2);
    let own = hosts.iter().find(|own| own.uuid == host.uuid()).unwrap();
    assert!(own.coordinator && !own.enabled);
    host.enable().await.unwrap();
    let target = XapiHost::of(simulated.connect_as("other").await.as_ref()).unwrap();
    target.become_coordinator().await.unwrap();
    host.eject_from_pool(host.uuid()).await.unwrap();
    assert_eq!(target.pool_hosts().await.unwrap().len(), 1);
    let refused = target.eject_from_pool(target.uuid()).await.unwrap_err();
    assert!(refused.to_string().contains("Cannot_eject_master"), "{refused}");
    let licence = target.enable_ha(&[]).await.unwrap_err();
    assert_eq!(licence.toolstack_kind(), Some(ToolstackErrorKind::NotSupported), "{licence}");
    let joined = target.join_pool("192.0.2.77", "root", "s3cret").await.unwrap_err().to_string();
    assert!(joined.contains("Connection failed") && !joined.contains("s3cret"), "{joined}");
}

#[tokio::test]
async fn vlans_bonds_and_addresses_of_interfaces() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let interfaces = host.interfaces().await.unwrap();
    let eth1 = interfaces.iter().find(|interface| interface.device == "eth1").unwrap();
    assert!(!eth1.management && eth1.vlan.is_none());
    host.define_network(&NetworkSpec::isolated("tagged")).await.unwrap();
    let network = host
        .xe()
        .uuids(xenrt_xapi::xe::XeCommand::new("network-list").param("name-label", "tagged"))
        .await
        .unwrap()[0];
    simulated.double.rule(Rule::once("vlan-create", Effect::LostAfter)).unwrap();
    let vlan = host.create_vlan(eth1.uuid, 100, network).await.unwrap();
    let tagged = host.interfaces().await.unwrap().into_iter().find(|own| own.uuid == vlan).unwrap();
    assert_eq!(tagged.vlan, Some(100));
    assert!(host.create_vlan(eth1.uuid, 4095, network).await.is_err());
    host.remove_vlan(vlan).await.unwrap();
    assert!(matches!(host.remove_vlan(eth1.uuid).await, Err(Error::NotFound { .. })));
    let both: Vec<uuid::Uuid> = interfaces.iter().map(|own| own.uuid).collect();
    let bond = host.create_bond(&both, network, BondMode::ActiveBackup).await.unwrap();
    host.remove_bond(bond).await.unwrap();
    let how = Addressing::Static {
        address: Ipv4Addr::new(192, 0, 2, 50),
        netmask: Ipv4Addr::new(255, 255, 255, 0),
        gateway: None,
    };
    host.configure_interface(eth1.uuid, how).await.unwrap();
    let networks = host.networks().await.unwrap();
    let addressed = networks.iter().find(|network| network.name == "Pool-wide network 1").unwrap();
    assert_eq!(addressed.addresses, [std::net::IpAddr::from([192, 0, 2, 50])]);
}

#[tokio::test]
async fn tasks_and_messages_are_listed_cancelled_and_removed() {
    let mut world = World::small();
    let task = |name: &str, status: &str, progress: &str| {
        Object::new("task")
            .with("name-label", name)
            .with("status", status)
            .with("progress", progress)
    };
    let hanging = world.add(task("Async.VM.copy", "pending", "0.250"));
    world.add(task("Async.PBD.plug", "success", "1.000"));
    let simulated = Simulated::start(&world);
    let host = simulated.connect().await;
    let tasks = host.tasks().await.unwrap();
    assert_eq!(tasks.len(), 2);
    let uuid = hanging.parse().unwrap();
    let error = host.wait_for_task(uuid, Duration::from_millis(300)).await.unwrap_err();
    assert!(error.to_string().contains("Pending, 25 %"), "{error}");
    host.cancel_task(uuid).await.unwrap();
    let ended = host.wait_for_task(uuid, Duration::from_secs(10)).await.unwrap();
    assert_eq!(ended.status, TaskStatus::Cancelled);
    let gone = host.wait_for_task(uuid::Uuid::nil(), Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(gone.toolstack_kind(), Some(ToolstackErrorKind::NoSuchObject), "{gone}");
    let create = xenrt_xapi::xe::XeCommand::new("message-create")
        .param("name", "foo")
        .param("priority", "3")
        .param("body", "it's; a \"body\"")
        .param("host-uuid", host.uuid().to_string());
    host.xe().run(&create).await.unwrap();
    let messages = host.messages().await.unwrap();
    assert_eq!((messages[0].body.as_str(), messages[0].priority), ("it's; a \"body\"", 3));
    assert_eq!(messages[0].object, Some(host.uuid()));
    host.remove_message(messages[0].uuid).await.unwrap();
    host.remove_message(messages[0].uuid).await.unwrap();
    assert!(host.messages().await.unwrap().is_empty());
}

#[tokio::test]
async fn cds_are_changed_and_questions_are_never_asked() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    assert_eq!(host.product().to_string(), "XCP-ng 8.3.0 (API 2.23)");
    assert!(host.abilities().has(Ability::Pool) && !host.abilities().has(Ability::Save));
    let guest = guest(&host, "one").await;
    let add = xenrt_xapi::xe::XeCommand::new("vm-cd-add")
        .uuid(guest.uuid())
        .param("cd-name", "debian-12.iso")
        .param("device", "3");
    host.xe().run(&add).await.unwrap();
    guest.eject_cd().await.unwrap();
    let empty = guest.eject_cd().await.unwrap_err();
    assert_eq!(empty.toolstack_kind(), Some(ToolstackErrorKind::BadState), "{empty}");
    guest.insert_cd("guest-tools.iso").await.unwrap();
    let none = guest.insert_cd("nosuch.iso").await.unwrap_err();
    assert_eq!(none.toolstack_kind(), Some(ToolstackErrorKind::NoSuchObject), "{none}");
    guest.check().await.unwrap();
    // The double does ask who does not force it, and "no" is a success of `xe` that did nothing.
    use xenrt_core::remote::{Command, Shell as _};
    let line = format!("echo no | xe vm-uninstall uuid={}", guest.uuid());
    let asked = simulated.shell().execute(&Command::shell_line(line)).await.unwrap();
    assert!(asked.status.success());
    assert!(asked.text().ends_with("Aborted (you typed: 'no')\n"), "{}", asked.text());
    let line = format!("xe vm-uninstall uuid={} </dev/null", guest.uuid());
    let asked = simulated.shell().execute(&Command::shell_line(line)).await.unwrap();
    assert_eq!(asked.error_text(), "Lost connection to the server.\n");
    guest.check().await.unwrap();
    guest.delete().await.unwrap();
}
