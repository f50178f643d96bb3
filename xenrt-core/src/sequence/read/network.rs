//! `<NETWORK>` and `<bridge>`.

use super::reader::{Reader, Referred};
use crate::model::BondMode;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::syntax::NodeId;
use crate::sequence::values::parse_speed;
use crate::sequence::vocabulary::{Attr, Kind, Word};
use crate::sequence::{
    Addressing, BridgeStep, NetworkRole, NetworkUses, NicChoice, PhysicalNetwork, Topology,
    VlanNetwork,
};

/// The VLAN that the original took where a file gives none.
const DEFAULT_VLAN: &str = "VR01";

impl Reader<'_> {
    pub(super) fn bridge(&mut self, node: NodeId) -> Option<BridgeStep> {
        let place = self.place(self.unit().tree.at(node));
        if let Some(attribute) = self.unit().tree.attribute(node, Attr::Type) {
            let at = attribute.name_at;
            let message = "`type` of <bridge> changes nothing";
            let problem = self.problem(DiagnosticKind::NoEffect, at, message);
            self.push(problem.warning().help("remove it"));
        }
        Some(BridgeStep { name: self.shared(node, Attr::Name)?, place })
    }

    pub(super) fn topology(&mut self, node: NodeId) -> Topology {
        let unit = self.unit();
        let controller = self.attribute(node, Attr::Controller).map(|value| {
            let name = self.word(&value);
            if value.settled {
                self.refer(Referred::Guest, &name, &value);
            }
            name
        });
        let mut networks = Vec::new();
        for child in unit.tree.elements(node) {
            let wanted = unit.tree.word(child) == Word::Physical && !self.filtered(child);
            if wanted && self.take_step(unit.tree.at(child)) {
                networks.push(self.physical(child));
            }
        }
        Topology { controller, networks, place: self.place(unit.tree.at(node)) }
    }

    fn physical(&mut self, node: NodeId) -> PhysicalNetwork {
        let unit = self.unit();
        let bonds = [
            ("balance-slb", BondMode::BalanceSlb),
            ("active-backup", BondMode::ActiveBackup),
            ("lacp", BondMode::Lacp),
        ];
        let mut network = PhysicalNetwork {
            network: self
                .string(node, Attr::Network)
                .map_or(NetworkRole::Primary, |word| NetworkRole::from_word(&word)),
            name: self.shared(node, Attr::Name),
            jumbo: self.flag(node, Attr::Jumbo).unwrap_or(false),
            speed: self.speed(node),
            bond: self.choice(node, Attr::BondMode, &bonds, false),
            nics: Vec::new(),
            uses: NetworkUses::default(),
            vlans: Vec::new(),
            place: self.place(unit.tree.at(node)),
        };
        for child in unit.tree.elements(node) {
            if self.filtered(child) || !self.take_step(unit.tree.at(child)) {
                continue;
            }
            match unit.tree.word(child) {
                Word::Nic => {
                    let index = self.number(child, Attr::Enum);
                    network.nics.push(index.map_or(NicChoice::FirstFree, NicChoice::Index));
                }
                Word::Vlan => network.vlans.push(self.vlan(child)),
                word => self.uses(child, word, &mut network.uses),
            }
        }
        if network.nics.is_empty() {
            let at = unit.tree.at(node);
            let message = "a <PHYSICAL> without <NIC>";
            let problem = self.problem(DiagnosticKind::NoEffect, at, message);
            self.push(problem.warning().help("without a network interface nothing is on it"));
        }
        network
    }

    fn vlan(&mut self, node: NodeId) -> VlanNetwork {
        let unit = self.unit();
        let network = self.string(node, Attr::Network);
        let mut vlan = VlanNetwork {
            network: NetworkRole::from_word(network.as_deref().unwrap_or(DEFAULT_VLAN)),
            name: self.shared(node, Attr::Name),
            uses: NetworkUses::default(),
            place: self.place(unit.tree.at(node)),
        };
        for child in unit.tree.elements(node) {
            if !self.filtered(child) {
                self.uses(child, unit.tree.word(child), &mut vlan.uses);
            }
        }
        vlan
    }

    fn uses(&mut self, node: NodeId, word: Word, uses: &mut NetworkUses) {
        match word {
            Word::Management => uses.management = Some(self.mode(node)),
            Word::StorageUse => uses.storage = Some(self.mode(node)),
            Word::GuestUse => uses.guests = true,
            _ => {}
        }
    }

    fn mode(&mut self, node: NodeId) -> Addressing {
        let modes = [("dhcp", Addressing::Dhcp), ("static", Addressing::Static)];
        self.choice(node, Attr::Mode, &modes, false).unwrap_or_default()
    }

    fn speed(&mut self, node: NodeId) -> Option<crate::sequence::LinkSpeed> {
        let value = self.attribute(node, Attr::Speed)?;
        if !value.settled {
            return None;
        }
        let speed = parse_speed(&value.text);
        if speed.is_none() {
            let problem = self.invalid(&value, &"`speed`", &Kind::Speed.expected());
            self.push_lenient(problem);
        }
        speed
    }
}
