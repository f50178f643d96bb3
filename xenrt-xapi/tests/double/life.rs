//! The life of guests, through real ssh to the double.

use xenrt_core::model::{
    DiskSpec, GuestSpec, Host as _, Memory, NetworkSpec, PowerState, ShutdownMode, VifSpec,
};
use xenrt_core::{Error, ToolstackErrorKind};
use xenrt_xapi::XapiHost;
use xenrt_xapi::double::{Double, World};
use xenrt_xapi::xe::XeCommand;

use crate::world::{Simulated, Xl};

fn spec(name: &str) -> GuestSpec {
    GuestSpec::new(name).image("bare").vif(VifSpec::on_default())
}

/// The calls of `xe` since the last look, `xl` not counted.
fn calls(double: &Double) -> Vec<String> {
    let calls = double.calls().unwrap();
    double.forget_calls().unwrap();
    calls
}

#[tokio::test]
async fn creating_starting_finding_and_checking_is_nine_calls() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    assert_eq!(calls(&simulated.double).len(), 4, "connecting");
    let guest = host.define_guest(&spec("tiny")).await.unwrap();
    let define = calls(&simulated.double);
    guest.start().await.unwrap();
    let start = calls(&simulated.double);
    assert_eq!(guest.wait_for_address().await.unwrap().to_string(), "192.0.2.101");
    let address = calls(&simulated.double);
    guest.check().await.unwrap();
    let check = calls(&simulated.double);
    let counts = [define.len(), start.len(), address.len(), check.len()];
    assert_eq!(counts, [5, 2, 0, 2], "{define:#?} {start:#?} {check:#?}");
    assert_eq!(host.xe().calls(), 4 + 9, "the client counts as the double does");
    assert_eq!(host.xe().round_trips(), 1 + 3, "connecting, defining, starting and checking");
}

#[tokio::test]
async fn a_late_agent_costs_a_call_a_look() {
    let mut world = World::small();
    world.set_agent_delay(3);
    let simulated = Simulated::start(&world);
    let guest = simulated.connect().await.define_guest(&spec("late")).await.unwrap();
    guest.start().await.unwrap();
    calls(&simulated.double);
    assert_eq!(guest.wait_for_address().await.unwrap().to_string(), "192.0.2.101");
    // One look was that of `start`; the one that sees the address is the fourth.
    assert_eq!(calls(&simulated.double).len(), 3);
}

#[tokio::test]
async fn every_power_verb_leads_where_it_says() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let guest = host.define_guest(&spec("tiny")).await.unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
    guest.start_paused().await.unwrap();
    guest.unpause().await.unwrap();
    calls(&simulated.double);
    guest.pause().await.unwrap();
    assert_eq!(calls(&simulated.double).len(), 2, "a power verb");
    guest.unpause().await.unwrap();
    guest.suspend().await.unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Suspended);
    guest.check().await.unwrap();
    guest.resume().await.unwrap();
    guest.reboot(ShutdownMode::Clean).await.unwrap();
    guest.reboot(ShutdownMode::Hard).await.unwrap();
    guest.check().await.unwrap();
    guest.shutdown(ShutdownMode::Clean).await.unwrap();
    guest.start().await.unwrap();
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
    guest.check().await.unwrap();
    calls(&simulated.double);
    guest.delete().await.unwrap();
    assert!(calls(&simulated.double).len() <= 6);
    let gone = guest.power_state().await.unwrap_err();
    assert_eq!(gone.toolstack_kind(), Some(ToolstackErrorKind::NoSuchObject));
    guest.ensure_deleted().await.unwrap();
    let left = simulated.double.look(|world| world.all("vdi").count()).unwrap();
    assert_eq!(left, 2, "the CDs alone are left");
}

