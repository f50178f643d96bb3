//! What a preparation asks of its hosts' toolstacks, looked at before anything is built.

use super::Preparation;
use crate::model::Ability;
use crate::sequence::{GuestStep, Prepare, StorageChoice, StorageStep, Topology};
use crate::sequencer::resources::Resources;

/// What one host must be able to do, and for what.
struct Need {
    host: usize,
    ability: Ability,
    what: String,
    line: u32,
}

impl Preparation {
    /// Nothing, where every host can do what the file asks of it.
    ///
    /// # Errors
    /// All that cannot be done, in the order of the file, with its line.
    pub(super) fn can_be_made(&self, resources: &Resources) -> Result<(), String> {
        let mut needs: Vec<Need> = self.parts.iter().flat_map(|part| self.needs(part)).collect();
        needs.sort_by_key(|need| need.line);
        let problem = |need: &Need| {
            let host = &resources.hosts[need.host].host;
            let error = host.require(need.ability).err()?;
            let (what, name, line) = (&need.what, host.name(), need.line);
            Some(format!("{what} cannot be made on {name} ({}:{line}): {error}", self.file))
        };
        let problems: Vec<String> = needs.iter().filter_map(problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }

    fn needs(&self, part: &Prepare) -> Vec<Need> {
        let mut needs = Vec::new();
        for host in &part.hosts {
            let at = self.position(host.id);
            storage(&mut needs, at, &host.storage);
            topology(&mut needs, at, host.topology.as_ref());
            guests(&mut needs, at, &host.guests);
            guests(&mut needs, at, &host.templates);
        }
        for (number, pool) in part.pools.iter().enumerate() {
            let positions = self.pool_positions(part, number);
            let Some(master) = positions.first().copied() else { continue };
            storage(&mut needs, master, &pool.storage);
            topology(&mut needs, master, pool.topology.as_ref());
            guests(&mut needs, master, &pool.guests);
            guests(&mut needs, master, &pool.templates);
            if positions.len() > 1 {
                needs.extend(positions.iter().map(|host| Need {
                    host: *host,
                    ability: Ability::Pool,
                    what: format!("<pool> {}", pool.name()),
                    line: pool.place.line,
                }));
            }
        }
        needs
    }
}

fn storage(needs: &mut Vec<Need>, host: usize, steps: &[StorageStep]) {
    needs.extend(steps.iter().map(|step| Need {
        host,
        ability: Ability::Storage,
        what: format!("<storage name={:?}>", &*step.name),
        line: step.place.line,
    }));
}

fn topology(needs: &mut Vec<Need>, host: usize, topology: Option<&Topology>) {
    let Some(topology) = topology else { return };
    for physical in &topology.networks {
        let mut need = |ability, what: &str, line| {
            let what = format!("{what} of <NETWORK>");
            needs.push(Need { host, ability, what, line });
        };
        let line = physical.place.line;
        if physical.nics.len() > 1 {
            need(Ability::Interfaces, "a bond", line);
        }
        if physical.jumbo {
            need(Ability::Interfaces, "`jumbo`", line);
        }
        if !physical.is_primary_as_it_is() {
            need(Ability::Networks, "<PHYSICAL>", line);
        }
        let vlans = physical.vlans.iter();
        vlans.clone().for_each(|vlan| need(Ability::Interfaces, "<VLAN>", vlan.place.line));
        let stores = physical.uses.storage.is_some() && !physical.is_primary_as_it_is();
        if stores {
            need(Ability::Interfaces, "<STORAGE>", line);
        }
    }
}

fn guests(needs: &mut Vec<Need>, host: usize, steps: &[GuestStep]) {
    let stored = |step: &&GuestStep| matches!(&step.storage, Some(choice) if !matches!(choice, StorageChoice::Type(_)));
    needs.extend(steps.iter().filter(stored).map(|step| Need {
        host,
        ability: Ability::Storage,
        what: format!("<storage> of the guest {:?}", step.name),
        line: step.place.line,
    }));
}
