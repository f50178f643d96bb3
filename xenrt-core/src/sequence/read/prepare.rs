//! `<prepare>` and `<preprepare>`: hosts, pools and what else is built before the tests.

use super::reader::{FastMap, FastSet, Named, Reader};
use super::storage::StorageNames;
use super::value::MOST_HINTED;
use crate::nearest::hint;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::model::Word as Text;
use crate::sequence::syntax::{NodeId, Span};
use crate::sequence::vocabulary::{Attr, Word};
use crate::sequence::{AllHostsStep, HostStep, PoolStep, Prepare, PrivateVlan, SharedHostStep};

/// What is known while one `<prepare>` is read.
#[derive(Debug, Default)]
pub(super) struct Building {
    pub(super) prepare: Prepare,
    /// Names of hosts with their index; `None` for those of an `<allhosts>`.
    pub(super) hosts: FastMap<String, (Option<usize>, Named)>,
    pools: FastMap<String, Named>,
    vlans: FastMap<Text, Named>,
    pub(super) guests: FastMap<Text, Named>,
    pub(super) storage: StorageNames,
}

impl Reader<'_> {
    pub(super) fn prepare(&mut self, node: NodeId) -> Prepare {
        let unit = self.unit();
        let mut building = Building::default();
        for child in unit.tree.elements(node) {
            let at = unit.tree.at(child);
            if self.filtered(child) || !self.take_step(at) {
                continue;
            }
            match unit.tree.word(child) {
                Word::Pool => self.pool(child, &mut building),
                Word::Host => {
                    self.host(child, &mut building);
                }
                Word::Allhosts => self.all_hosts(child, None, &mut building),
                Word::Sharedhost => self.shared_host(child, &mut building),
                Word::PrivateVlan => self.private_vlan(child, &mut building),
                Word::Cloud => {
                    let cloud = self.cloud(child);
                    building.prepare.clouds.extend(cloud);
                }
                word @ (Word::CloudTemplate | Word::CloudInstance) => {
                    let machine = self.cloud_machine(child, word);
                    building.prepare.cloud_machines.push(machine);
                }
                Word::Blueprint => {
                    let blueprint = self.blueprint(child);
                    building.prepare.blueprints.extend(blueprint);
                }
                _ => {}
            }
        }
        building.resolve_storage();
        self.names.guests.extend(building.guests);
        building.prepare
    }

    fn pool(&mut self, node: NodeId, building: &mut Building) {
        let unit = self.unit();
        let at = unit.tree.at(node);
        let id = self.number(node, Attr::Id).unwrap_or(0);
        let mut pool = PoolStep::new(id, self.place(at));
        let first = building.pools.insert(pool.name(), self.named(at));
        if let Some(first) = first {
            let what = format!("pool with the id {id}");
            self.again(&what, at, first, "give each pool its own id; without `id` it is 0");
        }
        if let Some(name) = self.attribute(node, Attr::Name) {
            let name_at = name.at;
            let name = name.trimmed().to_owned();
            let first = building.pools.insert(name.clone(), self.named(name_at));
            if let Some(first) = first {
                let what = format!("pool called {name:?}");
                self.again(&what, name_at, first, "give each its own name");
            }
            pool.alias = Some(name);
        }
        pool.ssl = self.flag(node, Attr::Ssl).unwrap_or(false);
        let index = building.prepare.pools.len();
        building.prepare.pools.push(pool);
        // Hosts first, whatever stands before them.
        for child in unit.tree.elements(node) {
            if self.filtered(child) || !self.take_step(unit.tree.at(child)) {
                continue;
            }
            match unit.tree.word(child) {
                Word::Host => {
                    let host = self.host(child, building);
                    building.prepare.pools[index].hosts.push(host);
                }
                Word::Allhosts => self.all_hosts(child, Some(index), building),
                _ => {}
            }
        }
        let master = self.master(node, building);
        let to_come = match master {
            None => self
                .attribute(node, Attr::Master)
                .and_then(|value| HostStep::number_of(value.trimmed()).filter(|_| value.settled)),
            Some(_) => None,
        };
        let pool = &mut building.prepare.pools[index];
        pool.master_to_come = to_come;
        pool.master = master.or_else(|| pool.hosts.first().copied());
        for child in unit.tree.elements(node) {
            if self.filtered(child) || self.exhausted {
                continue;
            }
            let mut content = Content::default();
            self.content(child, &mut content, building);
            let pool = &mut building.prepare.pools[index];
            let Content { guests, templates, storage, bridges, topology } = content;
            pool.guests.extend(guests);
            pool.templates.extend(templates);
            pool.storage.extend(storage);
            pool.bridges.extend(bridges);
            if let Some(topology) = topology {
                if pool.topology.is_some() {
                    self.second_topology(child);
                } else {
                    pool.topology = Some(topology);
                }
            }
        }
    }

    fn master(&mut self, node: NodeId, building: &Building) -> Option<usize> {
        let value = self.attribute(node, Attr::Master)?;
        if !value.settled {
            return None;
        }
        let name = value.trimmed();
        match building.hosts.get(name) {
            Some((index, _)) => *index,
            // One that an <allhosts> may make.
            None if Covered::of(&building.prepare.all_hosts).has(name) => None,
            None => {
                let message = format!("no host is called {name:?}");
                let known = building.hosts.keys().map(String::as_str).take(MOST_HINTED);
                let help = hint(name, known);
                let problem = self
                    .problem(DiagnosticKind::DanglingReference, value.at, message)
                    .help("expected the RESOURCE_HOST_<id> or alias of a <host> before it")
                    .help(help.trim_start_matches("; ").to_owned());
                self.push_lenient(problem);
                None
            }
        }
    }

    fn all_hosts(&mut self, node: NodeId, pool: Option<usize>, building: &mut Building) {
        let first = self.number(node, Attr::Start).unwrap_or(0);
        let last: Option<u32> = self.number(node, Attr::Stop);
        let at = self.unit().tree.at(node);
        if last.is_some_and(|last| last < first) {
            let message = "`stop` is below `start`";
            let problem = self.problem(DiagnosticKind::InvalidValue, at, message);
            self.push_lenient(problem.help("both are numbers of machines, and both are meant"));
        }
        let mut host = HostStep::new(first, self.place(at));
        self.describe_host(node, &mut host, building);
        building.prepare.all_hosts.push(AllHostsStep { first, last, host, pool });
    }

    fn shared_host(&mut self, node: NodeId, building: &mut Building) {
        let unit = self.unit();
        let mut shared =
            SharedHostStep { guests: Vec::new(), place: self.place(unit.tree.at(node)) };
        for child in unit.tree.elements(node) {
            if unit.tree.word(child) == Word::Vm && !self.filtered(child) {
                let guest = self.guest(child, building);
                shared.guests.extend(guest);
            }
        }
        building.prepare.shared_hosts.push(shared);
    }

    fn private_vlan(&mut self, node: NodeId, building: &mut Building) {
        let Some(value) = self.attribute(node, Attr::Name) else { return };
        let name = self.word(&value);
        let first = building.vlans.insert(name.clone(), self.named(value.at));
        if let Some(first) = first {
            let what = format!("VLAN called {:?}", &*name);
            self.again(&what, value.at, first, "give each its own name");
        }
        let place = self.place(self.unit().tree.at(node));
        building.prepare.vlans.push(PrivateVlan { name, place });
    }

    /// A child of a host or pool that is not a host.
    pub(super) fn content(&mut self, node: NodeId, into: &mut Content, building: &mut Building) {
        match self.unit().tree.word(node) {
            Word::Vm => {
                let guest = self.guest(node, building);
                into.guests.extend(guest);
            }
            Word::Template => {
                let template = self.guest(node, building);
                into.templates.extend(template);
            }
            Word::Vmgroup => {
                let group = self.guest_group(node, building);
                into.guests.extend(group);
            }
            Word::Storage => {
                let storage = self.storage(node, building);
                into.storage.extend(storage);
            }
            Word::Bridge => into.bridges.extend(self.bridge(node)),
            Word::Topology => into.topology = Some(self.topology(node)),
            _ => {}
        }
    }

    /// As the original, which took the first alone.
    pub(super) fn second_topology(&mut self, node: NodeId) {
        let at = self.unit().tree.at(node);
        let problem = self.problem(DiagnosticKind::Duplicate, at, "a second <NETWORK>");
        self.push_lenient(problem.help("put all of it into one; the first counts"));
    }

    pub(super) fn host_named(
        &mut self,
        name: String,
        index: Option<usize>,
        at: Span,
        building: &mut Building,
    ) -> Option<Named> {
        let named = self.named(at);
        building.hosts.insert(name, (index, named)).map(|(_, first)| first)
    }
}