#[tokio::test]
async fn what_a_state_does_not_allow_is_refused_and_not_done() {
    let simulated = Simulated::start(&World::small());
    let guest = simulated.connect().await.define_guest(&spec("tiny")).await.unwrap();
    for refused in [
        guest.pause().await,
        guest.unpause().await,
        guest.resume().await,
        guest.suspend().await,
        guest.shutdown(ShutdownMode::Clean).await,
        guest.shutdown(ShutdownMode::Hard).await,
        guest.reboot(ShutdownMode::Clean).await,
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::WrongState { state: PowerState::Halted, .. }), "{error}");
    }
    guest.start().await.unwrap();
    let error = guest.start().await.unwrap_err();
    assert!(matches!(error, Error::WrongState { state: PowerState::Running, .. }), "{error}");
    let error = guest.delete().await.unwrap_err();
    assert!(matches!(error, Error::WrongState { .. }), "{error}");
    guest.check().await.unwrap();
}

#[tokio::test]
async fn a_guest_without_an_agent_cannot_be_asked() {
    let simulated = Simulated::start(&World::small());
    let guest = simulated.connect().await.define_guest(&spec("deaf")).await.unwrap();
    let uuid = guest.uuid().to_string();
    simulated.double.change(|world| world.remove_agent(&uuid)).unwrap();
    guest.start().await.unwrap();
    let error = guest.shutdown(ShutdownMode::Clean).await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::NotSupported), "{error}");
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
}

#[tokio::test]
async fn vcpus_memory_and_names_change_halted_and_running() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let spec = spec("tiny").max_vcpus(4).max_memory(Memory::mib(1024));
    let guest = host.define_guest(&spec).await.unwrap();
    guest.set_vcpus(2).await.unwrap();
    guest.set_memory(Memory::mib(768)).await.unwrap();
    guest.rename("it's; a, $(new) \\name").await.unwrap();
    guest.check().await.unwrap();
    guest.start().await.unwrap();
    guest.check().await.unwrap();
    guest.set_vcpus(4).await.unwrap();
    guest.set_memory(Memory::mib(512)).await.unwrap();
    guest.rename("plain").await.unwrap();
    guest.check().await.unwrap();
    assert_eq!(guest.view().await.unwrap().vcpus, 4);
    let other = host.define_guest(&GuestSpec::new("other").image("bare")).await.unwrap();
    let error = other.rename("plain").await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::AlreadyExists), "{error}");
    let taken = host.define_guest(&GuestSpec::new("plain").image("bare")).await.unwrap_err();
    assert!(matches!(taken, Error::Invalid { .. }), "{taken}");
}

#[tokio::test]
async fn devices_come_and_go_halted_and_running() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let spec = GuestSpec::new("tiny").image("debian").disk(DiskSpec::new(Memory::gib(1)));
    let guest = host.define_guest(&spec.vif(VifSpec::on_default())).await.unwrap();
    let disks = guest.view().await.unwrap().disks;
    let devices: Vec<&str> = disks.iter().map(|disk| disk.device.as_str()).collect();
    assert_eq!(devices, ["xvda", "xvdb"], "the template's and the new one");
    let cold = guest.attach_disk(DiskSpec::new(Memory::mib(64)).device("xvdf")).await.unwrap();
    guest.start().await.unwrap();
    let hot = guest.attach_disk(DiskSpec::new(Memory::mib(64)).read_only()).await.unwrap();
    assert_eq!((cold.device.as_str(), hot.device.as_str()), ("xvdf", "xvdc"));
    assert!(hot.read_only);
    let vif = guest.attach_vif(VifSpec::on("Pool-wide network 1")).await.unwrap();
    assert_eq!(vif.index, 1);
    guest.check().await.unwrap();
    guest.detach_vif(vif.mac).await.unwrap();
    guest.detach_disk("xvdc").await.unwrap();
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
    guest.detach_disk("xvdf").await.unwrap();
    guest.check().await.unwrap();
    assert!(matches!(guest.detach_disk("xvdq").await, Err(Error::NotFound { .. })));
    guest.delete().await.unwrap();
    assert_eq!(simulated.double.look(|world| world.all("vdi").count()).unwrap(), 2);
}

