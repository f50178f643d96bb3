//! What a toolstack or host may or may not be able to do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// An optional ability. A test names those that it needs (`#[testcase(requires(live_migration))]`),
/// and the sequencer skips it with the reason where the host lacks one, before anything is built.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ability {
    /// Guests that are paravirtualised (Xen PV).
    Pv,
    /// Guests with hardware virtualisation and no emulated devices (Xen PVH).
    Pvh,
    /// Guests with hardware virtualisation and emulated devices (Xen HVM, KVM).
    Hvm,
    /// Suspending a guest to the host's storage and resuming it.
    Suspend,
    /// Saving a guest to a file of the caller's choice and restoring it.
    Save,
    /// Moving a running guest to another host.
    LiveMigration,
    /// Changing the number of vCPUs of a running guest.
    VcpuHotplug,
    /// Changing the memory of a running guest.
    MemoryHotplug,
    /// Attaching and detaching disks of a running guest.
    DiskHotplug,
    /// Attaching and detaching VIFs of a running guest.
    VifHotplug,
    /// Renaming a guest that runs.
    RenameRunning,
    /// Disk or memory snapshots of a guest.
    Snapshots,
    /// The text of a guest's console is recorded.
    ConsoleLog,
    /// Creating and removing virtual networks.
    Networks,
    /// More hosts than one that act as a pool.
    Pool,
    /// Making and removing storage for the disks of guests.
    Storage,
    /// Templates: guests that others are made from.
    Templates,
    /// VLANs and bonds of the host's network interfaces, and their addresses.
    Interfaces,
}

impl Ability {
    /// Every ability, in the order of the documentation.
    pub const ALL: [Self; 18] = [
        Self::Pv,
        Self::Pvh,
        Self::Hvm,
        Self::Suspend,
        Self::Save,
        Self::LiveMigration,
        Self::VcpuHotplug,
        Self::MemoryHotplug,
        Self::DiskHotplug,
        Self::VifHotplug,
        Self::RenameRunning,
        Self::Snapshots,
        Self::ConsoleLog,
        Self::Networks,
        Self::Pool,
        Self::Storage,
        Self::Templates,
        Self::Interfaces,
    ];

    /// The name in attributes, sequence files and journals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pv => "pv",
            Self::Pvh => "pvh",
            Self::Hvm => "hvm",
            Self::Suspend => "suspend",
            Self::Save => "save",
            Self::LiveMigration => "live_migration",
            Self::VcpuHotplug => "vcpu_hotplug",
            Self::MemoryHotplug => "memory_hotplug",
            Self::DiskHotplug => "disk_hotplug",
            Self::VifHotplug => "vif_hotplug",
            Self::RenameRunning => "rename_running",
            Self::Snapshots => "snapshots",
            Self::ConsoleLog => "console_log",
            Self::Networks => "networks",
            Self::Pool => "pool",
            Self::Storage => "storage",
            Self::Templates => "templates",
            Self::Interfaces => "interfaces",
        }
    }
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Ability {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|ability| ability.name() == name).ok_or_else(|| {
            Error::NotFound {
                kind: "ability",
                name: name.to_owned(),
                known: Self::ALL.iter().map(|ability| ability.name().to_owned()).collect(),
            }
        })
    }
}

/// The abilities of a host with its toolstack, and why it lacks the others where that is known.
#[derive(Debug, Clone, Default)]
pub struct Abilities {
    present: BTreeSet<Ability>,
    reasons: Vec<(Ability, String)>,
}

impl Abilities {
    /// Exactly these.
    pub fn of(abilities: impl IntoIterator<Item = Ability>) -> Self {
        Self { present: abilities.into_iter().collect(), reasons: Vec::new() }
    }

    /// Takes one away, with the reason that a skipped test will show.
    pub fn remove(&mut self, ability: Ability, reason: impl Into<String>) {
        self.present.remove(&ability);
        self.reasons.push((ability, reason.into()));
    }

    /// Whether it is there.
    pub fn has(&self, ability: Ability) -> bool {
        self.present.contains(&ability)
    }

    /// Why one is missing, where that is known.
    pub fn reason(&self, ability: Ability) -> Option<&str> {
        self.reasons.iter().find(|(missing, _)| *missing == ability).map(|(_, why)| why.as_str())
    }

    /// All that are there, in order.
    pub fn iter(&self) -> impl Iterator<Item = Ability> + '_ {
        self.present.iter().copied()
    }

    /// Nothing where the ability is there.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the reason where it is not.
    pub fn require(&self, toolstack: &str, ability: Ability) -> Result<()> {
        if self.has(ability) {
            return Ok(());
        }
        Err(Error::Unsupported {
            toolstack: toolstack.to_owned(),
            ability,
            reason: self.reason(ability).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ability_is_found_by_its_name() {
        for ability in Ability::ALL {
            assert_eq!(ability.name().parse::<Ability>().unwrap(), ability);
            assert_eq!(serde_json::to_value(ability).unwrap(), ability.name());
        }
    }

    #[test]
    fn a_missing_ability_says_why() {
        let mut abilities = Abilities::of(Ability::ALL);
        abilities.remove(Ability::LiveMigration, "Xen was built without shadow paging");
        let error = abilities.require("xl", Ability::LiveMigration).unwrap_err();
        assert_eq!(
            error.to_string(),
            "live_migration is not supported by xl: Xen was built without shadow paging"
        );
    }
}
