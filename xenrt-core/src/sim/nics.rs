//! Network interfaces of simulated hosts: VLANs, bonds and addresses.

use std::sync::Arc;

use async_trait::async_trait;

use super::error::refusal;
use super::fault::SimCall;
use super::host::SimHost;
use super::machine::{Machine, MachineState};
use super::networks::SimNetwork;
use super::world::draw;
use crate::model::{
    BondMode, Host, HostAddressing, Interface, Interfaces, MacAddress, Network, NetworkKind,
};
use crate::{Error, Result, ToolstackErrorKind};

/// The interface that each host is managed over.
pub(super) const MANAGEMENT: &str = "eth0";
/// The size of frames unless another is set (Ethernet).
const MTU: u32 = 1500;

/// What is set up of an interface; one that is physical is there without.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) device: String,
    addressing: HostAddressing,
    mtu: u32,
    /// The interfaces that it bonds.
    bonds: Vec<String>,
}

/// The network interfaces of a simulated host.
#[derive(Debug, Clone)]
pub(super) struct SimInterfaces(pub(super) SimHost);

impl SimInterfaces {
    fn refused(&self, what: &str, kind: ToolstackErrorKind, message: impl Into<String>) -> Error {
        refusal(kind, "set up", what, message)
    }

    /// Makes a network on a link that is new.
    fn connect(&self, state: &mut MachineState, name: &str, link: Link) -> Result<Network> {
        let what = format!("network {name:?}");
        if let Some(problem) = super::networks::name_problem(name) {
            return Err(Error::invalid(what, problem));
        }
        if state.networks.iter().any(|own| own.network.name == name) {
            return Err(Error::invalid(what, "that name is taken"));
        }
        let network = Network {
            name: name.to_owned(),
            kind: NetworkKind::Uplink(link.device.clone()),
            addresses: Vec::new(),
        };
        state.links.push(link);
        state.networks.push(SimNetwork { network: network.clone(), made: true });
        Ok(network)
    }

    fn change(&self, network: &str, change: impl FnOnce(&mut Link)) -> Result<()> {
        let machine = self.0.machine();
        let mut state = machine.state();
        let found = state.networks.iter().find(|own| own.network.name == network);
        let Some(NetworkKind::Uplink(device)) = found.map(|own| own.network.kind.clone()) else {
            let kind = ToolstackErrorKind::NoSuchObject;
            let what = format!("network {network:?}");
            return Err(self.refused(&what, kind, "it has no interface"));
        };
        if state.links.iter().all(|link| link.device != device) {
            state.links.push(Link::of(&device));
        }
        if let Some(link) = state.links.iter_mut().find(|link| link.device == device) {
            change(link);
        }
        Ok(())
    }
}

impl Link {
    fn of(device: &str) -> Self {
        let addressing = match device {
            MANAGEMENT => HostAddressing::Dhcp,
            _ => HostAddressing::None,
        };
        Self { device: device.to_owned(), addressing, mtu: MTU, bonds: Vec::new() }
    }
}

