//! Networks of a simulated host: Linux bridges, as far as the model sees them.

use std::net::{IpAddr, Ipv4Addr};

use super::defect::Defect;
use super::error::refusal;
use super::machine::{Machine, MachineState};
use crate::model::{Network, NetworkKind, NetworkSpec};
use crate::{Error, Result, ToolstackErrorKind};

#[derive(Debug, Clone)]
pub(super) struct SimNetwork {
    pub(super) network: Network,
    /// Whether this library made it.
    pub(super) made: bool,
}

impl SimNetwork {
    pub(super) fn own_by_lab(name: &str, address: Ipv4Addr) -> Self {
        let kind = NetworkKind::Uplink("eth0".to_owned());
        let addresses = vec![IpAddr::V4(address)];
        Self { network: Network { name: name.to_owned(), kind, addresses }, made: false }
    }
}

/// Why `name` cannot be the name of a network interface (IFNAMSIZ, netdevice(7)).
pub(super) fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 15 {
        Some("the name of a bridge has 1 to 15 bytes")
    } else if name == "." || name == ".." || name.starts_with('-') {
        Some("that cannot be the name of a bridge")
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control() || "/:,%".contains(c)) {
        Some("the name of a bridge holds no white space, `/`, `:`, `,` or `%`")
    } else {
        None
    }
}

impl MachineState {
    pub(super) fn define_network(
        &mut self,
        machine: &Machine,
        spec: &NetworkSpec,
    ) -> Result<Network> {
        let what = format!("network {:?}", spec.name);
        if let Some(problem) = name_problem(&spec.name) {
            return Err(Error::invalid(what, problem));
        }
        let taken = self.networks.iter().any(|own| own.network.name == spec.name);
        if taken && !machine.has(Defect::NetworkAcceptsTakenName) {
            return Err(Error::invalid(what, "that name is taken"));
        }
        let mut kind = spec.kind.clone();
        if let NetworkKind::Uplink(uplink) = &spec.kind {
            if uplink == super::nics::MANAGEMENT || !machine.devices().contains(uplink) {
                let message = format!("there is no interface {uplink}");
                return Err(refusal(ToolstackErrorKind::NoSuchObject, "create", &what, message));
            }
            if self.networks.iter().any(|own| own.network.kind == spec.kind) {
                let message = format!("interface {uplink} is a port of another bridge");
                return Err(refusal(ToolstackErrorKind::BadState, "create", &what, message));
            }
            if machine.has(Defect::NetworkLosesUplink) {
                kind = NetworkKind::Isolated;
            }
        }
        let network = Network { name: spec.name.clone(), kind, addresses: Vec::new() };
        self.networks.push(SimNetwork { network: network.clone(), made: true });
        Ok(network)
    }

    pub(super) fn remove_network(&mut self, machine: &Machine, name: &str) -> Result<()> {
        let what = format!("network {name:?}");
        if let Some(problem) = name_problem(name) {
            return Err(Error::invalid(what, problem));
        }
        let Some(network) = self.networks.iter().find(|own| own.network.name == name) else {
            return Ok(());
        };
        let refused =
            |message: String| refusal(ToolstackErrorKind::BadState, "remove", &what, message);
        if !network.made {
            return Err(refused("it was not made by this library".to_owned()));
        }
        let uses = |vm: &&super::vm::Vm| {
            vm.domain.is_some() && vm.vifs.iter().any(|vif| vif.network == name)
        };
        if let Some(user) = self.vms.values().find(uses)
            && !machine.has(Defect::NetworkRemovedInUse)
        {
            return Err(refused(format!("guests still use it: {:?}", user.name)));
        }
        if !machine.has(Defect::NetworkStays) {
            let network = network.network.clone();
            self.unlink(&network);
            self.networks.retain(|own| own.network.name != name);
        }
        Ok(())
    }
}
