//! The network interfaces of a host: VLANs and bonds of them, and their addresses.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Host, MacAddress, Network, ObjectKind, Undo};
use crate::{Error, Result};

/// How the network interfaces of a bond share the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    /// `balance-slb`: by source address.
    BalanceSlb,
    /// `active-backup`: one, and the others when it fails.
    ActiveBackup,
    /// `lacp`: by the protocol of IEEE 802.1AX.
    Lacp,
}

/// An address with the length of its network's prefix: `10.1.2.3/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// How many of its first bits are those of the network.
    pub prefix: u8,
}

impl std::str::FromStr for InterfaceAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(address, prefix)| {
            let address: IpAddr = address.parse().ok()?;
            let prefix: u8 = prefix.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            (prefix <= most).then_some(Self { address, prefix })
        });
        parts.ok_or_else(|| {
            let problem = "expected an address with the length of its prefix: 10.1.2.3/24";
            Error::invalid(format!("address {text:?}"), problem)
        })
    }
}

impl std::fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl<'de> Deserialize<'de> for InterfaceAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How the host comes to its address on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostAddressing {
    /// It has none.
    None,
    /// Through DHCP.
    Dhcp,
    /// It has this one.
    Static(InterfaceAddress),
}

/// A network interface of a host: a physical one, a bond or a VLAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its device: `eth0`, `eth0.17` for a VLAN.
    pub device: String,
    /// Its hardware address.
    pub mac: MacAddress,
    /// The network that it connects, where there is one.
    pub network: Option<String>,
    /// Whether the host is managed over it.
    pub management: bool,
    /// How the host comes to its address there.
    pub addressing: HostAddressing,
    /// The size of the largest frame's content, in bytes.
    pub mtu: u32,
}

/// The network interfaces of one host, where the toolstack has the ability
/// [`Interfaces`](super::Ability::Interfaces); see [`Host::interfaces`]. Networks that are made here
/// are removed as others are, by [`Host::remove_network`].
///
/// The required methods ask, and the verbs act and verify.
#[async_trait]
pub trait Interfaces: Send + Sync + std::fmt::Debug {
    /// The host.
    fn host(&self) -> &dyn Host;

    /// Another handle to the same, for what is done later.
    fn handle(&self) -> Arc<dyn Interfaces>;

    /// All interfaces.
    ///
    /// # Errors
    /// When the toolstack cannot be asked.
    async fn list(&self) -> Result<Vec<Interface>>;

    /// Asks the toolstack for a network on a VLAN of an interface. Nothing is left behind by an
    /// error.
    ///
    /// # Errors
    /// What it refuses.
    async fn request_vlan(&self, name: &str, device: &str, tag: u16) -> Result<Network>;

    /// Asks the toolstack for a network on a bond of interfaces. Nothing is left behind by an error.
    ///
    /// # Errors
    /// What it refuses.
    async fn request_bond(&self, name: &str, devices: &[String], mode: BondMode)
    -> Result<Network>;

    /// Asks the toolstack to give the host its address on a network so.
    ///
    /// # Errors
    /// What it refuses.
    async fn request_addressing(&self, network: &str, how: HostAddressing) -> Result<()>;

    /// Asks the toolstack for frames of this size on a network.
    ///
    /// # Errors
    /// What it refuses.
    async fn request_mtu(&self, network: &str, mtu: u32) -> Result<()>;

    // ---- verbs ----

    /// The interface that connects this network.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the networks that interfaces connect.
    async fn of_network(&self, network: &str) -> Result<Interface> {
        let all = self.list().await?;
        let known = || all.iter().filter_map(|own| own.network.clone()).collect();
        let found = all.iter().find(|own| own.network.as_deref() == Some(network)).cloned();
        found.ok_or_else(|| Error::NotFound {
            kind: "network with an interface",
            name: network.to_owned(),
            known: known(),
        })
    }

    /// Makes a network on a VLAN of an interface; it is removed when the scope of the host's handle
    /// ends. After: an interface connects it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a tag outside 1 to 4094; as [`request_vlan`](Self::request_vlan).
    async fn create_vlan(&self, name: &str, device: &str, tag: u16) -> Result<Network> {
        if !(1..=4094).contains(&tag) {
            return Err(Error::invalid(format!("VLAN {tag}"), "a tag is from 1 to 4094"));
        }
        let asked = self.request_vlan(name, device, tag);
        created(self.host(), name, asked).await?;
        self.connected(name).await
    }

