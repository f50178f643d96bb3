//! Physical interfaces, VLANs and bonds of a host.

use std::net::Ipv4Addr;

use uuid::Uuid;
use xenrt_core::model::{Host as _, MacAddress};
use xenrt_core::remote::{Wait, wait_until};
use xenrt_core::{Error, Result};

use crate::host::XapiHost;
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

/// How an interface comes to its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// It has none.
    None,
    /// Through DHCP.
    Dhcp,
    /// It is given one.
    Static {
        /// The address.
        address: Ipv4Addr,
        /// The mask of its network.
        netmask: Ipv4Addr,
        /// The gateway, where there is one.
        gateway: Option<Ipv4Addr>,
    },
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
        match xe.run(&XeCommand::new("vlan-destroy").uuid(vlan)).await {
            Err(error) if error.is_missing_object() => Ok(()),
            result => result.map(drop).map_err(during),
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

    /// Sets how an interface comes to its address. One call.
    ///
    /// # Errors
    /// What xapi refuses. Of the interface that xapi is reached through, the connection may go.
    pub async fn configure_interface(&self, interface: Uuid, how: Addressing) -> Result<()> {
        let command = XeCommand::new("pif-reconfigure-ip").uuid(interface);
        let command = match how {
            Addressing::None => command.param("mode", "none"),
            Addressing::Dhcp => command.param("mode", "dhcp"),
            Addressing::Static { address, netmask, gateway } => command
                .param("mode", "static")
                .param("IP", address.to_string())
                .param("netmask", netmask.to_string())
                .maybe("gateway", gateway.map(|gateway| gateway.to_string())),
        };
        let object = format!("interface {interface} of host {:?}", self.name());
        self.xe().run(&command).await.map(drop).map_err(|error| error.during("configure", &object))
    }
}
