//! The networks that a sequence prepares.
//!
//! A `<bridge>` is a network without an interface. A `<NETWORK>` says how the interfaces of a host
//! are used; which interface is on which network of the lab stands in the lab (`[[host.nics]]`).
//!
//! | in the file | what is done |
//! |---|---|
//! | `<PHYSICAL network="NPRI">` with one interface at most | nothing: it is the network of the host's guests |
//! | another one with one interface | the network of that interface, made where there is none |
//! | one with several | a bond of them, and a network on it |
//! | `jumbo` | frames of 9000 bytes on it |
//! | `<VLAN>` | a network on the VLAN that the lab calls so, or on one of the file's `<vlan>` |
//! | `<STORAGE>` | the host has an address there: from DHCP, or (`static`) the lab's for that interface |
//! | `<MANAGEMENT>` of the primary one, `<VMS>` | nothing: it is so |
//!
//! Guests find these by their names and by the lab's names (`NSEC`).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::FutureExt as _;

use super::{Makings, Preparation};
use crate::lab::{HostEntry, LabNic};
use crate::model::{
    BondMode, Host, HostAddressing, InterfaceAddress, Network, NetworkKind, NetworkSpec,
};
use crate::sequence::{
    Addressing, BridgeStep, NetworkRole, NicChoice, PhysicalNetwork, Prepare, Topology,
};
use crate::sequencer::resources::Resources;
use crate::{Error, Result};

/// What large frames hold, in bytes.
const JUMBO: u32 = 9000;

/// The networks of a host by the names of the file.
pub(super) type Names = BTreeMap<String, String>;

impl Preparation {
    /// Chooses the tags of the run's own VLANs: those that all of its hosts may use.
    pub(super) async fn choose_vlans(
        &self,
        part: &Prepare,
        resources: &Resources,
        makings: &mut Makings,
    ) -> Result<(), String> {
        let Some(first) = part.vlans.first() else { return Ok(()) };
        let work = async {
            let mut hosts = resources.hosts[..resources.own].iter().map(|host| host.host.entry());
            let mut tags =
                hosts.next().map(|entry| entry.private_vlans.clone()).unwrap_or_default();
            hosts.for_each(|entry| tags.retain(|tag| entry.private_vlans.contains(tag)));
            tags.retain(|tag| !makings.vlans.values().any(|used| used == tag));
            if tags.len() < part.vlans.len() {
                return Err(Error::lab(format!(
                    "the sequence needs {} VLANs of its own, and {} tags are free on all of its \
                     hosts; name more in `private_vlans` of the hosts in the lab file",
                    part.vlans.len(),
                    tags.len()
                )));
            }
            Ok(part.vlans.iter().map(|vlan| vlan.name.to_string()).zip(tags).collect::<Vec<_>>())
        };
        let chosen = self.step("VLANs", Some(first.place.line), work).await?;
        makings.vlans.extend(chosen);
        Ok(())
    }

    /// Makes the networks of stand-alone hosts, and those of pools on the hosts that they are made
    /// on; the others find them there when they join.
    pub(super) async fn make_networks(
        &self,
        part: &Prepare,
        resources: &Resources,
        makings: &mut Makings,
    ) -> Result<(), String> {
        let of_hosts = part
            .hosts
            .iter()
            .map(|host| (self.position(host.id), host.bridges.as_slice(), host.topology.as_ref()));
        let of_pools = part.pools.iter().enumerate().filter_map(|(number, pool)| {
            let master = *self.pool_positions(part, number).first()?;
            Some((master, pool.bridges.as_slice(), pool.topology.as_ref()))
        });
        let vlans = &makings.vlans;
        let mut steps = Vec::new();
        for (at, bridges, topology) in of_hosts.chain(of_pools) {
            let host = &resources.hosts[at].host;
            for bridge in bridges {
                let made = self.make_bridge(host, bridge);
                steps.push(async move { made.await.map(|()| (at, Names::new())) }.boxed());
            }
            if let Some(topology) = topology {
                let name = format!("networks of {}", host.name());
                steps.push(
                    async move {
                        let work = async {
                            let names = set_up(host, topology, vlans).await?;
                            set_addresses(host.as_ref(), topology, &names).await?;
                            Ok(names)
                        };
                        let line = Some(topology.place.line);
                        Ok((at, self.step(&name, line, work).await?))
                    }
                    .boxed(),
                );
            }
        }
        for (at, names) in self.all(steps).await? {
            makings.networks.entry(at).or_default().extend(names);
        }
        Ok(())
    }

