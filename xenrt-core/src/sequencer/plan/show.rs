//! A plan as people read it.

use std::fmt::{self, Write as _};

use super::{Plan, PlanBlock, PlanNode, PlannedCase};
use crate::seconds::Readable;
use crate::sequence::{
    BlockKind, Claim, GuestStep, HostChoice, Prepare, Rounds, StorageStep, Topology,
};
use crate::sequencer::PlannedTest;

/// The tree as people read it: preparation, then blocks and tests by indentation.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} tests", self.file, self.cases.len())?;
        show_prepare(f, &self.preprepare)?;
        show_prepare(f, &self.prepare)?;
        self.root.as_ref().map_or(Ok(()), |root| self.show(f, root, None, 1))
    }
}

fn show_prepare(f: &mut fmt::Formatter<'_>, prepare: &Prepare) -> fmt::Result {
    for host in &prepare.hosts {
        write!(f, "  host {}", host.name())?;
        if let Some(alias) = &host.alias {
            write!(f, " ({alias})")?;
        }
        writeln!(f)?;
        host.bridges.iter().try_for_each(|bridge| writeln!(f, "    network {}", bridge.name))?;
        show_networks(f, host.topology.as_ref())?;
        host.storage.iter().try_for_each(|storage| show_storage(f, storage))?;
        host.templates.iter().try_for_each(|guest| show_guest(f, "template", guest))?;
        host.guests.iter().try_for_each(|guest| show_guest(f, "guest", guest))?;
    }
    for pool in &prepare.pools {
        writeln!(f, "  pool {} of {} hosts", pool.name(), pool.hosts.len())?;
        pool.bridges.iter().try_for_each(|bridge| writeln!(f, "    network {}", bridge.name))?;
        show_networks(f, pool.topology.as_ref())?;
        pool.storage.iter().try_for_each(|storage| show_storage(f, storage))?;
        pool.templates.iter().try_for_each(|guest| show_guest(f, "template", guest))?;
        pool.guests.iter().try_for_each(|guest| show_guest(f, "guest", guest))?;
    }
    let shared = prepare.shared_hosts.iter().flat_map(|shared| &shared.guests);
    for (number, guest) in shared.enumerate() {
        if number == 0 {
            writeln!(f, "  host that other runs use too")?;
        }
        show_guest(f, "guest", guest)?;
    }
    Ok(())
}

fn show_networks(f: &mut fmt::Formatter<'_>, topology: Option<&Topology>) -> fmt::Result {
    for physical in topology.into_iter().flat_map(|topology| &topology.networks) {
        let word = physical.network.word();
        let bond = match physical.nics.len() {
            0 | 1 => String::new(),
            n => format!(" on a bond of {n}"),
        };
        writeln!(f, "    network {}{bond}", physical.name.as_deref().unwrap_or(word))?;
        for vlan in &physical.vlans {
            let word = vlan.network.word();
            writeln!(f, "      VLAN {}", vlan.name.as_deref().unwrap_or(word))?;
        }
    }
    Ok(())
}

fn show_storage(f: &mut fmt::Formatter<'_>, storage: &StorageStep) -> fmt::Result {
    let default = if storage.is_default { ", the default" } else { "" };
    writeln!(f, "    storage {} ({}){default}", storage.name, storage.kind.name())
}

fn show_guest(f: &mut fmt::Formatter<'_>, what: &str, guest: &GuestStep) -> fmt::Result {
    write!(f, "    {what} {} from {}", guest.name, guest.distro)?;
    let mut then = ", then ";
    for after in &guest.after_install {
        write!(f, "{then}{}", after.action.name())?;
        then = ", ";
    }
    writeln!(f)
}

impl Plan {
    fn show(
        &self,
        f: &mut fmt::Formatter<'_>,
        block: &PlanBlock,
        word: Option<&str>,
        depth: usize,
    ) -> fmt::Result {
        let indent = depth * 2;
        let kind = match block.kind {
            BlockKind::Serial => word.unwrap_or("serial").to_owned(),
            BlockKind::Parallel { workers: None } => "parallel".to_owned(),
            BlockKind::Parallel { workers: Some(workers) } => {
                format!("parallel, {workers} at once")
            }
        };
        writeln!(f, "{:indent$}{kind}{}", "", block_details(block))?;
        let indent = indent + 2;
        for step in &block.steps {
            match step {
                PlanNode::Block(inner) => self.show(f, inner, None, depth + 1)?,
                PlanNode::Action(action) => writeln!(f, "{:indent$}{}", "", action.name())?,
                PlanNode::Test(index) => {
                    let case = &self.cases[index.0 as usize];
                    let PlannedTest { id, arguments, .. } = case.planned.as_ref();
                    write!(f, "{:indent$}{}", "", case.planned.label())?;
                    if case.planned.label() != *id {
                        write!(f, " [{id}]")?;
                    }
                    if !arguments.is_empty() {
                        write!(f, " {}", arguments.join(" "))?;
                    }
                    writeln!(f, "{}", self.test_details(case))?;
                }
            }
        }
        block.finally.iter().try_for_each(|inner| self.show(f, inner, Some("finally"), depth + 1))
    }

    fn test_details(&self, case: &PlannedCase) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        match &case.host {
            Some(HostChoice::Named(host)) => drop(write!(text, ", on {host}")),
            Some(HostChoice::Any) => text.push_str(", on any host"),
            None => {}
        }
        if let Some(guest) = &case.guest {
            let _ = write!(text, ", guest {guest}");
        }
        match case.claim {
            Some(Claim::Exclusive) => text.push_str(", for itself"),
            Some(Claim::Shared) => text.push_str(", beside others"),
            None => {}
        }
        for depends in &case.depends {
            let _ = write!(text, ", after {}", self.cases[depends.0 as usize].planned.label());
        }
        if let Some(timeout) = case.timeout {
            let _ = write!(text, ", timeout {}", Readable(timeout));
        }
        if let Some(retries) = case.retries.filter(|retries| *retries > 0) {
            let _ = write!(text, ", retries {retries}");
        }
        rounds(&mut text, case.rounds);
        if case.blocker {
            text.push_str(", blocker");
        }
        text
    }
}

fn block_details(block: &PlanBlock) -> String {
    let mut text = String::new();
    if let Some(timeout) = block.timeout {
        let _ = write!(text, ", timeout {}", Readable(timeout));
    }
    rounds(&mut text, block.rounds);
    if let Some(seed) = block.seed {
        let _ = write!(text, ", shuffled with seed {seed}");
    }
    if block.blocker {
        text.push_str(", blocker");
    }
    text
}

fn rounds(text: &mut String, rounds: Rounds) {
    if let Some(times) = rounds.times.filter(|times| *times > 1) {
        let _ = write!(text, ", {times} times");
    }
    if let Some(duration) = rounds.duration {
        let _ = write!(text, ", for {}", Readable(duration));
    }
}
