//! xapi is reached through another interface, or at another address.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use uuid::Uuid;
use xenrt_core::Error;
use xenrt_core::model::{GuestSpec, Host as _, VifSpec};
use xenrt_xapi::double::{Effect, Rule, World};
use xenrt_xapi::{Addressing, XapiHost};

use crate::world::Simulated;

/// Where sshd listens besides.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn fixed(address: Ipv4Addr) -> Addressing {
    Addressing::Static { address, netmask: Ipv4Addr::new(255, 0, 0, 0), gateway: None }
}

async fn interface(host: &XapiHost, device: &str) -> Uuid {
    let all = host.interfaces().await.unwrap();
    all.iter().find(|own| own.device == device).unwrap().uuid
}

async fn management(host: &XapiHost) -> Vec<String> {
    let all = host.interfaces().await.unwrap();
    all.into_iter().filter(|own| own.management).map(|own| own.device).collect()
}

/// Moves it; what xapi says to `command` is lost, and every connection breaks then.
async fn moved(
    simulated: &mut Simulated,
    host: &XapiHost,
    (device, how): (&str, Option<Addressing>),
    command: &str,
) -> xenrt_core::Result<XapiHost> {
    let pif = interface(host, device).await;
    simulated.double.rule(Rule::once(command, Effect::LostAfter)).unwrap();
    let cut = async {
        let started = Instant::now();
        while !simulated.double.rules_are_used_up().unwrap() {
            assert!(started.elapsed() < Duration::from_secs(30), "{command} did not begin");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        simulated.cut_connections();
    };
    let (moved, ()) = tokio::join!(host.set_management(pif, how), cut);
    moved
}

#[tokio::test]
async fn the_host_is_found_again_behind_another_interface() {
    let mut simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let how = Some(fixed(ELSEWHERE));
    let command = "host-management-reconfigure";
    let found = moved(&mut simulated, &host, ("eth1", how), command).await.unwrap();
    assert_eq!(found.entry().address, ELSEWHERE.to_string());
    assert_eq!(found.uuid(), host.uuid());
    assert_eq!(management(&found).await, ["eth1"]);
    // The interface from before kept its address here, so that both find the same host.
    let spec = GuestSpec::new("one").image("debian").vif(VifSpec::on_default());
    let guest = found.define_guest(&spec).await.unwrap();
    guest.start().await.unwrap();
    guest.check().await.unwrap();
    assert_eq!(host.guest("one").await.unwrap().uuid(), guest.uuid());
    // It is there already.
    let eth1 = interface(&found, "eth1").await;
    let same = found.set_management(eth1, None).await.unwrap();
    assert_eq!(same.entry().address, ELSEWHERE.to_string());
}

#[tokio::test]
async fn the_host_is_found_again_at_another_address() {
    let mut simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let how = Some(fixed(ELSEWHERE));
    let found = moved(&mut simulated, &host, ("eth0", how), "pif-reconfigure-ip").await.unwrap();
    assert_eq!(found.entry().address, ELSEWHERE.to_string());
    assert_eq!(management(&found).await, ["eth0"]);
    let hosts = found.pool_hosts().await.unwrap();
    assert_eq!(hosts[0].address, ELSEWHERE.to_string());
}

#[tokio::test]
async fn what_would_make_the_host_unreachable_is_refused() {
    let mut world = World::small();
    world.allow_ha();
    let simulated = Simulated::start(&world);
    let host = simulated.connect().await;
    let (eth0, eth1) = (interface(&host, "eth0").await, interface(&host, "eth1").await);
    for how in [Addressing::None, Addressing::Dhcp] {
        let error = host.set_management(eth0, Some(how)).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    let error = host.set_management(eth1, None).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    let error = host.set_management(Uuid::nil(), None).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let none = host.configure_interface(eth0, Addressing::None).await.unwrap_err().to_string();
    assert!(none.contains("PIF_IS_MANAGEMENT_INTERFACE"), "{none}");
    // What xapi refuses is told as it is, and nothing has changed.
    let shared = xenrt_xapi::StorageSpec::nfs("heartbeat", "192.0.2.5", "/export");
    let shared = host.create_storage(&shared).await.unwrap();
    host.enable_ha(&[shared]).await.unwrap();
    let error = host.set_management(eth1, Some(fixed(ELSEWHERE))).await.unwrap_err().to_string();
    assert!(error.contains("HA_IS_ENABLED"), "{error}");
    assert_eq!(management(&host).await, ["eth0"]);
}

#[tokio::test]
async fn a_host_that_is_not_found_again_is_told_with_what_was_seen() {
    let simulated = Simulated::start(&World::small());
    let mut entry = simulated.lab("").hosts.remove(0);
    entry.deadlines.host_boot = Duration::from_secs(4);
    let host = xenrt_xapi::XapiToolstack::new();
    let host = xenrt_core::model::Toolstack::connect(&host, &entry).await.unwrap();
    let host = XapiHost::of(host.as_ref()).unwrap();
    // A success that was none: the address answers, and another interface is the one.
    simulated.double.rule(Rule::once("host-management-reconfigure", Effect::Lies)).unwrap();
    let eth1 = interface(&host, "eth1").await;
    let error = host.set_management(eth1, Some(fixed(ELSEWHERE))).await.unwrap_err();
    assert!(matches!(&error, Error::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("found at 127.0.0.2"), "{error}");
}