#[tokio::test]
async fn a_disk_that_was_there_stays_when_its_guest_goes() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let source = host.define_guest(&GuestSpec::new("a").disk(DiskSpec::new(Memory::gib(1)))).await;
    let source = source.unwrap();
    let vdi = source.view().await.unwrap().disks[0].path.clone();
    let copy = GuestSpec::new("copy").disk(DiskSpec::copy_of(vdi.as_str()));
    let copy = host.define_guest(&copy).await.unwrap();
    let user = GuestSpec::new("user").disk(DiskSpec::existing(vdi.as_str()).device("xvdb"));
    let user = host.define_guest(&user).await.unwrap();
    assert_eq!(user.view().await.unwrap().disks[0].path, vdi);
    user.delete().await.unwrap();
    copy.delete().await.unwrap();
    source.check().await.unwrap();
    // Also when defining fails after it was attached.
    let failing = GuestSpec::new("b")
        .disk(DiskSpec::existing(vdi.as_str()))
        .disk(DiskSpec::new(Memory::gib(1 << 20)));
    let error = host.define_guest(&failing).await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::OutOfSpace), "{error}");
    assert_eq!(host.guests().await.unwrap().len(), 1);
    source.check().await.unwrap();
    assert_eq!(simulated.double.look(|world| world.all("vdi").count()).unwrap(), 3);
}

/// `vm-uninstall` leaves disks whose VBDs do not say that the VM owns them, and `vbd-create` does not
/// say so (transcripts 266 and 725).
#[tokio::test]
async fn disks_that_are_made_for_a_guest_say_so_to_xapi() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let spec = GuestSpec::new("a").image("debian").disk(DiskSpec::new(Memory::mib(16)));
    let guest = host.define_guest(&spec).await.unwrap();
    calls(&simulated.double);
    guest.attach_disk(DiskSpec::new(Memory::mib(16))).await.unwrap();
    let owned = |world: &World| {
        let vbds = world.all("vbd").filter(|vbd| vbd.text("type") == "Disk");
        vbds.map(|vbd| vbd.text("other-config").contains("owner")).collect::<Vec<_>>()
    };
    assert_eq!(simulated.double.look(owned).unwrap(), [true; 3]);
    // Whoever uninstalls it, with whatever, nothing is left.
    let uninstall = XeCommand::new("vm-uninstall").uuid(guest.uuid());
    host.xe().run(&uninstall).await.unwrap();
    assert_eq!(simulated.double.look(|world| world.all("vdi").count()).unwrap(), 2);
}

/// With a storage, `vm-install` copies the disks of the template in the place of cloning them.
#[tokio::test]
async fn disks_of_a_template_are_cloned_unless_a_storage_is_chosen() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let installs = |double: &Double| {
        let all = calls(double).into_iter().filter(|line| line.starts_with("vm-install"));
        all.collect::<Vec<_>>().concat()
    };
    host.define_guest(&GuestSpec::new("a").image("debian")).await.unwrap();
    let said = installs(&simulated.double);
    assert!(!said.contains("sr-uuid"), "{said}");
    host.define_guest(&GuestSpec::new("b").image("debian").storage("Local storage")).await.unwrap();
    let said = installs(&simulated.double);
    assert!(said.contains("sr-uuid"), "{said}");
}