    async fn make_bridge(&self, host: &Arc<dyn Host>, bridge: &BridgeStep) -> Result<(), String> {
        let name = format!("network {} on {}", bridge.name, host.name());
        let spec = NetworkSpec::isolated(&*bridge.name);
        let work = async { host.create_network(&spec).await.map(drop) };
        self.step(&name, Some(bridge.place.line), work).await
    }
}

/// Makes the networks of a topology. Returns which network goes by which name.
async fn set_up(
    host: &Arc<dyn Host>,
    topology: &Topology,
    private: &BTreeMap<String, u16>,
) -> Result<Names> {
    let entry = host.entry();
    let mut names = Names::new();
    let mut used: Vec<&str> = Vec::new();
    for physical in &topology.networks {
        let called = physical.name.as_deref().unwrap_or(physical.network.word());
        let network = if physical.is_primary_as_it_is() {
            primary(host.as_ref()).await?
        } else {
            let nics = choose_nics(entry, physical, &used)?;
            used.extend(nics.iter().map(|nic| nic.device.as_str()));
            connect(host, called, &nics, physical.bond).await?
        };
        // The first that is on a network of the lab is the one that goes by the lab's name.
        names.entry(physical.network.word().to_owned()).or_insert_with(|| network.name.clone());
        names.insert(called.to_owned(), network.name.clone());
        for vlan in &physical.vlans {
            let word = vlan.network.word();
            let tag = private.get(word).or_else(|| entry.vlans.get(word)).ok_or_else(|| {
                Error::lab(format!(
                    "the lab does not say the tag of the VLAN {word} on host {:?} (`vlans` of the \
                     host in the lab file)",
                    host.name()
                ))
            })?;
            let NetworkKind::Uplink(device) = &network.kind else {
                let problem = "it is on no network interface, so that it carries no VLANs";
                return Err(Error::invalid(format!("network {:?}", network.name), problem));
            };
            let called = vlan.name.as_deref().unwrap_or(word);
            let made = host.interfaces()?.create_vlan(called, device, *tag).await?;
            names.entry(word.to_owned()).or_insert_with(|| made.name.clone());
            names.insert(called.to_owned(), made.name);
        }
    }
    Ok(names)
}

/// Gives a host the addresses that a topology asks for, and its networks large frames. `names` are
/// the topology's networks.
pub(super) async fn set_addresses(
    host: &dyn Host,
    topology: &Topology,
    names: &Names,
) -> Result<()> {
    let network_of = |called: &str| {
        names.get(called).ok_or_else(|| Error::NotFound {
            kind: "network of the topology",
            name: called.to_owned(),
            known: names.keys().cloned().collect(),
        })
    };
    for physical in &topology.networks {
        let called = physical.name.as_deref().unwrap_or(physical.network.word());
        let network = network_of(called)?;
        if physical.jumbo {
            host.interfaces()?.set_mtu(network, JUMBO).await?;
        }
        if let Some(how) = physical.uses.storage.filter(|_| !physical.is_primary_as_it_is()) {
            let address = || static_address(host.entry(), physical.network.word());
            let how = match how {
                Addressing::Dhcp => HostAddressing::Dhcp,
                Addressing::Static => HostAddressing::Static(address()?),
            };
            host.interfaces()?.set_addressing(network, how).await?;
        }
        for vlan in physical.vlans.iter().filter(|vlan| vlan.uses.storage.is_some()) {
            let called = vlan.name.as_deref().unwrap_or(vlan.network.word());
            let how = HostAddressing::Dhcp;
            host.interfaces()?.set_addressing(network_of(called)?, how).await?;
        }
    }
    Ok(())
}

