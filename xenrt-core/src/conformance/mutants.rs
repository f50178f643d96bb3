//! Broken toolstacks that the suite must turn red: a test of the tests.
//!
//! Each [`Mutant`] is the simulated toolstack with one [`Defect`], and names the checks that are
//! meant for it. The suite kills it when one of those is red. One that survives is a defect of the
//! suite, and so is a check that turns red on the sound toolstack.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::profile::Profile;
use super::suite::Suite;
use crate::lab::HostEntry;
use crate::sim::{Defect, SimLab, SimLabBuilder, SimTiming, virtual_time};

/// A broken toolstack, and the checks that are meant for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mutant {
    /// What is broken.
    pub defect: Defect,
    /// The checks of which at least one must be red.
    pub meant: &'static [&'static str],
}

/// What the suite made of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Killing {
    /// The mutant.
    pub mutant: Mutant,
    /// The checks that were red, in the order of the suite.
    pub red: Vec<String>,
}

impl Killing {
    /// Whether a check that is meant for the mutant was red.
    pub fn as_meant(&self) -> bool {
        self.mutant.meant.iter().any(|meant| self.red.iter().any(|red| red == meant))
    }
}

/// `killed SuspendLeavesDomain: memory.suspend, ...`, the checks that are meant for it first.
impl fmt::Display for Killing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.as_meant() { "killed" } else { "SURVIVED" };
        write!(f, "{verdict:<8}  {:<28}", format!("{:?}", self.mutant.defect))?;
        let meant = |name: &&String| self.mutant.meant.contains(&name.as_str());
        let (own, others): (Vec<_>, Vec<_>) = self.red.iter().partition(meant);
        let own: Vec<_> = own.into_iter().map(String::as_str).collect();
        write!(f, "{}", if own.is_empty() { "-".to_owned() } else { own.join(", ") })?;
        match others.len() {
            0 => Ok(()),
            count => write!(f, "  (and {count} more)"),
        }
    }
}

/// A lab of two hosts on which every check can say something.
pub fn lab() -> SimLabBuilder {
    let spare = |entry: &mut HostEntry| {
        entry.attributes.insert("spare_interface".to_owned(), "eth1".to_owned());
    };
    SimLab::builder().hosts(2).timing(SimTiming::realistic()).entries(spare)
}

/// Runs the whole suite on a simulated lab, in virtual time.
///
/// # Errors
/// When no runtime can be made for it.
pub fn profile_of(lab: SimLabBuilder) -> std::io::Result<Profile> {
    let lab = lab.build();
    let suite = Suite::new(lab.host(0)).second_host(lab.host(1));
    virtual_time(suite.run())
}