    /// Makes a network on a bond of interfaces; both are removed when the scope of the host's handle
    /// ends. After: the bond connects it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for less than two interfaces, or one that the host is managed over; as
    /// [`request_bond`](Self::request_bond).
    async fn create_bond(&self, name: &str, devices: &[String], mode: BondMode) -> Result<Network> {
        let what = || format!("a bond of {}", devices.join(", "));
        if devices.len() < 2 {
            return Err(Error::invalid(what(), "it takes two interfaces or more"));
        }
        let managed = self.list().await?.into_iter().find(|own| own.management);
        if managed.is_some_and(|own| devices.contains(&own.device)) {
            return Err(Error::invalid(what(), "the host is managed over one of them"));
        }
        created(self.host(), name, self.request_bond(name, devices, mode)).await?;
        self.connected(name).await
    }

    /// Gives the host its address on a network so until the scope of its handle ends. After: the
    /// toolstack says so.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the network that the host is managed over; as
    /// [`of_network`](Self::of_network) and [`request_addressing`](Self::request_addressing).
    async fn set_addressing(&self, network: &str, how: HostAddressing) -> Result<()> {
        let before = self.of_network(network).await?;
        if before.addressing == how {
            return Ok(());
        }
        if before.management {
            let problem = "the host is managed over it, and would be lost";
            return Err(Error::invalid(format!("the address on network {network:?}"), problem));
        }
        let (handle, name) = (self.handle(), network.to_owned());
        let what = format!("give the address on network {network:?} back");
        self.host().scope().on_cleanup(Undo::new(what, move || async move {
            handle.request_addressing(&name, before.addressing).await
        }));
        self.request_addressing(network, how).await?;
        let now = self.of_network(network).await?.addressing;
        same(&format!("the address on network {network:?}"), &how, &now)
    }

    /// Lets frames on a network be so large until the scope of the host's handle ends. After: the
    /// interface says so.
    ///
    /// # Errors
    /// As [`set_addressing`](Self::set_addressing), with [`request_mtu`](Self::request_mtu).
    async fn set_mtu(&self, network: &str, mtu: u32) -> Result<()> {
        let before = self.of_network(network).await?;
        if before.mtu == mtu {
            return Ok(());
        }
        if before.management {
            let problem = "the host is managed over it, and would be lost";
            return Err(Error::invalid(format!("the MTU of network {network:?}"), problem));
        }
        let (handle, name) = (self.handle(), network.to_owned());
        let what = format!("give the MTU of network {network:?} back");
        self.host().scope().on_cleanup(Undo::new(what, move || async move {
            handle.request_mtu(&name, before.mtu).await
        }));
        self.request_mtu(network, mtu).await?;
        let now = self.of_network(network).await?.mtu;
        same(&format!("the MTU of network {network:?}"), &mtu, &now)
    }

    /// The network with this name, which an interface must connect.
    ///
    /// # Errors
    /// [`Error::UnexpectedOutput`] where none does.
    async fn connected(&self, name: &str) -> Result<Network> {
        let networks = self.host().networks().await?;
        let listed = networks.into_iter().find(|network| network.name == name);
        let connected = self.of_network(name).await.map(drop);
        match (listed, connected) {
            (Some(network), Ok(())) => Ok(network),
            (_, Err(error)) if !matches!(error, Error::NotFound { .. }) => Err(error),
            _ => Err(Error::UnexpectedOutput {
                what: format!("the networks of host {:?}", self.host().name()),
                expected: format!("the new network {name:?} with an interface"),
                found: "a list without it".to_owned(),
            }),
        }
    }
}

/// Notes what is about to be made and its undo, as [`Host::create_network`] does.
async fn created(
    host: &dyn Host,
    name: &str,
    asked: impl Future<Output = Result<Network>> + Send,
) -> Result<()> {
    let object = host.object(ObjectKind::Network, name);
    host.scope().creating(&object);
    let made = asked.await.inspect_err(|_| host.scope().not_created(&object))?;
    let (handle, name) = (host.in_scope(host.scope().clone()), made.name);
    let undo = Undo::new(format!("remove network {name:?}"), move || async move {
        handle.remove_network(&name).await
    });
    host.scope().on_cleanup(undo.of(object));
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::UnexpectedOutput {
        what: what.to_owned(),
        expected: format!("{expected:?}"),
        found: format!("{found:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_their_prefix() {
        let address: InterfaceAddress = "10.1.2.3/24".parse().unwrap();
        assert_eq!((address.prefix, address.to_string().as_str()), (24, "10.1.2.3/24"));
        for wrong in ["10.1.2.3", "10.1.2.3/33", "x/24", "10.1.2.3/-1", "fe80::1/129"] {
            assert!(wrong.parse::<InterfaceAddress>().is_err(), "{wrong}");
        }
    }
}