#[async_trait]
impl Interfaces for SimInterfaces {
    fn host(&self) -> &dyn Host {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Interfaces> {
        Arc::new(self.clone())
    }

    async fn list(&self) -> Result<Vec<Interface>> {
        let admitted = self.0.enter(SimCall::Interfaces, None).await?;
        let machine = self.0.machine();
        let state = machine.state();
        let mut links: Vec<Link> =
            machine.devices().iter().map(|device| Link::of(device)).collect();
        for link in &state.links {
            links.retain(|own| own.device != link.device);
            links.push(link.clone());
        }
        let interface = |(number, link): (u64, Link)| {
            let on = NetworkKind::Uplink(link.device.clone());
            let network = state.networks.iter().find(|own| own.network.kind == on);
            let drawn = draw(machine.world.seed, &[&machine.entry.name, "nic"], number);
            let [a, b, c, ..] = drawn.to_le_bytes();
            Interface {
                mac: MacAddress::new([0x52, 0x54, 0x00, a, b, c]),
                network: network.map(|own| own.network.name.clone()),
                management: link.device == MANAGEMENT,
                device: link.device,
                addressing: link.addressing,
                mtu: link.mtu,
            }
        };
        let listed = (0..).zip(links).map(interface).collect();
        drop(state);
        machine.answer(&admitted, SimCall::Interfaces, listed)
    }

    async fn request_vlan(&self, name: &str, device: &str, tag: u16) -> Result<Network> {
        let admitted = self.0.enter(SimCall::Interfaces, None).await?;
        let machine = self.0.machine();
        let what = format!("VLAN {tag} of {device}");
        let mut state = machine.state();
        let bonds = state.links.iter().any(|link| link.device == device && !link.bonds.is_empty());
        if !bonds && !machine.devices().iter().any(|own| own == device) {
            let kind = ToolstackErrorKind::NoSuchObject;
            return Err(self.refused(&what, kind, "there is no such interface"));
        }
        let own = format!("{device}.{tag}");
        if state.links.iter().any(|link| link.device == own) {
            let kind = ToolstackErrorKind::AlreadyExists;
            return Err(self.refused(&what, kind, "it is there already"));
        }
        let network = self.connect(&mut state, name, Link::of(&own))?;
        drop(state);
        machine.answer(&admitted, SimCall::Interfaces, network)
    }

    async fn request_bond(&self, name: &str, devices: &[String], _: BondMode) -> Result<Network> {
        let admitted = self.0.enter(SimCall::Interfaces, None).await?;
        let machine = self.0.machine();
        let what = format!("a bond of {}", devices.join(", "));
        let mut state = machine.state();
        for device in devices {
            if !machine.devices().contains(device) {
                let kind = ToolstackErrorKind::NoSuchObject;
                return Err(self.refused(&what, kind, format!("there is no interface {device}")));
            }
            let bonded = state.links.iter().any(|link| link.bonds.contains(device));
            let on = NetworkKind::Uplink(device.clone());
            if bonded || state.networks.iter().any(|own| own.network.kind == on) {
                let kind = ToolstackErrorKind::BadState;
                return Err(self.refused(&what, kind, format!("{device} is in use")));
            }
        }
        let number = (0..).find(|n| {
            let own = format!("bond{n}");
            state.links.iter().all(|link| link.device != own)
        });
        let device = format!("bond{}", number.unwrap_or_default());
        let link = Link { bonds: devices.to_vec(), ..Link::of(&device) };
        let network = self.connect(&mut state, name, link)?;
        drop(state);
        machine.answer(&admitted, SimCall::Interfaces, network)
    }

    async fn request_addressing(&self, network: &str, how: HostAddressing) -> Result<()> {
        let admitted = self.0.enter(SimCall::Interfaces, None).await?;
        if !admitted.ignore {
            self.change(network, |link| link.addressing = how)?;
        }
        self.0.machine().answer(&admitted, SimCall::Interfaces, ())
    }

    async fn request_mtu(&self, network: &str, mtu: u32) -> Result<()> {
        let admitted = self.0.enter(SimCall::Interfaces, None).await?;
        if !admitted.ignore {
            self.change(network, |link| link.mtu = mtu)?;
        }
        self.0.machine().answer(&admitted, SimCall::Interfaces, ())
    }
}

impl Machine {
    /// Its physical interfaces.
    pub(super) fn devices(&self) -> Vec<String> {
        let mut devices = vec![MANAGEMENT.to_owned(), super::catalogue::SPARE_INTERFACE.to_owned()];
        for nic in &self.entry.nics {
            if !devices.contains(&nic.device) {
                devices.push(nic.device.clone());
            }
        }
        devices
    }
}

impl MachineState {
    /// Takes away what was made for a network that is gone.
    pub(super) fn unlink(&mut self, network: &Network) {
        if let NetworkKind::Uplink(device) = &network.kind {
            self.links.retain(|link| link.device != *device);
        }
    }
}
