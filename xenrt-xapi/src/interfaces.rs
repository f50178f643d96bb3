//! Physical interfaces, VLANs and bonds of a host.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::model::{
    self, Host, HostAddressing, InterfaceAddress, Interfaces, MacAddress, Network, NetworkSpec,
};
use xenrt_core::remote::{Wait, wait_until};
use xenrt_core::{Error, Result};

use crate::addressing::{Addressing, Ipv6Addressing, read_ipv4, read_ipv6};
use crate::host::XapiHost;
use crate::networks;
use crate::parse::records;
use crate::xe::{XeCommand, XeError};

/// A network interface of a host, as xapi lists it (PIF).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its identity.
    pub uuid: Uuid,
    /// Its device: `eth0`.
    pub device: String,
    /// Its hardware address.
    pub mac: MacAddress,
    /// Its VLAN, where it is one.
    pub vlan: Option<u16>,
    /// Its network.
    pub network: Uuid,
    /// Whether it is up.
    pub attached: bool,
    /// Whether xapi itself is reached through it.
    pub management: bool,
}

/// How the interfaces of a bond share traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BondMode {
    /// By the source address of guests.
    BalanceSlb,
    /// One works, the others wait.
    ActiveBackup,
    /// LACP (IEEE 802.3ad).
    Lacp,
}

impl BondMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::BalanceSlb => "balance-slb",
            Self::ActiveBackup => "active-backup",
            Self::Lacp => "lacp",
        }
    }
}

impl XapiHost {
    /// The interfaces of this host. One call.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn interfaces(&self) -> Result<Vec<Interface>> {
        let list = XeCommand::new("pif-list").param("host-uuid", self.uuid().to_string());
        let list = list.fields(&[
            "uuid",
            "device",
            "MAC",
            "VLAN",
            "network-uuid",
            "currently-attached",
            "management",
        ]);
        let text =
            self.xe().run(&list).await.map_err(|error| error.during("list", "interfaces"))?;
        let interface = |record: Result<crate::parse::Record<'_>>| {
            let record = record?;
            Ok(Interface {
                uuid: record.parse("uuid")?,
                device: record.require("device")?.to_owned(),
                mac: record.parse("MAC")?,
                vlan: record.get("VLAN").and_then(|tag| tag.parse().ok()),
                network: record.parse("network-uuid")?,
                attached: record.get("currently-attached") == Some("true"),
                management: record.get("management") == Some("true"),
            })
        };
        records(&text).map(interface).collect()
    }

    /// Puts a network on a VLAN of an interface. Returns the interface of the VLAN. One call.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a tag outside 1 to 4094; what xapi refuses. It is not made twice when
    /// the connection breaks.
    pub async fn create_vlan(&self, interface: Uuid, tag: u16, network: Uuid) -> Result<Uuid> {
        if !(1..=4094).contains(&tag) {
            return Err(Error::invalid(format!("VLAN {tag}"), "a tag is from 1 to 4094"));
        }
        let create = XeCommand::new("vlan-create")
            .param("pif-uuid", interface.to_string())
            .param("vlan", tag.to_string())
            .param("network-uuid", network.to_string());
        // It prints the interface, not the VLAN.
        let find = XeCommand::new("pif-list")
            .param("network-uuid", network.to_string())
            .param("host-uuid", self.uuid().to_string())
            .minimal();
        let made = self.xe().create_once(&create, &find).await;
        made.map_err(|error| error.during("create", &format!("VLAN {tag}")))
    }

    /// Removes the VLAN of this interface. Two calls.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the interface is no VLAN; what xapi refuses.
    pub async fn remove_vlan(&self, interface: Uuid) -> Result<()> {
        let object = format!("the VLAN of interface {interface}");
        let during = |error: XeError| error.during("remove", &object);
        let list = XeCommand::new("vlan-list").param("untagged-PIF", interface.to_string());
        let xe = self.xe();
        let Some(vlan) = xe.uuids(list).await.map_err(during)?.into_iter().next() else {
            let (name, known) = (interface.to_string(), Vec::new());
            return Err(Error::NotFound { kind: "VLAN", name, known });
        };
        match xe.repeat(&XeCommand::new("vlan-destroy").uuid(vlan), |_| false).await {
            Err(error) if error.is_missing_object() => Ok(()),
            result => result.map_err(during),
        }
    }

    /// Bonds interfaces into one, on this network. Returns the bond. One call.
    ///
    /// # Errors
    /// What xapi refuses. It is not made twice when the connection breaks.
    pub async fn create_bond(
        &self,
        interfaces: &[Uuid],
        network: Uuid,
        mode: BondMode,
    ) -> Result<Uuid> {
        let all: Vec<String> = interfaces.iter().map(Uuid::to_string).collect();
        let create = XeCommand::new("bond-create")
            .param("network-uuid", network.to_string())
            .param("pif-uuids", all.join(","))
            .param("mode", mode.as_str());
        // The interface that the bond is has the network for itself.
        let find = XeCommand::new("pif-list")
            .param("network-uuid", network.to_string())
            .param("host-uuid", self.uuid().to_string())
            .fields(&["bond-master-of"])
            .minimal();
        let made = self.xe().create_once(&create, &find).await;
        made.map_err(|error| error.during("create", "a bond"))
    }

    /// Changes how a bond shares traffic. One call.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn set_bond_mode(&self, bond: Uuid, mode: BondMode) -> Result<()> {
        let set = XeCommand::new("bond-set-mode").uuid(bond).param("mode", mode.as_str());
        let set = self.xe().run(&set).await;
        set.map(drop).map_err(|error| error.during("configure", &format!("bond {bond}")))
    }

    /// Has xapi look for interfaces of this host that came or went. One call.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn scan_interfaces(&self) -> Result<()> {
        let scan = XeCommand::new("pif-scan").param("host-uuid", self.uuid().to_string());
        self.own("look for interfaces of", scan).await
    }

    /// Brings an interface up or down. After: xapi says that it is. Two calls or more.
    ///
    /// # Errors
    /// What xapi refuses: the interface that xapi itself is reached through stays up.
    pub async fn set_interface_up(&self, interface: Uuid, up: bool) -> Result<()> {
        let command = if up { "pif-plug" } else { "pif-unplug" };
        self.own("configure an interface of", XeCommand::new(command).uuid(interface)).await?;
        wait_until(format!("interface {interface} to be up={up}"), || async {
            let seen = self.xe().get("pif", interface, "currently-attached").await;
            let seen = seen.map_err(|error| error.during("look at", &interface.to_string()))?;
            let seen = seen.unwrap_or_default();
            Ok(Wait::on(seen == up.to_string(), format!("currently-attached is {seen}")))
        })
        .within(self.entry().deadlines.device)
        .await
    }

    /// Takes a bond apart. One call.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn remove_bond(&self, bond: Uuid) -> Result<()> {
        let destroy = self.xe().run(&XeCommand::new("bond-destroy").uuid(bond)).await;
        destroy.map(drop).map_err(|error| error.during("remove", &format!("bond {bond}")))
    }
}