/// The network that the host's guests are on unless something else is said.
async fn primary(host: &dyn Host) -> Result<Network> {
    let own = host.entry().guest_network.as_ref().map(|network| network.network.clone());
    let name = own.ok_or_else(|| {
        Error::lab(format!(
            "the lab does not say the network of the guests of host {:?} (`guest_network`)",
            host.name()
        ))
    })?;
    let networks = host.networks().await?;
    let known = networks.iter().map(|network| network.name.clone()).collect();
    let found = networks.into_iter().find(|network| network.name == name);
    found.ok_or(Error::NotFound { kind: "network", name, known })
}

/// The interfaces of a physical network, without those that are used already.
fn choose_nics<'e>(
    entry: &'e HostEntry,
    physical: &PhysicalNetwork,
    used: &[&str],
) -> Result<Vec<&'e LabNic>> {
    let word = physical.network.word();
    let fits = |nic: &&LabNic| {
        let network = match &physical.network {
            NetworkRole::Any => nic.network != NetworkRole::Primary.word(),
            _ => nic.network == word,
        };
        network && physical.speed.is_none_or(|least| nic.speed.is_some_and(|own| own >= least))
    };
    let all: Vec<&LabNic> = entry.nics.iter().filter(fits).collect();
    let mut chosen: Vec<&LabNic> = Vec::new();
    let wanted: &[NicChoice] =
        if physical.nics.is_empty() { &[NicChoice::FirstFree] } else { &physical.nics };
    for choice in wanted {
        let free = |nic: &&&LabNic| {
            !used.contains(&nic.device.as_str()) && chosen.iter().all(|own| own != *nic)
        };
        let found = match choice {
            NicChoice::FirstFree => all.iter().find(free),
            NicChoice::Index(index) => {
                usize::try_from(*index).ok().and_then(|index| all.get(index)).filter(free)
            }
        };
        let nic = found.ok_or_else(|| {
            let speed = match physical.speed {
                Some(speed) => format!(" of {} Mbit/s at least", speed.as_bits() / 1_000_000),
                None => String::new(),
            };
            Error::lab(format!(
                "host {:?} has not enough interfaces{speed} on {word} in the lab: {} of {} are \
                 there; name them in `[[host.nics]]` of the lab file",
                entry.name,
                all.len(),
                wanted.len()
            ))
        })?;
        chosen.push(nic);
    }
    Ok(chosen)
}

/// The network of an interface, or of a bond of several; made where there is none.
async fn connect(
    host: &Arc<dyn Host>,
    called: &str,
    nics: &[&LabNic],
    bond: Option<BondMode>,
) -> Result<Network> {
    if let [nic] = nics {
        let kind = NetworkKind::Uplink(nic.device.clone());
        let there = host.networks().await?.into_iter().find(|network| network.kind == kind);
        return match there {
            Some(network) => Ok(network),
            None => host.create_network(&NetworkSpec { name: called.to_owned(), kind }).await,
        };
    }
    let devices: Vec<String> = nics.iter().map(|nic| nic.device.clone()).collect();
    let mode = bond.unwrap_or(BondMode::BalanceSlb);
    host.interfaces()?.create_bond(called, &devices, mode).await
}

fn static_address(entry: &HostEntry, network: &str) -> Result<InterfaceAddress> {
    let nic = entry.nics.iter().filter(|nic| nic.network == network).find_map(|nic| nic.address);
    nic.ok_or_else(|| {
        Error::lab(format!(
            "the lab has no address for host {:?} on {network} (`address` of its `[[host.nics]]` in \
             the lab file)",
            entry.name
        ))
    })
}

/// The network of a host that a guest of the file names.
pub(super) async fn network_for(host: &dyn Host, names: &Names, called: &str) -> Result<String> {
    if let Some(network) = names.get(called) {
        return Ok(network.clone());
    }
    // Without a topology the lab's names are understood all the same.
    if called == NetworkRole::Primary.word()
        && let Some(own) = &host.entry().guest_network
    {
        return Ok(own.network.clone());
    }
    if let Some(nic) = host.entry().nics.iter().find(|nic| nic.network == called) {
        let kind = NetworkKind::Uplink(nic.device.clone());
        let there = host.networks().await?.into_iter().find(|network| network.kind == kind);
        if let Some(network) = there {
            return Ok(network.name);
        }
    }
    Ok(called.to_owned())
}
