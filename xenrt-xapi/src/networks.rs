//! Networks: those of the pool that this host is in.

use std::net::IpAddr;

use uuid::Uuid;
use xenrt_core::model::{Ability, Network, NetworkKind, NetworkSpec};
use xenrt_core::nearest::hint;
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::error;
use crate::parse::{not_understood, records, values};
use crate::shared::HostShared;
use crate::xe::{Xe, XeCommand};

/// The key in `other-config` of networks that this library made; no other is ever removed.
const MARK: &str = "xenrt";

/// A network as xapi lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    bridge: String,
    pub(crate) own: bool,
}

impl Known {
    /// Its name; where the lab speaks of it by its bridge or UUID, what the lab calls it.
    fn called(&self, host: &HostShared) -> String {
        let own = host.entry.guest_network.as_ref().map(|network| network.network.as_str());
        let by_lab = own.filter(|own| *own == self.bridge || *own == self.uuid.to_string());
        by_lab.unwrap_or(&self.name).to_owned()
    }
}

/// Asks for all networks.
pub(crate) fn list_command() -> XeCommand {
    XeCommand::new("network-list").fields(&["uuid", "name-label", "bridge", "other-config"])
}

/// The networks in an answer.
pub(crate) fn read(text: &str) -> Result<Vec<Known>> {
    let known = |record: Result<crate::parse::Record<'_>>| {
        let record = record?;
        let config = record.get("other-config").map(values::map).unwrap_or_default();
        Ok(Known {
            uuid: record.parse("uuid")?,
            name: record.require("name-label")?.to_owned(),
            bridge: record.get("bridge").unwrap_or_default().to_owned(),
            own: config.contains_key(MARK),
        })
    };
    records(text).map(known).collect()
}

/// The network that goes by this bridge, UUID or name. Bridges and UUIDs are unique; a name that
/// several networks have is none.
fn choose<'a>(networks: &'a [Known], name: &str) -> Result<&'a Known> {
    let exact = networks.iter().find(|own| own.bridge == name || own.uuid.to_string() == name);
    let mut named = networks.iter().filter(|own| own.name == name);
    match (exact, named.next(), named.next()) {
        (Some(exact), _, _) | (None, Some(exact), None) => Ok(exact),
        (None, Some(_), Some(_)) => {
            let problem = "several networks have that name; say the bridge or the UUID";
            Err(Error::invalid(format!("network {name:?}"), problem))
        }
        (None, None, _) => {
            let known = networks.iter().flat_map(|own| [own.bridge.as_str(), own.name.as_str()]);
            let message = format!("there is no network {name:?}{}", hint(name, known));
            let kind = ToolstackErrorKind::NoSuchObject;
            Err(error::refusal(kind, "find", &format!("network {name:?}"), message))
        }
    }
}

/// What a network is called, from what is known of it; its UUID where nothing is.
pub(crate) fn name_of(host: &HostShared, network: Uuid) -> String {
    let known = host.known_networks().into_iter().find(|own| own.uuid == network);
    known.map_or_else(|| network.to_string(), |known| known.called(host))
}

/// The UUID of a network, from what is known; xapi is asked only where that does not tell.
pub(crate) async fn uuid_of(host: &HostShared, xe: &Xe, name: &str) -> Result<Uuid> {
    if let Ok(known) = choose(&host.known_networks(), name) {
        return Ok(known.uuid);
    }
    choose(&refresh(host, xe).await?, name).map(|known| known.uuid)
}

async fn refresh(host: &HostShared, xe: &Xe) -> Result<Vec<Known>> {
    let text = xe.run(&list_command()).await.map_err(|error| error.during("list", "networks"))?;
    let networks = read(&text)?;
    host.know_networks(networks.clone());
    Ok(networks)
}

/// The networks with what they are connected to on this host.
pub(crate) async fn list(host: &HostShared, xe: &Xe) -> Result<Vec<Network>> {
    let pifs = XeCommand::new("pif-list").param("host-uuid", host.uuid.to_string()).fields(&[
        "uuid",
        "device",
        "VLAN",
        "network-uuid",
        "IP",
    ]);
    let answers = xe.run_all(&[list_command(), pifs]).await;
    let answers = answers.map_err(|error| error.during("list", "networks"))?;
    let [networks, pifs] = answers.as_slice() else {
        return Err(not_understood("xe", "two answers", ""));
    };
    let known = read(networks)?;
    let mut interfaces: Vec<(Uuid, String, Option<IpAddr>)> = Vec::new();
    for record in records(pifs) {
        let record = record?;
        let device = record.require("device")?;
        let name = match record.get("VLAN") {
            Some(tag) if tag != "-1" => format!("{device}.{tag}"),
            _ => device.to_owned(),
        };
        let address = record.get("IP").and_then(|address| address.parse().ok());
        interfaces.push((record.parse("network-uuid")?, name, address));
    }
    let networks = known.iter().map(|own| {
        let on = || interfaces.iter().filter(|(network, ..)| *network == own.uuid);
        Network {
            name: own.called(host),
            kind: on()
                .next()
                .map_or(NetworkKind::Isolated, |(_, name, _)| NetworkKind::Uplink(name.clone())),
            addresses: on().filter_map(|(.., address)| *address).collect(),
        }
    });
    let networks = networks.collect();
    host.know_networks(known);
    Ok(networks)
}