/// The interfaces of a host, as the object model has them.
#[derive(Debug, Clone)]
pub(crate) struct XapiInterfaces(pub(crate) XapiHost);

/// One of them with what it is to xapi.
struct Pif {
    uuid: Uuid,
    ipv4: Addressing,
    ipv6: Ipv6Addressing,
    interface: model::Interface,
}

/// The one address that the object model knows of an interface: IPv4 where it has that.
fn one_of(ipv4: Addressing, ipv6: Ipv6Addressing) -> HostAddressing {
    match (ipv4, ipv6) {
        (Addressing::Static { address, netmask, .. }, _) => {
            // A mask of ones is at most 32 of them.
            let prefix = u8::try_from(netmask.to_bits().leading_ones()).unwrap_or(32);
            HostAddressing::Static(InterfaceAddress { address: IpAddr::V4(address), prefix })
        }
        (Addressing::None, Ipv6Addressing::Static { address, prefix, .. }) => {
            HostAddressing::Static(InterfaceAddress { address: IpAddr::V6(address), prefix })
        }
        (Addressing::Dhcp, _) | (_, Ipv6Addressing::Dhcp) => HostAddressing::Dhcp,
        (Addressing::None, _) => HostAddressing::None,
    }
}

impl XapiInterfaces {
    /// One call.
    async fn pifs(&self) -> Result<Vec<Pif>> {
        let list = XeCommand::new("pif-list").param("host-uuid", self.0.uuid().to_string());
        let list = list.fields(&[
            "uuid",
            "device",
            "MAC",
            "MTU",
            "VLAN",
            "management",
            "network-uuid",
            "IP-configuration-mode",
            "IP",
            "netmask",
            "gateway",
            "IPv6-configuration-mode",
            "IPv6",
            "IPv6-gateway",
        ]);
        let text = self.0.xe().run(&list).await;
        let text = text.map_err(|error| error.during("list", "interfaces"))?;
        let mut pifs = Vec::new();
        for record in records(&text) {
            let record = record?;
            let device = record.require("device")?;
            let device = match record.get("VLAN") {
                Some(tag) if tag != "-1" => format!("{device}.{tag}"),
                _ => device.to_owned(),
            };
            let (ipv4, ipv6) = (read_ipv4(&record)?, read_ipv6(&record)?);
            let network: Uuid = record.parse("network-uuid")?;
            pifs.push(Pif {
                uuid: record.parse("uuid")?,
                ipv4,
                ipv6,
                interface: model::Interface {
                    device,
                    mac: record.parse("MAC")?,
                    network: Some(networks::name_of(&self.0.shared, network)),
                    management: record.get("management") == Some("true"),
                    addressing: one_of(ipv4, ipv6),
                    mtu: record.get("MTU").and_then(|text| text.parse().ok()).unwrap_or(1500),
                },
            });
        }
        Ok(pifs)
    }