/// What a host or pool has, of one child.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) guests: Vec<crate::sequence::GuestStep>,
    pub(super) templates: Vec<crate::sequence::GuestStep>,
    pub(super) storage: Vec<crate::sequence::StorageStep>,
    pub(super) bridges: Vec<crate::sequence::BridgeStep>,
    pub(super) topology: Option<crate::sequence::Topology>,
}

/// The machines that some `<allhosts>` mean.
pub(super) struct Covered {
    /// From this one on all.
    from: Option<u32>,
    some: FastSet<u32>,
}

impl Covered {
    pub(super) fn of<'a>(all: impl IntoIterator<Item = &'a AllHostsStep>) -> Self {
        let (mut from, mut ranges) = (None, Vec::new());
        for all in all {
            match all.last {
                None => from = Some(from.map_or(all.first, |from: u32| from.min(all.first))),
                Some(last) => ranges.push((all.first, last)),
            }
        }
        // One after the other, so that no machine is looked at twice.
        ranges.sort_unstable();
        let (mut some, mut next) = (FastSet::default(), 0);
        for (first, last) in ranges {
            some.extend(first.max(next)..=last);
            next = next.max(last.saturating_add(1));
        }
        Self { from, some }
    }

    /// Whether a name is that of one of them.
    pub(super) fn has(&self, name: &str) -> bool {
        let number = name.strip_prefix("RESOURCE_HOST_").and_then(|number| number.parse().ok());
        number.is_some_and(|number| {
            self.from.is_some_and(|from| number >= from) || self.some.contains(&number)
        })
    }
}
