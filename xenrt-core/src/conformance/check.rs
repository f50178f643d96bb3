//! One sentence of the contract, as a test.

use std::time::Duration;

use futures::future::BoxFuture;

use super::context::CheckContext;
use super::problem::Problem;
use crate::model::Ability;

/// What a check costs on a real host.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Seconds: nothing boots.
    Quick,
    /// It needs a guest that is up: a shared one, or one more boot.
    Boots,
    /// Minutes: many guests boot, or the host does.
    Slow,
}

impl Cost {
    /// How long a check of this cost may take before it counts as failed.
    pub const fn limit(self) -> Duration {
        match self {
            Self::Quick => Duration::from_secs(900),
            Self::Boots => Duration::from_secs(2400),
            Self::Slow => Duration::from_secs(7200),
        }
    }

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Boots => "boots",
            Self::Slow => "slow",
        }
    }
}

/// The code of a check.
type Run = for<'a> fn(&'a CheckContext) -> BoxFuture<'a, Result<(), Problem>>;

/// One sentence of the contract, as a test.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name: `theme.what`.
    pub name: &'static str,
    /// What it proves, as a sentence without a full stop.
    pub proves: &'static str,
    /// The abilities that a host must have for it to say anything.
    pub needs: &'static [Ability],
    /// What it costs.
    pub cost: Cost,
    /// How many hosts it needs: 1 or 2.
    pub hosts: usize,
    /// Whether it looks at the whole host, or changes it, and so must run while no other check does.
    pub alone: bool,
    pub(super) run: Run,
}

impl Check {
    const fn new(name: &'static str, proves: &'static str, cost: Cost, run: Run) -> Self {
        Self { name, proves, needs: &[], cost, hosts: 1, alone: false, run }
    }

    /// A check in which nothing boots.
    pub(super) const fn quick(name: &'static str, proves: &'static str, run: Run) -> Self {
        Self::new(name, proves, Cost::Quick, run)
    }

    /// A check that needs a guest that is up.
    pub(super) const fn boots(name: &'static str, proves: &'static str, run: Run) -> Self {
        Self::new(name, proves, Cost::Boots, run)
    }

    /// A check that takes minutes on a real host.
    pub(super) const fn slow(name: &'static str, proves: &'static str, run: Run) -> Self {
        Self::new(name, proves, Cost::Slow, run)
    }

    /// The same, only on hosts with these abilities.
    pub(super) const fn needs(mut self, abilities: &'static [Ability]) -> Self {
        self.needs = abilities;
        self
    }

    /// The same, while no other check runs.
    pub(super) const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// The same, with a second host.
    pub(super) const fn two_hosts(mut self) -> Self {
        self.hosts = 2;
        self
    }
}

/// All checks, in the order in which they run.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    super::checks::ALL.iter().flat_map(|theme| theme.iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_enough_checks_and_each_has_a_name_and_a_sentence_of_its_own() {
        let all: Vec<_> = checks().collect();
        assert!(all.len() >= 120, "{} checks", all.len());
        let names: BTreeSet<_> = all.iter().map(|check| check.name).collect();
        let sentences: BTreeSet<_> = all.iter().map(|check| check.proves).collect();
        assert_eq!((names.len(), sentences.len()), (all.len(), all.len()));
        assert!(all.iter().all(|check| check.name.contains('.') && !check.proves.ends_with('.')));
    }
}
