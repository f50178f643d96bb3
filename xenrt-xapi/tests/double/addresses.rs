//! The addresses of interfaces: IPv4, IPv6, name servers, and which of them counts.

use std::net::{IpAddr, Ipv6Addr};

use uuid::Uuid;
use xenrt_core::Error;
use xenrt_core::model::HostAddressing;
use xenrt_xapi::double::{Effect, Rule, World};
use xenrt_xapi::{AddressFamily, Addressing, Ipv6Addressing, XapiHost};

use crate::world::Simulated;

async fn interface(host: &XapiHost, device: &str) -> Uuid {
    let all = host.interfaces().await.unwrap();
    all.iter().find(|own| own.device == device).unwrap().uuid
}

fn ipv4(address: &str, gateway: Option<&str>) -> Addressing {
    Addressing::Static {
        address: address.parse().unwrap(),
        netmask: "255.255.255.0".parse().unwrap(),
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
    }
}

fn ipv6(address: &str, gateway: Option<&str>) -> Ipv6Addressing {
    Ipv6Addressing::Static {
        address: address.parse().unwrap(),
        prefix: 64,
        gateway: gateway.map(|gateway| gateway.parse::<Ipv6Addr>().unwrap()),
    }
}

#[tokio::test]
async fn addresses_and_name_servers_are_set_and_read_back() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let eth1 = interface(&host, "eth1").await;
    let none = host.addressing_of(eth1).await.unwrap();
    assert_eq!((none.ipv4, none.ipv6), (Addressing::None, Ipv6Addressing::None));
    assert_eq!((none.dns.len(), none.primary), (0, AddressFamily::Ipv4));
    let servers: Vec<IpAddr> =
        ["192.0.2.53", "2001:db8::53"].iter().map(|server| server.parse().unwrap()).collect();
    let fixed = ipv4("192.0.2.50", Some("192.0.2.1"));
    host.set_ipv4(eth1, fixed, &servers).await.unwrap();
    let now = host.addressing_of(eth1).await.unwrap();
    assert_eq!((now.ipv4, now.dns), (fixed, servers.clone()));
    let six = ipv6("2001:db8::50", Some("fe80::1"));
    for how in [Ipv6Addressing::Autoconf, Ipv6Addressing::Dhcp, six] {
        // The connection breaks twice, and it is so all the same.
        for effect in [Effect::LostAfter, Effect::LostBefore] {
            simulated.double.rule(Rule::once("pif-reconfigure-ipv6", effect)).unwrap();
        }
        host.set_ipv6(eth1, how, &servers[1..]).await.unwrap();
        let now = host.addressing_of(eth1).await.unwrap();
        assert_eq!((now.ipv4, now.ipv6, now.dns.as_slice()), (fixed, how, &servers[1..]));
    }
    for family in [AddressFamily::Ipv6, AddressFamily::Ipv4] {
        host.set_primary_address(eth1, family).await.unwrap();
        assert_eq!(host.addressing_of(eth1).await.unwrap().primary, family);
    }
    host.set_ipv6(eth1, Ipv6Addressing::None, &[]).await.unwrap();
    host.set_ipv4(eth1, Addressing::Dhcp, &[]).await.unwrap();
    let now = host.addressing_of(eth1).await.unwrap();
    assert_eq!((now.ipv4, now.ipv6), (Addressing::Dhcp, Ipv6Addressing::None));
    assert!(now.dns.is_empty());
}

#[tokio::test]
async fn what_can_be_no_address_is_not_sent() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let eth1 = interface(&host, "eth1").await;
    let before = simulated.double.calls().unwrap().len();
    let servers: Vec<IpAddr> = vec!["0.0.0.0".parse().unwrap()];
    let refused = [
        host.set_ipv4(eth1, ipv4("192.0.2.0", None), &[]).await,
        host.set_ipv4(eth1, ipv4("192.0.2.5", Some("192.0.3.1")), &[]).await,
        host.configure_interface(eth1, ipv4("224.0.0.1", None)).await,
        host.set_ipv4(eth1, Addressing::Dhcp, &servers).await,
        host.set_ipv6(eth1, ipv6("ff02::1", None), &[]).await,
        host.set_ipv6(eth1, ipv6("2001:db8::5", Some("2001:db8:1::1")), &[]).await,
        host.set_ipv6(eth1, Ipv6Addressing::None, &servers).await,
        host.set_management(eth1, Some(ipv4("192.0.2.255", None))).await.map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    let calls = simulated.double.calls().unwrap();
    let sent = |call: &String| call.starts_with("pif-reconfigure") || call.starts_with("host-man");
    assert!(!calls.iter().skip(before).any(sent), "{calls:#?}");
}

#[tokio::test]
async fn what_xapi_refuses_or_does_not_do_is_told() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect().await;
    let (eth0, eth1) = (interface(&host, "eth0").await, interface(&host, "eth1").await);
    let refused = host.set_primary_address(eth0, AddressFamily::Ipv6).await.unwrap_err();
    assert!(refused.to_string().contains("PIF_IS_MANAGEMENT_INTERFACE"), "{refused}");
    // Over IPv4 the host is managed, so that an IPv6 address can come and go.
    host.set_ipv6(eth0, ipv6("2001:db8::5", None), &[]).await.unwrap();
    host.set_ipv6(eth0, Ipv6Addressing::None, &[]).await.unwrap();
    for command in ["pif-reconfigure-ip", "pif-reconfigure-ipv6", "pif-set-primary"] {
        simulated.double.rule(Rule::once(command, Effect::Lies)).unwrap();
        let error = match command {
            "pif-reconfigure-ip" => host.set_ipv4(eth1, Addressing::Dhcp, &[]).await,
            "pif-reconfigure-ipv6" => host.set_ipv6(eth1, Ipv6Addressing::Autoconf, &[]).await,
            _ => host.set_primary_address(eth1, AddressFamily::Ipv6).await,
        };
        let error = error.unwrap_err();
        assert!(matches!(error, Error::UnexpectedOutput { .. }), "{command}: {error}");
    }
    let none = host.addressing_of(Uuid::nil()).await.unwrap_err();
    assert!(matches!(none, Error::NotFound { .. }), "{none}");
}

#[tokio::test]
async fn the_object_model_gives_a_network_an_address_of_either_kind() {
    let simulated = Simulated::start(&World::small());
    let host = simulated.connect_as("sim").await;
    let network = "Pool-wide network 1";
    let interfaces = host.interfaces().unwrap();
    for how in ["2001:db8::5/64", "192.0.2.7/24", "2001:db8::6/64"] {
        let how = HostAddressing::Static(how.parse().unwrap());
        interfaces.set_addressing(network, how).await.unwrap();
        assert_eq!(interfaces.of_network(network).await.unwrap().addressing, how);
    }
    for how in [HostAddressing::Dhcp, HostAddressing::None] {
        interfaces.set_addressing(network, how).await.unwrap();
        assert_eq!(interfaces.of_network(network).await.unwrap().addressing, how);
    }
    let left = simulated.double.look(|world| {
        let eth1 = world.all("pif").find(|pif| pif.text("device") == "eth1");
        eth1.map(|pif| pif.text("IP-configuration-mode") + &pif.text("IPv6-configuration-mode"))
    });
    assert_eq!(left.unwrap().as_deref(), Some("NoneNone"));
}
