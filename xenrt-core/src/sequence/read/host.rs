//! `<host>` and what is installed on it.

use super::prepare::{Building, Content};
use super::reader::Reader;
use crate::model::Memory;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::syntax::{self, NodeId};
use crate::sequence::values::{list, parse_bool};
use crate::sequence::vocabulary::Attr;
use crate::sequence::{
    Addressing, CpuGovernor, HostInstall, HostStep, Ipv6Addressing, License, LocalStorage,
    NestedHost, NetworkRole, ProductType, StorageType,
};

/// The build of the run, in `version` and `productVersion`.
const OF_THE_RUN: &str = "DEFAULT";

impl Reader<'_> {
    /// A host into the list of all; gives its index.
    pub(super) fn host(&mut self, node: NodeId, building: &mut Building) -> usize {
        let at = self.unit().tree.at(node);
        let given = self.attribute(node, Attr::Id);
        let id_at = given.map_or(at, |value| value.at);
        let id = self.number(node, Attr::Id).unwrap_or(0);
        let index = building.prepare.hosts.len();
        let mut host = HostStep::new(id, self.place(at));
        if let Some(first) = self.host_named(host.name(), Some(index), id_at, building) {
            let what = format!("host with the id {id}");
            self.again(&what, id_at, first, "give each host its own id; without `id` it is 0");
        }
        if let Some(alias) = self.attribute(node, Attr::Alias) {
            let (name, alias_at) = (alias.trimmed().to_owned(), alias.at);
            if alias.settled
                && let Some(first) = self.host_named(name.clone(), Some(index), alias_at, building)
            {
                let what = format!("host called {name:?}");
                self.again(&what, alias_at, first, "give each its own alias");
            }
            host.alias = Some(name);
        }
        building.prepare.hosts.push(host.clone());
        self.describe_host(node, &mut host, building);
        building.prepare.hosts[index] = host;
        index
    }

    /// All but its number and names.
    pub(super) fn describe_host(
        &mut self,
        node: NodeId,
        host: &mut HostStep,
        building: &mut Building,
    ) {
        host.is_default = self.flag(node, Attr::Default).unwrap_or(false);
        // Most hosts are just there.
        if self.unit().tree.attributes(node).len() > 1 {
            host.install = self.install(node);
            host.nested = self.nested(node);
        } else if let [only] = self.unit().tree.attributes(node)
            && only.name != Some(Attr::Id)
        {
            host.install = self.install(node);
            host.nested = self.nested(node);
        }
        let unit = self.unit();
        for child in unit.tree.elements(node) {
            if self.filtered(child) || !self.take_step(unit.tree.at(child)) {
                continue;
            }
            let mut content = Content::default();
            self.content(child, &mut content, building);
            let Content { guests, templates, storage, bridges, topology } = content;
            host.guests.extend(guests);
            host.templates.extend(templates);
            host.storage.extend(storage);
            host.bridges.extend(bridges);
            if let Some(topology) = topology {
                if host.topology.is_some() {
                    self.second_topology(child);
                } else {
                    host.topology = Some(topology);
                }
            }
        }
    }

    fn install(&mut self, node: NodeId) -> HostInstall {
        let of_the_run = |version: String| (version != OF_THE_RUN).then_some(version);
        let sr = [("ext", LocalStorage::Ext), ("lvm", LocalStorage::Lvm)];
        let ipv6 = [
            ("autoconf", Ipv6Addressing::Autoconf),
            ("dhcp", Ipv6Addressing::Dhcp),
            ("static", Ipv6Addressing::Static),
        ];
        let governors = [
            ("userspace", CpuGovernor::Userspace),
            ("performance", CpuGovernor::Performance),
            ("powersave", CpuGovernor::Powersave),
            ("ondemand", CpuGovernor::Ondemand),
        ];
        let packs = self.string(node, Attr::Suppackcds);
        let install = HostInstall {
            product: self.choice(node, Attr::ProductType, &ProductType::WORDS, true),
            product_version: self.string(node, Attr::ProductVersion).and_then(of_the_run),
            version: self.string(node, Attr::Version).and_then(of_the_run),
            local_storage: self.choice(node, Attr::Installsr, &sr, false),
            ipv4: match self.flag(node, Attr::Dhcp) {
                Some(false) => Addressing::Static,
                _ => Addressing::Dhcp,
            },
            ipv6: self.choice(node, Attr::Ipv6, &ipv6, false),
            without_ipv4: self.flag(node, Attr::Noipv4).unwrap_or(false),
            disks: self.number(node, Attr::DiskCount),
            license: self.license(node),
            default_license: self.flag(node, Attr::Defaultlicense),
            without_isos: self.flag(node, Attr::Noisos),
            supplemental_packs: packs
                .map(|packs| list(&packs).map(str::to_owned).collect())
                .unwrap_or_default(),
            iommu: self.flag(node, Attr::Iommu).unwrap_or(false),
            disable_firewall: self.flag(node, Attr::Disablefw),
            cpu_governor: self.choice(node, Attr::Cpufreqgovernor, &governors, false),
            extra: self.extra(node),
        };
        if install.without_ipv4 && install.ipv6.is_none() {
            let at = self.unit().tree.at(node);
            let message = "`noipv4` without `ipv6`";
            let problem = self.problem(DiagnosticKind::InvalidValue, at, message);
            self.push_lenient(problem.help("a host needs an address: add `ipv6`"));
        }
        install
    }

    /// `license`: yes, no or an edition. The original looked at the first letter alone.
    fn license(&mut self, node: NodeId) -> License {
        let Some(value) = self.attribute(node, Attr::License) else { return License::Unsaid };
        let text = value.trimmed();
        let license = match text.to_ascii_lowercase().as_str() {
            "yes" | "y" | "true" | "t" | "1" => License::Default,
            "no" | "n" | "false" | "f" | "0" => License::None,
            _ => License::Edition(text.to_owned()),
        };
        if matches!(license, License::Edition(_))
            && value.settled
            && let Some(flag) = parse_bool(text)
        {
            let message = format!("`license` is read as the edition {text:?}");
            let meant = if flag { "the default licence" } else { "no licence" };
            let problem = self.problem(DiagnosticKind::ReadOtherwise, value.at, message);
            self.push(problem.warning().help(format!(
                "the original took it for {meant}; if that is meant, write {}",
                if flag { "\"yes\"" } else { "\"no\"" }
            )));
        }
        license
    }

    fn extra(&mut self, node: NodeId) -> Option<serde_json::Value> {
        let value = self.attribute(node, Attr::ExtraConfig)?;
        if !value.settled {
            return None;
        }
        match syntax::parse_yaml(&value.text) {
            Ok(extra) => Some(extra.to_json()),
            Err(error) => {
                let message = format!("`extraConfig` is not YAML: {}", error.message);
                let at = value.part(error.at..error.at);
                let problem = self.problem(DiagnosticKind::InvalidValue, at, message);
                self.push(problem);
                None
            }
        }
    }

    fn nested(&mut self, node: NodeId) -> Option<NestedHost> {
        let container = self.attribute(node, Attr::Container)?;
        let networks = self.string(node, Attr::Vnetworks);
        Some(NestedHost {
            container: self.number(node, Attr::Container)?,
            name: self.shared(node, Attr::Vname),
            vcpus: self.number(node, Attr::Vcpus),
            memory: self.number(node, Attr::Vmemory).map(|mib: u64| Memory::mib(mib)),
            disk: self.number(node, Attr::Vdisksize).map(|gib: u64| Memory::gib(gib)),
            storage: self.choice(node, Attr::Vsr, &StorageType::WORDS, true),
            networks: networks
                .map(|networks| list(&networks).map(NetworkRole::from_word).collect())
                .unwrap_or_default(),
            place: self.place(container.at),
        })
    }
}