/// Holds the suite against every mutant, on all processors, and returns what came of each in the
/// order of [`MUTANTS`].
///
/// # Errors
/// When no runtime can be made for it.
pub fn kill_all() -> std::io::Result<Vec<Killing>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..workers {
            threads.spawn(|| {
                while let Some(mutant) = MUTANTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let killing = kill(*mutant);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(killing);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut killings = done.into_iter().collect::<std::io::Result<Vec<Killing>>>()?;
    let place = |killing: &Killing| MUTANTS.iter().position(|mutant| *mutant == killing.mutant);
    killings.sort_by_key(place);
    Ok(killings)
}

fn kill(mutant: Mutant) -> std::io::Result<Killing> {
    let profile = profile_of(lab().defect(mutant.defect))?;
    let red = profile.red().map(|check| check.name.clone()).collect();
    Ok(Killing { mutant, red })
}

const fn mutant(defect: Defect, meant: &'static [&'static str]) -> Mutant {
    Mutant { defect, meant }
}

/// Every mutant, with the checks that are meant for it.
pub const MUTANTS: &[Mutant] = &[
    mutant(Defect::SuspendLeavesDomain, &["memory.suspend"]),
    mutant(Defect::SaveLeavesDomain, &["memory.save"]),
    mutant(Defect::ShutdownLeavesDomain, &["power.shutdown"]),
    mutant(Defect::ShutdownLeaksDisk, &["power.shutdown"]),
    mutant(Defect::PowerOffIgnored, &["power.off_paused", "power.off_running"]),
    mutant(Defect::PowerOffKeepsSaved, &["memory.off_suspended"]),
    mutant(Defect::StartPausedRuns, &["power.start_paused"]),
    mutant(Defect::PauseStillSchedules, &["power.pause_stops_it"]),
    mutant(Defect::PauseHiddenFromHypervisor, &["power.pause"]),
    mutant(Defect::UnpauseHiddenFromHypervisor, &["power.pause"]),
    mutant(Defect::RebootIgnored, &["power.reboot"]),
    mutant(Defect::RebootHalts, &["power.reboot", "power.reboot_by_itself"]),
    mutant(Defect::RebootLosesVif, &["power.reboot_keeps", "power.reboot"]),
    mutant(Defect::ResetIgnored, &["power.reset"]),
    mutant(Defect::ResumeBootsAnew, &["memory.resume_goes_on"]),
    mutant(Defect::ResumeKeepsSaved, &["memory.resume_leaves_nothing"]),
    mutant(Defect::RestoreBootsAnew, &["memory.restore"]),
    mutant(Defect::RestoreEatsFile, &["memory.restore"]),
    mutant(Defect::RestoreAcceptsJunk, &["memory.restore_junk"]),
    mutant(Defect::RestoreWithoutFile, &["memory.restore_missing"]),
    mutant(Defect::StartsTwice, &["illegal.request_start_running"]),
    mutant(Defect::DeletesRunningGuest, &["illegal.request_delete_running"]),
    mutant(Defect::CrashReportedRunning, &["power.crash"]),
    mutant(Defect::GuestShutdownUnnoticed, &["power.shutdown_by_itself"]),
    mutant(Defect::DeleteLeavesDisk, &["life.delete_removes_disks"]),
    mutant(Defect::DeleteLeavesDefinition, &["life.delete"]),
    mutant(Defect::DeleteRemovesForeignDisk, &["define.existing_disk_stays"]),
    mutant(Defect::GoneIsHalted, &["life.delete"]),
    mutant(Defect::DefineAcceptsTakenName, &["define.taken_name"]),
    mutant(Defect::DefineFailureLeavesDisk, &["define.missing_disk"]),
    mutant(Defect::DefineIgnoresVcpus, &["define.vcpus"]),
    mutant(Defect::DefineIgnoresMemory, &["define.memory"]),
    mutant(Defect::DefineDropsSecondVif, &["define.vifs"]),
    mutant(Defect::DefineIgnoresMac, &["define.mac"]),
    mutant(Defect::DefineAcceptsMissingNetwork, &["define.missing_network"]),
    mutant(Defect::TruncatesNames, &["names.hundred"]),
    mutant(Defect::TrimsNames, &["names.outer_space"]),
    mutant(Defect::MangleQuotes, &["names.single_quote", "names.double_quote"]),
    mutant(Defect::UnicodeLost, &["names.unicode"]),
    mutant(Defect::ExpandsDollar, &["names.dollar"]),
    mutant(Defect::RenameChangesUuid, &["life.rename_halted"]),
    mutant(Defect::RenameKeepsOldName, &["life.rename_halted"]),
    mutant(Defect::RenameAcceptsTakenName, &["life.rename_taken"]),
    mutant(Defect::RenameHiddenFromHypervisor, &["life.rename_with_domain"]),
    mutant(Defect::VcpusIgnoredAboveOne, &["resources.more_vcpus"]),
    mutant(Defect::VcpusNotSeenInside, &["resources.more_vcpus"]),
    mutant(
        Defect::VcpusForgottenAtBoot,
        &["resources.vcpus_survive_reboot", "resources.vcpus_of_halted"],
    ),
    mutant(Defect::MemoryNotApplied, &["resources.less_memory"]),
    mutant(Defect::MemoryForgottenAtBoot, &["resources.memory_of_halted"]),
    mutant(Defect::MaximumFollowsMemory, &["resources.maximum_stays"]),
    mutant(Defect::DiskHotplugNotSeen, &["devices.attach_disk"]),
    mutant(Defect::DiskDetachNotSeen, &["devices.attach_disk", "devices.detach_disk"]),
    mutant(Defect::DetachLeavesFile, &["devices.detach_disk"]),
    mutant(Defect::DiskReadOnlyLost, &["define.read_only", "devices.attach_disk_as"]),
    mutant(Defect::DiskDeviceIgnored, &["define.disk_device"]),
    mutant(Defect::DiskTakesUsedDevice, &["define.device_twice", "illegal.attach_used_device"]),
    mutant(Defect::VifHotplugNotSeen, &["devices.attach_vif"]),
    mutant(Defect::VifIgnoresMac, &["devices.attach_vif_as"]),
    mutant(Defect::VifDetachesFirst, &["devices.detach_the_right_vif"]),
    mutant(Defect::VifOnGuestNetwork, &["devices.vif_on_network"]),
    mutant(Defect::MigrateLeavesSource, &["migration.leaves_source"]),
    mutant(Defect::MigrateReboots, &["migration.goes_on"]),
    mutant(Defect::MigrateLosesVif, &["migration.keeps"]),
    mutant(Defect::MigrateForgets, &["migration.listed_at_target"]),
    mutant(Defect::MigrateChangesUuid, &["migration.goes_on"]),
    mutant(Defect::MigrateToItselfKills, &["migration.to_itself"]),
    mutant(Defect::NetworkStays, &["network.remove"]),
    mutant(Defect::NetworkRemovedInUse, &["network.in_use"]),
    mutant(Defect::NetworkAcceptsTakenName, &["network.taken"]),
    mutant(Defect::NetworkLosesUplink, &["network.uplink"]),
    mutant(Defect::Dom0Hidden, &["host.control_domain"]),
    mutant(Defect::HaltedGuestsHidden, &["define.listed"]),
    mutant(Defect::InventoryBlind, &["host.inventory"]),
    mutant(Defect::StaleAddress, &["reach.address"]),
    mutant(Defect::ConsoleEmpty, &["reach.console", "power.crash_console"]),
    mutant(Defect::ConsoleOfAnother, &["reach.console"]),
    mutant(Defect::OutOfMemoryUnnamed, &["define.too_much_memory"]),
    mutant(Defect::MissingFileUnnamed, &["memory.restore_missing"]),
    mutant(Defect::NoSuchObjectUnnamed, &["life.delete_twice"]),
    mutant(Defect::OvercommitsMemory, &["define.too_much_memory"]),
    mutant(Defect::FailedStartLeavesDomain, &["define.too_much_memory"]),
    mutant(Defect::ShellIgnoresDeadline, &["shell.deadline"]),
    mutant(Defect::ShellSwallowsStatus, &["shell.status"]),
    mutant(Defect::ShellDropsStderr, &["shell.errors"]),
    mutant(Defect::FilesTruncated, &["shell.files"]),
    mutant(Defect::StopLeavesProcess, &["shell.process"]),
    mutant(Defect::TwoAtOnce, &["concurrency.two_requests"]),
    mutant(Defect::ScopeLost, &["host.scope_of_guests"]),
    mutant(Defect::ExpectationNotShared, &["life.one_expectation"]),
    mutant(Defect::MoreGuestsLost, &["concurrency.32_starts"]),
    mutant(Defect::LogsOutOfEvidence, &["host.evidence"]),
    mutant(Defect::LoginReachesAnother, &["reach.login_is_into_it"]),
    mutant(Defect::DomainIdStands, &["power.reboot", "power.reset"]),
    mutant(Defect::CpuTimeStands, &["power.cpu_time"]),
    mutant(Defect::FreeMemoryStands, &["resources.free_memory"]),
    mutant(Defect::SnapshotLosesMemory, &["snapshots.memory"]),
    mutant(Defect::SnapshotPauses, &["snapshots.running"]),
    mutant(Defect::SnapshotDeleteIgnored, &["snapshots.delete"]),
    mutant(Defect::RevertKeepsDisks, &["snapshots.disks"]),
    mutant(Defect::RevertKeepsDefinition, &["snapshots.definition"]),
    mutant(Defect::RevertEatsSnapshot, &["snapshots.definition"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Verdict, checks};

    #[test]
    fn the_sound_toolstack_passes_every_check() {
        let profile = profile_of(lab()).unwrap();
        assert!(profile.conforms(), "{profile}");
        let passed = profile.checks.iter().filter(|check| check.verdict == Verdict::Passed);
        assert_eq!(passed.count(), checks().count(), "{profile}");
    }

    #[test]
    fn every_defect_has_a_mutant_and_every_mutant_checks_that_exist() {
        let defects: Vec<Defect> = MUTANTS.iter().map(|mutant| mutant.defect).collect();
        let missing: Vec<_> = Defect::ALL.iter().filter(|d| !defects.contains(d)).collect();
        assert!(missing.is_empty() && defects.len() == Defect::ALL.len(), "{missing:?}");
        for mutant in MUTANTS {
            for meant in mutant.meant {
                assert!(checks().any(|check| check.name == *meant), "{meant}");
            }
        }
    }

    #[test]
    fn every_mutant_is_killed_by_a_check_that_is_meant_for_it() {
        let killings = kill_all().unwrap();
        let table: Vec<String> = killings.iter().map(ToString::to_string).collect();
        println!("{}", table.join("\n"));
        let survivors: Vec<_> = killings.iter().filter(|killing| !killing.as_meant()).collect();
        assert!(survivors.is_empty(), "{survivors:#?}");
        assert!(killings.len() >= 40);
    }
}
