//! Verbs on guests that the suite looks at only where it can log into them.

use std::sync::Arc;
use std::time::Duration;

use xenrt_core::ToolstackErrorKind;
use xenrt_core::model::{
    Afterwards, DiskSpec, Guest, GuestAction, GuestSpec, MacAddress, Memory, NetworkSpec,
    PowerState, ShutdownMode, VifSpec,
};
use xenrt_core::{Error, Result};
use xenrt_libvirt::{DomainEvent, LibvirtHost};

use crate::world::World;

async fn running(world: &World, name: &str) -> Arc<dyn Guest> {
    let spec = GuestSpec::new(name).image("bare").max_vcpus(2).vif(VifSpec::on_default());
    let guest = world.host.create_guest(&spec).await.unwrap();
    guest.start().await.unwrap();
    guest
}

async fn is(guest: &Arc<dyn Guest>, power: PowerState) {
    assert_eq!(guest.power_state().await.unwrap(), power);
    let domain = guest.domain().await.unwrap();
    assert_eq!(domain.map(|own| own.power), Some(power).filter(|own| own.has_domain()));
    guest.check().await.unwrap();
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> Option<ToolstackErrorKind> {
    result.unwrap_err().toolstack_kind()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_led_to_is_seen_with_it() {
    let world = World::new().await;
    let guest = running(&world, "seen").await;
    let seen = |power, has_domain| Afterwards::Seen { power, has_domain };
    let ask = async |action| guest.request_where_allowed(&action).await;
    assert_eq!(ask(GuestAction::Pause).await.unwrap(), seen(PowerState::Paused, true));
    let refused = ask(GuestAction::Pause).await;
    assert!(matches!(refused, Err(Error::WrongState { state: PowerState::Paused, .. })));
    assert_eq!(ask(GuestAction::PowerOff).await.unwrap(), seen(PowerState::Halted, false));

    let mac = MacAddress::random_xen();
    let vif = VifSpec { mac: Some(mac), ..VifSpec::on_default() };
    assert_eq!(ask(GuestAction::AttachVif(vif.clone())).await.unwrap(), Afterwards::Unseen);
    assert!(guest.view().await.unwrap().vifs.iter().any(|vif| vif.mac == mac));
    ask(GuestAction::StartPaused).await.unwrap();
    let refused = ask(GuestAction::AttachVif(vif)).await;
    assert!(matches!(refused, Err(Error::WrongState { state: PowerState::Paused, .. })));
    ask(GuestAction::PowerOff).await.unwrap();
    assert_eq!(ask(GuestAction::Delete).await.unwrap(), Afterwards::Gone);
    assert_eq!(kind(ask(GuestAction::Delete).await), Some(ToolstackErrorKind::NoSuchObject));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_paused_suspended_saved_and_goes_on() {
    let world = World::new().await;
    let guest = running(&world, "it's life").await;
    guest.pause().await.unwrap();
    is(&guest, PowerState::Paused).await;
    guest.unpause().await.unwrap();
    is(&guest, PowerState::Running).await;

    guest.suspend().await.unwrap();
    is(&guest, PowerState::Suspended).await;
    let refused = guest.request(&GuestAction::Start).await;
    assert_eq!(kind(refused), Some(ToolstackErrorKind::BadState));
    assert!(matches!(guest.start().await, Err(Error::WrongState { .. })));
    guest.resume().await.unwrap();
    is(&guest, PowerState::Running).await;
    let refused = guest.request(&GuestAction::Resume).await;
    assert_eq!(kind(refused), Some(ToolstackErrorKind::BadState));

    let file = world.path("saved 'file'");
    guest.save(&file).await.unwrap();
    is(&guest, PowerState::Halted).await;
    assert!(std::path::Path::new(&file).exists());
    let other = world.host.create_guest(&GuestSpec::new("b").image("bare")).await.unwrap();
    let refused = other.request(&GuestAction::Restore(file.clone())).await;
    assert_eq!(kind(refused), Some(ToolstackErrorKind::InvalidConfiguration));
    guest.restore(&file).await.unwrap();
    is(&guest, PowerState::Running).await;

    guest.suspend().await.unwrap();
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
    is(&guest, PowerState::Halted).await;
    guest.start().await.unwrap();
    guest.shutdown(ShutdownMode::Clean).await.unwrap();
    is(&guest, PowerState::Halted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_makes_a_new_domain_and_a_reboot_needs_code_that_runs() {
    let world = World::new().await;
    let guest = running(&world, "reset").await;
    let before = guest.domain().await.unwrap().unwrap().domid;
    guest.reboot(ShutdownMode::Hard).await.unwrap();
    assert!(guest.domain().await.unwrap().unwrap().domid > before);
    is(&guest, PowerState::Running).await;
    guest.pause().await.unwrap();
    guest.reboot(ShutdownMode::Hard).await.unwrap();
    is(&guest, PowerState::Running).await;
    let error = guest.reboot(ShutdownMode::Clean).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    is(&guest, PowerState::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vcpus_and_memory_change_while_it_runs_and_stay() {
    let world = World::new().await;
    let spec = GuestSpec::new("sizes").image("bare").max_vcpus(2).max_memory(Memory::mib(64));
    let guest = world.host.create_guest(&spec).await.unwrap();
    guest.start().await.unwrap();
    guest.set_vcpus(2).await.unwrap();
    guest.set_memory(Memory::mib(48)).await.unwrap();
    is(&guest, PowerState::Running).await;
    assert!(matches!(guest.set_vcpus(3).await, Err(Error::Invalid { .. })));
    let beyond = guest.set_memory(Memory::gib(64)).await;
    assert_eq!(kind(beyond), Some(ToolstackErrorKind::OutOfMemory));
    let more_than_most = guest.set_memory(Memory::mib(65)).await;
    assert_eq!(kind(more_than_most), Some(ToolstackErrorKind::InvalidConfiguration));
    guest.reboot(ShutdownMode::Hard).await.unwrap();
    let view = guest.view().await.unwrap();
    assert_eq!((view.vcpus, view.memory), (2, Memory::mib(48)));
    is(&guest, PowerState::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_of_a_halted_guest_come_and_go_and_the_rest_of_its_document_stays() {
    let world = World::new().await;
    let mac: MacAddress = "00:16:3e:01:02:03".parse().unwrap();
    let spec = GuestSpec::new("devices").image("bare").vif(VifSpec::on_default().mac(mac));
    let guest = world.host.create_guest(&spec).await.unwrap();
    let disk = guest.attach_disk(DiskSpec::new(Memory::mib(8))).await.unwrap();
    assert_eq!(disk.device, "vda");
    assert_eq!(std::fs::metadata(&disk.path).unwrap().len(), 8 << 20);
    let existing = world.path("existing.raw");
    std::fs::write(&existing, [0; 512]).unwrap();
    let second = guest.attach_disk(DiskSpec::existing(&existing).read_only()).await.unwrap();
    assert!(second.read_only && second.device == "vdb");
    let network = world.host.create_network(&NetworkSpec::isolated("xrtl1")).await.unwrap();
    let vif = guest.attach_vif(VifSpec::on(&network.name)).await.unwrap();
    assert_eq!((vif.index, vif.network.as_str()), (1, "xrtl1"));
    let twice = guest.attach_vif(VifSpec::on_default().mac(mac)).await;
    assert!(matches!(twice, Err(Error::Invalid { .. })));

    guest.detach_disk("vda").await.unwrap();
    guest.detach_disk("vdb").await.unwrap();
    guest.detach_vif(vif.mac).await.unwrap();
    assert!(!std::path::Path::new(&disk.path).exists());
    assert!(std::path::Path::new(&existing).exists());
    let view = guest.view().await.unwrap();
    assert_eq!((view.disks.len(), view.vifs.len(), view.vifs[0].mac), (0, 1, mac));
    guest.check().await.unwrap();
    assert_eq!(guest.image().as_deref(), Some("bare"), "its metadata is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_by_events() {
    let world = World::new().await;
    let host = LibvirtHost::of(world.host.as_ref()).unwrap();
    let guest = world.host.create_guest(&GuestSpec::new("told").image("bare")).await.unwrap();
    let mut events = host.events();
    let waiting = {
        let guest = Arc::clone(&guest);
        tokio::spawn(async move {
            guest.wait_for_state(PowerState::Running, Duration::from_secs(30)).await
        })
    };
    guest.start().await.unwrap();
    waiting.await.unwrap().unwrap();
    let told = async {
        loop {
            match events.recv().await.unwrap() {
                // VIR_DOMAIN_EVENT_DEFINED: that may come after its definition has returned.
                DomainEvent::Lifecycle { what: 0, .. } => {}
                DomainEvent::Lifecycle { domain, what, .. } if domain == guest.uuid() => {
                    return what;
                }
                _ => {}
            }
        }
    };
    // VIR_DOMAIN_EVENT_STARTED.
    assert_eq!(tokio::time::timeout(Duration::from_secs(30), told).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_the_pool_are_given_out_once_and_given_back() {
    let world = World::with_pool().await;
    let spec = |name: &str| GuestSpec::new(name).image("told").vif(VifSpec::on_default());
    let made = futures::future::join_all(["one", "two"].map(|name| {
        let (host, spec) = (world.host.clone(), spec(name));
        async move { host.create_guest(&spec).await.unwrap() }
    }))
    .await;
    let mut addresses: Vec<String> =
        made.iter().map(|guest| guest.expectation().get().address.unwrap().to_string()).collect();
    addresses.sort();
    assert_eq!(addresses, ["10.0.2.101", "10.0.2.102"]);
    let third = world.host.create_guest(&spec("three")).await;
    assert!(matches!(third, Err(Error::Invalid { .. })), "{third:?}");
    made[0].delete().await.unwrap();
    world.host.create_guest(&spec("three")).await.unwrap();
}
