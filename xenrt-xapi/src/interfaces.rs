//! Physical interfaces, VLANs and bonds of a host.

use std::net::Ipv4Addr;

use uuid::Uuid;
use xenrt_core::model::{Host as _, MacAddress};
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
    /// What xapi refuses.
    pub async fn create_bond(
        &self,
        interfaces: &[Uuid],
        network: Uuid,
        mode: BondMode,
    ) -> Result<Uuid> {
        let mode = match mode {
            BondMode::BalanceSlb => "balance-slb",
            BondMode::ActiveBackup => "active-backup",
            BondMode::Lacp => "lacp",
        };
        let all: Vec<String> = interfaces.iter().map(Uuid::to_string).collect();
        let create = XeCommand::new("bond-create")
            .param("network-uuid", network.to_string())
            .param("pif-uuids", all.join(","))
            .param("mode", mode);
        self.xe().create(&create).await.map_err(|error| error.during("create", "a bond"))
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