#[tokio::test]
async fn networks_are_made_used_and_removed() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let network = host.define_network(&NetworkSpec::isolated("it's a net, 1; 2")).await.unwrap();
    assert!(host.networks().await.unwrap().iter().any(|known| known.name == network.name));
    let again = host.define_network(&NetworkSpec::isolated(network.name.as_str())).await;
    assert!(matches!(again, Err(Error::Invalid { .. })));
    let guest = host.define_guest(&spec("tiny")).await.unwrap();
    let vif = guest.attach_vif(VifSpec::on(network.name.as_str())).await.unwrap();
    let used = host.remove_network(&network.name).await.unwrap_err();
    assert_eq!(used.toolstack_kind(), Some(ToolstackErrorKind::BadState), "{used}");
    guest.detach_vif(vif.mac).await.unwrap();
    host.remove_network(&network.name).await.unwrap();
    host.remove_network(&network.name).await.unwrap();
    let foreign = host.remove_network("Pool-wide network 0").await.unwrap_err();
    assert!(foreign.to_string().contains("did not make it"), "{foreign}");
}

#[tokio::test]
async fn what_is_left_is_found_and_what_was_there_is_adopted() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let before = host.inventory().await.unwrap();
    let guest = host.define_guest(&GuestSpec::new("left").image("debian")).await.unwrap();
    host.define_network(&NetworkSpec::isolated("left net")).await.unwrap();
    let added = host.inventory().await.unwrap().added_since(&before);
    let classes: Vec<&str> = added.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(classes, ["file", "guest", "network"], "{added:?}");
    // Another connection knows nothing, and finds it.
    let other = simulated.connect().await;
    let found = other.guest("left").await.unwrap();
    assert_eq!((found.uuid(), found.image().as_deref()), (guest.uuid(), Some("debian")));
    found.start().await.unwrap();
    found.check().await.unwrap();
    assert_eq!(other.guests().await.unwrap().len(), 1);
    let domains = other.domains().await.unwrap();
    assert!(domains.iter().any(|domain| domain.name == "left"), "{domains:?}");
    let info = other.info().await.unwrap();
    assert_eq!((info.cpus, info.memory), (8, Memory::gib(1024)));
    assert!(info.hypervisor.contains("XCP-ng 8.3.0"), "{}", info.hypervisor);
}

#[tokio::test]
async fn a_toolstack_that_lies_about_the_domain_is_found_out() {
    let simulated = Simulated::start(&World::small());
    let guest = simulated.connect().await.define_guest(&spec("tiny")).await.unwrap();
    guest.start().await.unwrap();
    guest.expectation().update(|expected| expected.memory = Memory::gib(7));
    let error = guest.check().await.unwrap_err().to_string();
    let both = error.contains("memory (toolstack)") && error.contains("memory (hypervisor)");
    assert!(both, "{error}");
}

#[tokio::test]
async fn without_xl_xapi_is_asked_for_domains() {
    let simulated = Simulated::start_with(&World::small(), Xl::Missing);
    let host = simulated.connect().await;
    let guest = host.define_guest(&spec("tiny")).await.unwrap();
    guest.start().await.unwrap();
    guest.check().await.unwrap();
    assert_eq!(guest.domain().await.unwrap().unwrap().domid, 1);
    guest.reboot(ShutdownMode::Hard).await.unwrap();
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
    assert_eq!(guest.domain().await.unwrap(), None);
}

#[tokio::test]
async fn a_guest_moves_within_its_pool() {
    let mut world = World::small();
    world.add_host("other", "192.0.2.11");
    let simulated = Simulated::start_with(&world, Xl::Missing);
    // The same dom0 stands for both hosts; the name in the lab tells which one is meant.
    let host = simulated.connect_as("xapi-sim").await;
    let guest = host.define_guest(&spec("tiny")).await.unwrap();
    guest.start().await.unwrap();
    let target = simulated.connect_as("other").await;
    guest.migrate(&target).await.unwrap();
    assert_eq!(guest.host().name(), "other");
    guest.check().await.unwrap();
    let there = target.guest("tiny").await.unwrap();
    assert_eq!(there.uuid(), guest.uuid());
    let own = XapiHost::of(host.as_ref()).unwrap();
    assert_ne!(own.uuid(), XapiHost::of(target.as_ref()).unwrap().uuid());
}
