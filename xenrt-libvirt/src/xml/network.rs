//! The XML of a network (<https://libvirt.org/formatnetwork.html>).

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xenrt_core::model::{Network, NetworkKind};

use super::domain::to_element;
use super::{Element, XmlError};

/// A network, as far as this library makes or reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "network")]
pub struct NetworkXml {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uuid: Uuid,
    /// How it goes on beyond the host; an isolated network has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
    /// Its bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
    /// The host's addresses on it.
    #[serde(rename = "ip", default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Ip>,
}

/// How a network goes on beyond the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// `nat` where it is not said, `bridge`, `route`, ...
    #[serde(rename = "@mode", skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The one interface of the host that it goes through.
    #[serde(rename = "@dev", skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    /// The interfaces that it goes through.
    #[serde(rename = "interface", default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Uplink>,
}

/// An interface of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplink {
    /// Its name.
    #[serde(rename = "@dev")]
    pub dev: String,
}

/// A bridge of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// Its name; libvirt chooses one where it is not said.
    #[serde(rename = "@name", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An address of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ip {
    /// The address.
    #[serde(rename = "@address", skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How many of its bits are those of the network, where it is not said by a mask.
    #[serde(rename = "@prefix", skip_serializing_if = "Option::is_none")]
    pub prefix: Option<u8>,
    /// The leases that guests on the network can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<Dhcp>,
}

/// What libvirt's DHCP server gives out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dhcp {
    /// Addresses.
    #[serde(rename = "range", default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Range>,
}

/// Addresses from one to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first.
    #[serde(rename = "@start")]
    pub start: String,
    /// The last.
    #[serde(rename = "@end")]
    pub end: String,
}

/// A network whose guests reach whatever the host reaches, behind the address of the host (NAT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatNetwork {
    /// Its name, and that of its bridge.
    pub name: String,
    /// The host's address on it, which is the gateway of the guests.
    pub address: Ipv4Addr,
    /// How many bits of that are the network's.
    pub prefix: u8,
    /// The first and the last address that guests are given by DHCP; without it none are.
    pub leases: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl NetworkXml {
    /// A network that this library makes. Guests on one with an uplink are connected to that
    /// directly (macvtap); one without has a bridge of its own name.
    pub fn new(name: &str, uuid: Uuid, kind: &NetworkKind) -> Self {
        let (forward, bridge) = match kind {
            NetworkKind::Isolated => (None, Some(Bridge { name: Some(name.to_owned()) })),
            NetworkKind::Uplink(dev) => {
                let interfaces = vec![Uplink { dev: dev.clone() }];
                let mode = Some("bridge".to_owned());
                (Some(Forward { mode, dev: None, interfaces }), None)
            }
        };
        Self { name: name.to_owned(), uuid, forward, bridge, addresses: Vec::new() }
    }

    /// A network behind the address of the host.
    pub fn nat(network: &NatNetwork, uuid: Uuid) -> Self {
        let range = |(start, end): (Ipv4Addr, Ipv4Addr)| Dhcp {
            ranges: vec![Range { start: start.to_string(), end: end.to_string() }],
        };
        Self {
            name: network.name.clone(),
            uuid,
            forward: Some(Forward { mode: Some("nat".to_owned()), ..Forward::default() }),
            bridge: Some(Bridge { name: Some(network.name.clone()) }),
            addresses: vec![Ip {
                address: Some(network.address.to_string()),
                prefix: Some(network.prefix),
                dhcp: network.leases.map(range),
            }],
        }
    }

    /// Reads what this library knows of a document.
    ///
    /// # Errors
    /// When it is no network.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        quick_xml::de::from_str(text).map_err(|error| XmlError::Unexpected(error.to_string()))
    }

    /// As a tree.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_element(&self) -> Result<Element, XmlError> {
        to_element(self)
    }

    /// As the object model has it. A network whose traffic goes on through no interface that is
    /// named (NAT through whatever route the host has) counts as isolated.
    pub fn network(&self) -> Network {
        let uplink = self.forward.as_ref().and_then(|forward| {
            let first = forward.interfaces.first().map(|uplink| &uplink.dev);
            first.or(forward.dev.as_ref()).cloned()
        });
        let addresses = self.addresses.iter().filter_map(|ip| ip.address.as_deref()?.parse().ok());
        Network {
            name: self.name.clone(),
            kind: uplink.map_or(NetworkKind::Isolated, NetworkKind::Uplink),
            addresses: addresses.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = "<network connections='1'><name>default</name>\
        <uuid>dd8fe884-6c02-601e-7551-cca97df1c5df</uuid><forward mode='nat'><nat><port \
        start='1024' end='65535'/></nat></forward><bridge name='virbr0' stp='on' delay='0'/>\
        <mac address='52:54:00:12:34:56'/><ip address='192.168.122.1' netmask='255.255.255.0'>\
        <dhcp><range start='192.168.122.128' end='192.168.122.253'/></dhcp></ip></network>";

    #[test]
    fn a_network_is_read() {
        let network = NetworkXml::parse(DEFAULT).unwrap().network();
        let addresses = vec!["192.168.122.1".parse().unwrap()];
        let name = "default".to_owned();
        assert_eq!(network, Network { name, kind: NetworkKind::Isolated, addresses });
    }

    #[test]
    fn networks_are_made_as_they_are_read() {
        let uuid = Uuid::from_u128(7);
        let kinds = [NetworkKind::Isolated, NetworkKind::Uplink("eth1".to_owned())];
        let texts = kinds.iter().map(|kind| {
            let text = NetworkXml::new("xb1", uuid, kind).to_element().unwrap().to_xml();
            assert_eq!(&NetworkXml::parse(&text).unwrap().network().kind, kind);
            text
        });
        insta::assert_snapshot!(texts.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn a_network_behind_the_host_is_made_as_it_is_read() {
        let address = |last| Ipv4Addr::new(10, 7, 0, last);
        let name = "nat0".to_owned();
        let leases = Some((address(10), address(20)));
        let nat = NatNetwork { name, address: address(1), prefix: 24, leases };
        let network = NetworkXml::nat(&nat, Uuid::from_u128(7));
        let text = network.to_element().unwrap().to_xml();
        assert_eq!(NetworkXml::parse(&text).unwrap(), network);
        insta::assert_snapshot!(text);
    }
}