    async fn pif(&self, holds: impl Fn(&model::Interface) -> bool, name: &str) -> Result<Pif> {
        let mut pifs = self.pifs().await?;
        match pifs.iter().position(|pif| holds(&pif.interface)) {
            Some(found) => Ok(pifs.swap_remove(found)),
            None => Err(Error::NotFound {
                kind: "network interface",
                name: name.to_owned(),
                known: pifs.into_iter().map(|pif| pif.interface.device).collect(),
            }),
        }
    }

    /// Makes a network and connects it; it is removed where that fails.
    async fn connected(
        &self,
        name: &str,
        connect: impl AsyncFnOnce(Uuid) -> Result<()>,
    ) -> Result<Network> {
        let (shared, xe) = (&self.0.shared, self.0.xe());
        networks::define(shared, &xe, &NetworkSpec::isolated(name)).await?;
        let connected = match networks::uuid_of(shared, &xe, name).await {
            Ok(network) => connect(network).await,
            Err(error) => Err(error),
        };
        if let Err(error) = connected {
            networks::remove(shared, &xe, name).await?;
            return Err(error);
        }
        let networks = networks::list(shared, &xe).await?;
        let known = networks.iter().map(|network| network.name.clone()).collect();
        let made = networks.into_iter().find(|network| network.name == name);
        made.ok_or_else(|| Error::NotFound { kind: "network", name: name.to_owned(), known })
    }
}

#[async_trait]
impl Interfaces for XapiInterfaces {
    fn host(&self) -> &dyn Host {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Interfaces> {
        Arc::new(self.clone())
    }

    /// Three calls.
    async fn list(&self) -> Result<Vec<model::Interface>> {
        // The names of networks are those of now.
        networks::list(&self.0.shared, &self.0.xe()).await?;
        Ok(self.pifs().await?.into_iter().map(|pif| pif.interface).collect())
    }

    async fn request_vlan(&self, name: &str, device: &str, tag: u16) -> Result<Network> {
        let pif = self.pif(|own| own.device == device, device).await?.uuid;
        self.connected(name, async |network| self.0.create_vlan(pif, tag, network).await.map(drop))
            .await
    }

    async fn request_bond(
        &self,
        name: &str,
        devices: &[String],
        mode: model::BondMode,
    ) -> Result<Network> {
        let mut pifs = Vec::new();
        for device in devices {
            pifs.push(self.pif(|own| own.device == *device, device).await?.uuid);
        }
        let mode = match mode {
            model::BondMode::BalanceSlb => BondMode::BalanceSlb,
            model::BondMode::ActiveBackup => BondMode::ActiveBackup,
            model::BondMode::Lacp => BondMode::Lacp,
        };
        self.connected(name, async |network| {
            self.0.create_bond(&pifs, network, mode).await.map(drop)
        })
        .await
    }

    /// Two calls, and one more where it had an address of the other kind, which it has no longer.
    async fn request_addressing(&self, network: &str, how: HostAddressing) -> Result<()> {
        let pif = self.pif(|own| own.network.as_deref() == Some(network), network).await?;
        let (ipv4, ipv6) = match how {
            HostAddressing::None => (Addressing::None, Ipv6Addressing::None),
            HostAddressing::Dhcp => (Addressing::Dhcp, Ipv6Addressing::None),
            HostAddressing::Static(InterfaceAddress { address: IpAddr::V4(address), prefix }) => {
                let ones = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
                let netmask = Ipv4Addr::from(ones);
                (Addressing::Static { address, netmask, gateway: None }, Ipv6Addressing::None)
            }
            HostAddressing::Static(InterfaceAddress { address: IpAddr::V6(address), prefix }) => {
                (Addressing::None, Ipv6Addressing::Static { address, prefix, gateway: None })
            }
        };
        if pif.ipv6 != ipv6 {
            self.0.set_ipv6(pif.uuid, ipv6, &[]).await?;
        }
        if pif.ipv4 != ipv4 {
            self.0.configure_interface(pif.uuid, ipv4).await?;
        }
        Ok(())
    }

    /// The interface is taken from its network and given back, since it learns it then. Four calls.
    async fn request_mtu(&self, network: &str, mtu: u32) -> Result<()> {
        let pif = self.pif(|own| own.network.as_deref() == Some(network), network).await?.uuid;
        let xe = self.0.xe();
        let uuid = networks::uuid_of(&self.0.shared, &xe, network).await?;
        let set = XeCommand::new("network-param-set").uuid(uuid).param("MTU", mtu.to_string());
        let commands =
            [set, XeCommand::new("pif-unplug").uuid(pif), XeCommand::new("pif-plug").uuid(pif)];
        let object = format!("network {network:?}");
        xe.run_all(&commands).await.map(drop).map_err(|error| error.during("set up", &object))
    }
}