/// Makes a network: two calls, and one that looks whether the name is taken.
pub(crate) async fn define(host: &HostShared, xe: &Xe, spec: &NetworkSpec) -> Result<Network> {
    let object = format!("network {:?}", spec.name);
    if spec.name.is_empty() {
        return Err(Error::invalid(object, "its name must not be empty"));
    }
    if let NetworkKind::Uplink(device) = &spec.kind {
        let pifs = XeCommand::new("pif-list")
            .param("host-uuid", host.uuid.to_string())
            .param("device", device.as_str());
        let pifs = xe.uuids(pifs).await.map_err(|error| error.during("make", &object))?;
        if pifs.is_empty() {
            let (kind, message) =
                (ToolstackErrorKind::NoSuchObject, format!("there is no interface {device:?}"));
            return Err(error::refusal(kind, "make", &object, message));
        }
        let reason = format!(
            "xapi has one network for each interface and makes it itself; use the network of {device}"
        );
        let (toolstack, ability) = (error::TOOLSTACK.to_owned(), Ability::Networks);
        return Err(Error::Unsupported { toolstack, ability, reason: Some(reason) });
    }
    if refresh(host, xe).await?.iter().any(|known| known.name == spec.name) {
        return Err(Error::invalid(object, "there is a network with that name already"));
    }
    let during = |error: crate::xe::XeError| error.during("make", &object);
    let create = XeCommand::new("network-create").param("name-label", spec.name.as_str());
    let find = XeCommand::new("network-list").param("name-label", spec.name.as_str()).minimal();
    let uuid = xe.create_once(&create, &find).await.map_err(during)?;
    let mark = XeCommand::new("network-param-set")
        .uuid(uuid)
        .param(format!("other-config:{MARK}"), "true");
    if let Err(error) = xe.repeat(&mark, |_| false).await {
        // One that is not marked would never be removed.
        let destroy = XeCommand::new("network-destroy").uuid(uuid);
        let undone = xe.repeat(&destroy, crate::xe::XeError::is_missing_object).await;
        return Err(undone.err().unwrap_or(error).during("make", &object));
    }
    refresh(host, xe).await?;
    Ok(Network { name: spec.name.clone(), kind: NetworkKind::Isolated, addresses: Vec::new() })
}

/// Removes a network that this library made.
pub(crate) async fn remove(host: &HostShared, xe: &Xe, name: &str) -> Result<()> {
    let networks = refresh(host, xe).await?;
    let known = match choose(&networks, name) {
        Ok(known) => known,
        Err(error) if error.toolstack_kind() == Some(ToolstackErrorKind::NoSuchObject) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let object = format!("network {name:?}");
    if !known.own {
        let message = "this library did not make it";
        return Err(error::refusal(ToolstackErrorKind::NotSupported, "remove", &object, message));
    }
    // xapi would take VIFs of halted guests away with it in silence.
    let vifs = XeCommand::new("vif-list").param("network-uuid", known.uuid.to_string());
    let vifs = xe.uuids(vifs).await.map_err(|error| error.during("remove", &object))?;
    if !vifs.is_empty() {
        let message = format!("{} VIFs of guests are on it", vifs.len());
        return Err(error::refusal(ToolstackErrorKind::BadState, "remove", &object, message));
    }
    disconnect(xe, known.uuid, &object).await?;
    destroyed(xe, "network-destroy", known.uuid, &object).await?;
    host.know_networks(networks.iter().filter(|own| own.uuid != known.uuid).cloned().collect());
    Ok(())
}

/// Removes the VLANs and bonds that connect a network which this library made; the interfaces below
/// them stay.
async fn disconnect(xe: &Xe, network: Uuid, object: &str) -> Result<()> {
    let during = |error: crate::xe::XeError| error.during("remove", object);
    let pifs = XeCommand::new("pif-list").param("network-uuid", network.to_string());
    for pif in xe.uuids(pifs).await.map_err(during)? {
        let ways = [
            ("vlan-list", "untagged-PIF", "vlan-destroy"),
            ("bond-list", "master", "bond-destroy"),
        ];
        for (list, field, destroy) in ways {
            let list = XeCommand::new(list).param(field, pif.to_string());
            for link in xe.uuids(list).await.map_err(during)? {
                destroyed(xe, destroy, link, object).await?;
            }
        }
    }
    Ok(())
}

/// Destroys something; that it is gone already is a success.
async fn destroyed(xe: &Xe, command: &str, uuid: Uuid, object: &str) -> Result<()> {
    match xe.repeat(&XeCommand::new(command).uuid(uuid), |_| false).await {
        Err(error) if error.is_missing_object() => Ok(()),
        result => result.map_err(|error| error.during("remove", object)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(number: u128, name: &str, bridge: &str) -> Known {
        Known {
            uuid: Uuid::from_u128(number),
            name: name.into(),
            bridge: bridge.into(),
            own: false,
        }
    }

    #[test]
    fn a_network_is_chosen_by_what_is_unique() {
        let all = [known(1, "a", "xenbr0"), known(2, "b", "xenbr1"), known(3, "b", "xapi0")];
        assert_eq!(choose(&all, "xenbr1").unwrap().uuid, Uuid::from_u128(2));
        assert_eq!(choose(&all, "a").unwrap().uuid, Uuid::from_u128(1));
        assert_eq!(choose(&all, &Uuid::from_u128(3).to_string()).unwrap().name, "b");
        assert!(choose(&all, "b").unwrap_err().to_string().contains("several"));
        assert!(choose(&all, "xenbr").unwrap_err().to_string().contains("did you mean \"xenbr"));
    }
}
