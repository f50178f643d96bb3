//! What would be skipped on which hosts.

use super::{Plan, PlannedCase};
use crate::model::{Abilities, Host};
use crate::sequence::{HostChoice, Word};
use crate::sequencer::{PlannedTest, TestIndex};

/// What a plan has to know of a host of a run to say what would be skipped on it.
#[derive(Debug, Clone)]
pub struct PlanHost {
    /// What the lab calls it.
    pub name: String,
    /// The name of its toolstack.
    pub toolstack: String,
    /// What it can do.
    pub abilities: Abilities,
}

impl From<&dyn Host> for PlanHost {
    fn from(host: &dyn Host) -> Self {
        Self {
            name: host.name().to_owned(),
            toolstack: host.toolstack().to_owned(),
            abilities: host.abilities().clone(),
        }
    }
}

impl Plan {
    /// The tests that a run on these hosts would skip, with the reasons: before anything is built,
    /// and the same that the run does. The hosts are those that the lab would give for the
    /// sequence's, in their order.
    pub fn skips(&self, hosts: &[PlanHost]) -> Vec<(TestIndex, &PlannedTest, String)> {
        let found = HostsFound {
            count: hosts.len(),
            position: &|name| {
                let of_file = self
                    .prepare
                    .hosts
                    .iter()
                    .position(|step| step.names().iter().any(|own| own == name));
                of_file.or_else(|| hosts.iter().position(|host| host.name == *name))
            },
            lacks: &|at, case| lacks(&hosts[at], case),
        };
        let cases = (0..).map(TestIndex).zip(self.cases.iter());
        let skipped = cases.filter_map(|(index, case)| {
            reason_to_skip(case, &found).map(|reason| (index, case.planned.as_ref(), reason))
        });
        skipped.collect()
    }

    /// Whether it makes guests on one more host, which other runs may use too.
    pub fn shares_a_host(&self) -> bool {
        [&self.preprepare, &self.prepare].iter().any(|part| !part.shared_hosts.is_empty())
    }

    /// How many hosts of its own it takes.
    pub fn hosts(&self) -> usize {
        let only_before = self
            .preprepare
            .hosts
            .iter()
            .filter(|host| self.prepare.hosts.iter().all(|other| other.id != host.id));
        self.prepare.hosts.len() + only_before.count()
    }
}

fn lacks(host: &PlanHost, case: &PlannedCase) -> Option<String> {
    let mut needed = case.abilities();
    let error =
        needed.find_map(|ability| host.abilities.require(&host.toolstack, ability).err())?;
    Some(format!("host {}: {error}", host.name))
}

/// The hosts of a run, as far as it takes to say what is skipped on them.
pub(in crate::sequencer) struct HostsFound<'a> {
    pub(in crate::sequencer) count: usize,
    /// The host with a name.
    pub(in crate::sequencer) position: &'a dyn Fn(&str) -> Option<usize>,
    /// Which ability that a test needs a host lacks.
    pub(in crate::sequencer) lacks: &'a dyn Fn(usize, &PlannedCase) -> Option<String>,
}

/// Why a test cannot run on the hosts of a run, if it cannot. The hosts that it would use are its
/// default host and those after it, from the first one again; for any host, as many as it takes of
/// those that have the abilities.
pub(in crate::sequencer) fn reason_to_skip(
    case: &PlannedCase,
    hosts: &HostsFound<'_>,
) -> Option<String> {
    let needed = case.descriptor.requires.hosts;
    if hosts.count == 0 {
        // A test without any requirement may need no host at all.
        return (needed > 1 || case.abilities().next().is_some())
            .then(|| "it needs a host, and the sequence prepares none".to_owned());
    }
    if needed > hosts.count {
        return Some(format!("it needs {needed} hosts, and the run has {}", hosts.count));
    }
    let needed = needed.max(1);
    let first = match &case.host {
        Some(HostChoice::Any) => {
            let lacking: Vec<String> =
                (0..hosts.count).filter_map(|at| (hosts.lacks)(at, case)).collect();
            let able = hosts.count - lacking.len();
            return (able < needed).then(|| {
                let why = lacking.join("; ");
                format!("{able} of {} hosts would do, and it needs {needed}: {why}", hosts.count)
            });
        }
        // A `host` attribute that names no host is the test's error, not a reason to skip it.
        Some(HostChoice::Named(name)) => (hosts.position)(name)?,
        None => 0,
    };
    hosts_from(first, needed, hosts.count).find_map(|at| (hosts.lacks)(at, case))
}

/// The hosts that a test uses whose default host is `first`.
pub(in crate::sequencer) fn hosts_from(
    first: usize,
    needed: usize,
    count: usize,
) -> impl Iterator<Item = usize> {
    (0..count).cycle().skip(first).take(needed.max(1).min(count))
}

/// The guest of the preparation that a sequence names for a test: by its attribute, else by its
/// argument.
pub(in crate::sequencer) fn named_guest(case: &PlannedCase) -> Option<Word> {
    if let Some(guest) = &case.guest {
        return Some(Word::clone(guest));
    }
    // Looking at them this way does not count as reading them.
    case.args.iter().find(|(name, _)| *name == Some("guest")).map(|(_, value)| value.into())
}
