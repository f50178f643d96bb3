//! The interface that xapi itself is reached through: another one, or another address of it.

use std::net::IpAddr;

use uuid::Uuid;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{Host as _, Toolstack as _};
use xenrt_core::remote::{Wait, wait_until};
use xenrt_core::{Error, Result};

use crate::addressing::{Addressing, check_ipv4, reconfigure};
use crate::host::XapiHost;
use crate::parse::records;
use crate::toolstack::XapiToolstack;
use crate::xe::XeCommand;

/// What is asked of an interface before and after.
struct State {
    device: String,
    management: bool,
    attached: bool,
    address: Option<IpAddr>,
}

impl XapiHost {
    /// Has xapi be reached through this interface of the host, with the address that `how` gives it
    /// or that it has already. The interface that it is reached through now is given another address
    /// where `how` is static. Returns the host as it is found there, on a connection of its own;
    /// handles from before keep the address from before. After: xapi answers there, and says that
    /// this is its management interface. The interface from before keeps its address.
    ///
    /// The connection may break in between, so that what xapi itself said is lost: whether it was
    /// done is told by finding the host. An ssh key of the new address must be among those that the
    /// lab knows, where it knows any.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an interface of another host; [`Error::Invalid`] when nobody can know
    /// the address beforehand, or there would be none; what xapi refuses, while high availability is
    /// on for instance (`HA_IS_ENABLED`); [`Error::Timeout`] when the host is not found there within
    /// the deadline of a host that boots.
    pub async fn set_management(&self, interface: Uuid, how: Option<Addressing>) -> Result<Self> {
        if let Some(how) = how {
            check_ipv4(how, &[])?;
        }
        let before = self.state_of(interface).await?;
        let object = format!("interface {} of host {:?}", before.device, self.name());
        let (address, command) = match (before.management, how) {
            (true, None) => return Ok(self.clone()),
            (true, Some(how @ Addressing::Static { address, .. })) => {
                (IpAddr::V4(address), reconfigure(interface, how, &[]))
            }
            (true, Some(_)) => {
                let problem = "xapi is reached through it: give it a static address, since nobody \
                               knows another one beforehand";
                return Err(Error::invalid(object, problem));
            }
            (false, how) => {
                if let Some(how) = how {
                    self.configure_interface(interface, how).await?;
                }
                if !before.attached {
                    self.set_interface_up(interface, true).await?;
                }
                let address = self.address_of(interface, how, &object).await?;
                let pif = interface.to_string();
                (address, XeCommand::new("host-management-reconfigure").param("pif-uuid", pif))
            }
        };
        match self.xe().run(&command.deadline(self.entry().deadlines.state)).await {
            Ok(_) => {}
            // It may go with the address that it went to.
            Err(error) if error.is_ambiguous() => {}
            Err(error) => return Err(error.during("reach xapi through", &object)),
        }
        self.found_at(address, interface).await
    }

    /// One call.
    async fn state_of(&self, interface: Uuid) -> Result<State> {
        let fields = ["uuid", "device", "management", "currently-attached", "IP"];
        let list =
            XeCommand::new("pif-list").param("host-uuid", self.uuid().to_string()).fields(&fields);
        let text = self.xe().run(&list).await;
        let text = text.map_err(|error| error.during("list", "interfaces"))?;
        let mut known = Vec::new();
        for record in records(&text) {
            let record = record?;
            let device = record.require("device")?;
            if record.parse::<Uuid>("uuid")? == interface {
                return Ok(State {
                    device: device.to_owned(),
                    management: record.get("management") == Some("true"),
                    attached: record.get("currently-attached") == Some("true"),
                    address: record.get("IP").and_then(|address| address.parse().ok()),
                });
            }
            known.push(device.to_owned());
        }
        Err(Error::NotFound { kind: "network interface", name: interface.to_string(), known })
    }

    /// The address that an interface has, once it has it: DHCP takes a while.
    async fn address_of(
        &self,
        interface: Uuid,
        how: Option<Addressing>,
        object: &str,
    ) -> Result<IpAddr> {
        let waits = matches!(how, Some(Addressing::Dhcp));
        wait_until(format!("{object} to have an address"), || async {
            match self.state_of(interface).await?.address {
                Some(address) => Ok(Wait::Done(address)),
                None if waits => Ok(Wait::NotYet("xapi shows none".to_owned())),
                None => {
                    let problem = "it has no address; say how it is to come to one";
                    Err(Error::invalid(object, problem))
                }
            }
        })
        .within(self.entry().deadlines.device)
        .await
    }

    /// The host, as it is found at this address.
    async fn found_at(&self, address: IpAddr, interface: Uuid) -> Result<Self> {
        let entry = moved(self.entry(), address);
        let toolstack = XapiToolstack::with_reach(self.shared.reach.clone());
        wait_until(format!("host {} to be found at {address}", self.name()), || async {
            // Refused, timed out, another key: it is not there yet, and the last word is kept.
            let host = match toolstack.connect(&entry).await {
                Ok(host) => host,
                Err(error) => return Ok(Wait::NotYet(error.to_string())),
            };
            let own = Self::of(host.as_ref()).filter(|own| own.uuid() == self.uuid());
            let Some(own) = own else {
                let message = format!("another host than {} answers at {address}", self.name());
                return Err(Error::lab(message));
            };
            let state = own.state_of(interface).await?;
            let found = Self { scope: self.scope.clone(), ..own };
            Ok(match state.management {
                true => Wait::Done(found),
                false => Wait::NotYet(format!("{} is not its management", state.device)),
            })
        })
        .within(self.entry().deadlines.host_boot)
        .await
    }
}

/// What the lab says of a host that is at another address now.
fn moved(entry: &HostEntry, address: IpAddr) -> HostEntry {
    let mut moved = entry.clone();
    if let Some(server) = moved.attributes.get_mut("xe_server")
        && *server == entry.address
    {
        *server = address.to_string();
    }
    moved.address = address.to_string();
    moved
}
