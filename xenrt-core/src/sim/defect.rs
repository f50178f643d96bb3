//! Behaviours that can be broken for good.

use std::fmt;

/// One broken behaviour of a simulated lab. A product with such a bug must not pass for a sound
/// one: the conformance suite has a check for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Defect {
    /// Suspend writes the memory and leaves the domain running.
    SuspendLeavesDomain,
    /// Save writes the file and leaves the domain running.
    SaveLeavesDomain,
    /// A clean shutdown is reported while the domain stays.
    ShutdownLeavesDomain,
    /// Each shutdown leaves a file beside the disks that nobody removes.
    ShutdownLeaksDisk,
    /// Power off is taken and not carried out.
    PowerOffIgnored,
    /// Power off of a suspended guest keeps its memory.
    PowerOffKeepsSaved,
    /// A guest that is to start paused runs at once.
    StartPausedRuns,
    /// A paused guest is called paused and runs on.
    PauseStillSchedules,
    /// Pause is noted by the toolstack and not passed to the hypervisor.
    PauseHiddenFromHypervisor,
    /// Unpause is noted by the toolstack and not passed to the hypervisor.
    UnpauseHiddenFromHypervisor,
    /// Reboot is taken and not carried out.
    RebootIgnored,
    /// A guest that reboots is left halted.
    RebootHalts,
    /// A guest comes back from a reboot without its last VIF.
    RebootLosesVif,
    /// Reset is taken and not carried out.
    ResetIgnored,
    /// Resume throws the memory away and boots.
    ResumeBootsAnew,
    /// Resume leaves the saved memory on the host's storage.
    ResumeKeepsSaved,
    /// Restore throws the memory away and boots.
    RestoreBootsAnew,
    /// Restore removes the caller's file.
    RestoreEatsFile,
    /// Restore takes any file and boots.
    RestoreAcceptsJunk,
    /// Restore of a file that is not there boots.
    RestoreWithoutFile,
    /// A guest that runs can be started once more and has two domains then.
    StartsTwice,
    /// A guest that runs is deleted under its domain.
    DeletesRunningGuest,
    /// A crashed guest is reported as running.
    CrashReportedRunning,
    /// A guest that shut itself down is reported as running.
    GuestShutdownUnnoticed,
    /// Delete leaves the disks that were made for the guest.
    DeleteLeavesDisk,
    /// Delete is taken and the guest stays.
    DeleteLeavesDefinition,
    /// Delete removes a disk that was there before the guest.
    DeleteRemovesForeignDisk,
    /// A guest that is gone is described as halted.
    GoneIsHalted,
    /// Two guests can have one name.
    DefineAcceptsTakenName,
    /// A definition that fails leaves the disks that were made until then.
    DefineFailureLeavesDisk,
    /// A guest gets one vCPU whatever is asked for.
    DefineIgnoresVcpus,
    /// A guest gets the image's memory whatever is asked for.
    DefineIgnoresMemory,
    /// A guest gets one VIF at most.
    DefineDropsSecondVif,
    /// A VIF gets an address of the toolstack's choice.
    DefineIgnoresMac,
    /// A VIF can be on a network that is not there.
    DefineAcceptsMissingNetwork,
    /// Names are cut after 63 bytes.
    TruncatesNames,
    /// White space at the ends of names is dropped.
    TrimsNames,
    /// Quotes and backslashes in names are dropped.
    MangleQuotes,
    /// Characters beyond ASCII in names become question marks.
    UnicodeLost,
    /// Names are read by a shell: `$(...)` in them is gone.
    ExpandsDollar,
    /// A renamed guest has another identity.
    RenameChangesUuid,
    /// A renamed guest is listed by its old name.
    RenameKeepsOldName,
    /// A guest can be given the name of another one.
    RenameAcceptsTakenName,
    /// The name of the domain stays when a running guest is renamed.
    RenameHiddenFromHypervisor,
    /// A running guest has one vCPU whatever it is set to.
    VcpusIgnoredAboveOne,
    /// A change of vCPUs is not seen in the guest.
    VcpusNotSeenInside,
    /// A change of vCPUs is lost with the next start.
    VcpusForgottenAtBoot,
    /// A change of memory is noted by the toolstack and not passed to the hypervisor.
    MemoryNotApplied,
    /// A change of memory is lost with the next start.
    MemoryForgottenAtBoot,
    /// The maximum of a halted guest's memory falls when its memory does.
    MaximumFollowsMemory,
    /// A disk that is attached to a running guest is not seen in it.
    DiskHotplugNotSeen,
    /// A disk that is detached from a running guest is still seen in it.
    DiskDetachNotSeen,
    /// Detach leaves the disk that was made for the guest.
    DetachLeavesFile,
    /// A read-only disk can be written.
    DiskReadOnlyLost,
    /// A disk gets a device name of the toolstack's choice.
    DiskDeviceIgnored,
    /// A disk can have the device name of another one.
    DiskTakesUsedDevice,
    /// A VIF that is attached to a running guest is not seen in it.
    VifHotplugNotSeen,
    /// An attached VIF gets an address of the toolstack's choice.
    VifIgnoresMac,
    /// Detach takes the first VIF whichever was meant.
    VifDetachesFirst,
    /// An attached VIF is on the guest network whatever was asked for.
    VifOnGuestNetwork,
    /// The domain at the source stays after a migration.
    MigrateLeavesSource,
    /// A guest boots anew at the target.
    MigrateReboots,
    /// A guest arrives without its VIFs.
    MigrateLosesVif,
    /// The target does not list the guest that arrived.
    MigrateForgets,
    /// A guest arrives with another identity.
    MigrateChangesUuid,
    /// A migration to the host that a guest is on ends it.
    MigrateToItselfKills,
    /// Removing a network is taken and not carried out.
    NetworkStays,
    /// A network is removed under the guests that use it.
    NetworkRemovedInUse,
    /// Two networks can have one name.
    NetworkAcceptsTakenName,
    /// A network is made without its uplink.
    NetworkLosesUplink,
    /// The list of domains lacks the control domain.
    Dom0Hidden,
    /// The list of guests lacks those that are halted.
    HaltedGuestsHidden,
    /// The inventory lists no files.
    InventoryBlind,
    /// A guest is said to have the address of the guest before it.
    StaleAddress,
    /// Consoles are recorded empty.
    ConsoleEmpty,
    /// The console of another guest is shown.
    ConsoleOfAnother,
    /// Too little memory is reported as an error of no kind.
    OutOfMemoryUnnamed,
    /// A missing file is reported as an error of no kind.
    MissingFileUnnamed,
    /// A guest that is gone is reported as an error of no kind.
    NoSuchObjectUnnamed,
    /// A guest starts with more memory than the host has.
    OvercommitsMemory,
    /// A start that fails leaves a paused domain.
    FailedStartLeavesDomain,
    /// A command in dom0 outlives its deadline.
    ShellIgnoresDeadline,
    /// Every command in dom0 ends with status 0.
    ShellSwallowsStatus,
    /// Standard error of dom0 is lost.
    ShellDropsStderr,
    /// Files are written up to their first zero byte.
    FilesTruncated,
    /// A process in dom0 that is told to stop runs on.
    StopLeavesProcess,
    /// Requests about one guest are not kept apart.
    TwoAtOnce,
    /// A guest's host is not in the scope of the handle that made it.
    ScopeLost,
    /// Each handle to a guest has expectations of its own.
    ExpectationNotShared,
    /// Guests that start while eight others do are lost.
    MoreGuestsLost,
    /// The hypervisor's log cannot be read.
    LogsOutOfEvidence,
    /// A login goes to another guest.
    LoginReachesAnother,
    /// A guest that boots anew keeps domain id and boot id.
    DomainIdStands,
    /// The processor time of a domain stands still.
    CpuTimeStands,
    /// The free memory of the host does not change when guests run.
    FreeMemoryStands,
    /// A snapshot with memory keeps none, and the guest boots anew from it.
    SnapshotLosesMemory,
    /// A guest whose snapshot is taken is left paused.
    SnapshotPauses,
    /// Deleting a snapshot is taken and not carried out.
    SnapshotDeleteIgnored,
    /// A revert leaves what was written on the disks since.
    RevertKeepsDisks,
    /// A revert leaves the vCPUs and devices of a guest as they are.
    RevertKeepsDefinition,
    /// A snapshot is gone when it was reverted to.
    RevertEatsSnapshot,
}

impl Defect {
    /// Every defect.
    pub const ALL: &[Self] = &[
        Self::SuspendLeavesDomain,
        Self::SaveLeavesDomain,
        Self::ShutdownLeavesDomain,
        Self::ShutdownLeaksDisk,
        Self::PowerOffIgnored,
        Self::PowerOffKeepsSaved,
        Self::StartPausedRuns,
        Self::PauseStillSchedules,
        Self::PauseHiddenFromHypervisor,
        Self::UnpauseHiddenFromHypervisor,
        Self::RebootIgnored,
        Self::RebootHalts,
        Self::RebootLosesVif,
        Self::ResetIgnored,
        Self::ResumeBootsAnew,
        Self::ResumeKeepsSaved,
        Self::RestoreBootsAnew,
        Self::RestoreEatsFile,
        Self::RestoreAcceptsJunk,
        Self::RestoreWithoutFile,
        Self::StartsTwice,
        Self::DeletesRunningGuest,
        Self::CrashReportedRunning,
        Self::GuestShutdownUnnoticed,
        Self::DeleteLeavesDisk,
        Self::DeleteLeavesDefinition,
        Self::DeleteRemovesForeignDisk,
        Self::GoneIsHalted,
        Self::DefineAcceptsTakenName,
        Self::DefineFailureLeavesDisk,
        Self::DefineIgnoresVcpus,
        Self::DefineIgnoresMemory,
        Self::DefineDropsSecondVif,
        Self::DefineIgnoresMac,
        Self::DefineAcceptsMissingNetwork,
        Self::TruncatesNames,
        Self::TrimsNames,
        Self::MangleQuotes,
        Self::UnicodeLost,
        Self::ExpandsDollar,
        Self::RenameChangesUuid,
        Self::RenameKeepsOldName,
        Self::RenameAcceptsTakenName,
        Self::RenameHiddenFromHypervisor,
        Self::VcpusIgnoredAboveOne,
        Self::VcpusNotSeenInside,
        Self::VcpusForgottenAtBoot,
        Self::MemoryNotApplied,
        Self::MemoryForgottenAtBoot,
        Self::MaximumFollowsMemory,
        Self::DiskHotplugNotSeen,
        Self::DiskDetachNotSeen,
        Self::DetachLeavesFile,
        Self::DiskReadOnlyLost,
        Self::DiskDeviceIgnored,
        Self::DiskTakesUsedDevice,
        Self::VifHotplugNotSeen,
        Self::VifIgnoresMac,
        Self::VifDetachesFirst,
        Self::VifOnGuestNetwork,
        Self::MigrateLeavesSource,
        Self::MigrateReboots,
        Self::MigrateLosesVif,
        Self::MigrateForgets,
        Self::MigrateChangesUuid,
        Self::MigrateToItselfKills,
        Self::NetworkStays,
        Self::NetworkRemovedInUse,
        Self::NetworkAcceptsTakenName,
        Self::NetworkLosesUplink,
        Self::Dom0Hidden,
        Self::HaltedGuestsHidden,
        Self::InventoryBlind,
        Self::StaleAddress,
        Self::ConsoleEmpty,
        Self::ConsoleOfAnother,
        Self::OutOfMemoryUnnamed,
        Self::MissingFileUnnamed,
        Self::NoSuchObjectUnnamed,
        Self::OvercommitsMemory,
        Self::FailedStartLeavesDomain,
        Self::ShellIgnoresDeadline,
        Self::ShellSwallowsStatus,
        Self::ShellDropsStderr,
        Self::FilesTruncated,
        Self::StopLeavesProcess,
        Self::TwoAtOnce,
        Self::ScopeLost,
        Self::ExpectationNotShared,
        Self::MoreGuestsLost,
        Self::LogsOutOfEvidence,
        Self::LoginReachesAnother,
        Self::DomainIdStands,
        Self::CpuTimeStands,
        Self::FreeMemoryStands,
        Self::SnapshotLosesMemory,
        Self::SnapshotPauses,
        Self::SnapshotDeleteIgnored,
        Self::RevertKeepsDisks,
        Self::RevertKeepsDefinition,
        Self::RevertEatsSnapshot,
    ];

    /// What is broken, in a few words.
    pub fn description(self) -> &'static str {
        match self {
            Self::SuspendLeavesDomain => "suspend writes the memory and leaves the domain running",
            Self::SaveLeavesDomain => "save writes the file and leaves the domain running",
            Self::ShutdownLeavesDomain => "a clean shutdown is reported while the domain stays",
            Self::ShutdownLeaksDisk => {
                "each shutdown leaves a file beside the disks that nobody removes"
            }
            Self::PowerOffIgnored => "power off is taken and not carried out",
            Self::PowerOffKeepsSaved => "power off of a suspended guest keeps its memory",
            Self::StartPausedRuns => "a guest that is to start paused runs at once",
            Self::PauseStillSchedules => "a paused guest is called paused and runs on",
            Self::PauseHiddenFromHypervisor => {
                "pause is noted by the toolstack and not passed to the hypervisor"
            }
            Self::UnpauseHiddenFromHypervisor => {
                "unpause is noted by the toolstack and not passed to the hypervisor"
            }
            Self::RebootIgnored => "reboot is taken and not carried out",
            Self::RebootHalts => "a guest that reboots is left halted",
            Self::RebootLosesVif => "a guest comes back from a reboot without its last VIF",
            Self::ResetIgnored => "reset is taken and not carried out",
            Self::ResumeBootsAnew => "resume throws the memory away and boots",
            Self::ResumeKeepsSaved => "resume leaves the saved memory on the host's storage",
            Self::RestoreBootsAnew => "restore throws the memory away and boots",
            Self::RestoreEatsFile => "restore removes the caller's file",
            Self::RestoreAcceptsJunk => "restore takes any file and boots",
            Self::RestoreWithoutFile => "restore of a file that is not there boots",
            Self::StartsTwice => {
                "a guest that runs can be started once more and has two domains then"
            }
            Self::DeletesRunningGuest => "a guest that runs is deleted under its domain",
            Self::CrashReportedRunning => "a crashed guest is reported as running",
            Self::GuestShutdownUnnoticed => "a guest that shut itself down is reported as running",
            Self::DeleteLeavesDisk => "delete leaves the disks that were made for the guest",
            Self::DeleteLeavesDefinition => "delete is taken and the guest stays",
            Self::DeleteRemovesForeignDisk => {
                "delete removes a disk that was there before the guest"
            }
            Self::GoneIsHalted => "a guest that is gone is described as halted",
            Self::DefineAcceptsTakenName => "two guests can have one name",
            Self::DefineFailureLeavesDisk => {
                "a definition that fails leaves the disks that were made until then"
            }
            Self::DefineIgnoresVcpus => "a guest gets one vCPU whatever is asked for",
            Self::DefineIgnoresMemory => "a guest gets the image's memory whatever is asked for",
            Self::DefineDropsSecondVif => "a guest gets one VIF at most",
            Self::DefineIgnoresMac => "a VIF gets an address of the toolstack's choice",
            Self::DefineAcceptsMissingNetwork => "a VIF can be on a network that is not there",
            Self::TruncatesNames => "names are cut after 63 bytes",
            Self::TrimsNames => "white space at the ends of names is dropped",
            Self::MangleQuotes => "quotes and backslashes in names are dropped",
            Self::UnicodeLost => "characters beyond ASCII in names become question marks",
            Self::ExpandsDollar => "names are read by a shell: `$(...)` in them is gone",
            Self::RenameChangesUuid => "a renamed guest has another identity",
            Self::RenameKeepsOldName => "a renamed guest is listed by its old name",
            Self::RenameAcceptsTakenName => "a guest can be given the name of another one",
            Self::RenameHiddenFromHypervisor => {
                "the name of the domain stays when a running guest is renamed"
            }
            Self::VcpusIgnoredAboveOne => "a running guest has one vCPU whatever it is set to",
            Self::VcpusNotSeenInside => "a change of vCPUs is not seen in the guest",
            Self::VcpusForgottenAtBoot => "a change of vCPUs is lost with the next start",
            Self::MemoryNotApplied => {
                "a change of memory is noted by the toolstack and not passed to the hypervisor"
            }
            Self::MemoryForgottenAtBoot => "a change of memory is lost with the next start",
            Self::MaximumFollowsMemory => {
                "the maximum of a halted guest's memory falls when its memory does"
            }
            Self::DiskHotplugNotSeen => {
                "a disk that is attached to a running guest is not seen in it"
            }
            Self::DiskDetachNotSeen => {
                "a disk that is detached from a running guest is still seen in it"
            }
            Self::DetachLeavesFile => "detach leaves the disk that was made for the guest",
            Self::DiskReadOnlyLost => "a read-only disk can be written",
            Self::DiskDeviceIgnored => "a disk gets a device name of the toolstack's choice",
            Self::DiskTakesUsedDevice => "a disk can have the device name of another one",
            Self::VifHotplugNotSeen => {
                "a VIF that is attached to a running guest is not seen in it"
            }
            Self::VifIgnoresMac => "an attached VIF gets an address of the toolstack's choice",
            Self::VifDetachesFirst => "detach takes the first VIF whichever was meant",
            Self::VifOnGuestNetwork => {
                "an attached VIF is on the guest network whatever was asked for"
            }
            Self::MigrateLeavesSource => "the domain at the source stays after a migration",
            Self::MigrateReboots => "a guest boots anew at the target",
            Self::MigrateLosesVif => "a guest arrives without its VIFs",
            Self::MigrateForgets => "the target does not list the guest that arrived",
            Self::MigrateChangesUuid => "a guest arrives with another identity",
            Self::MigrateToItselfKills => "a migration to the host that a guest is on ends it",
            Self::NetworkStays => "removing a network is taken and not carried out",
            Self::NetworkRemovedInUse => "a network is removed under the guests that use it",
            Self::NetworkAcceptsTakenName => "two networks can have one name",
            Self::NetworkLosesUplink => "a network is made without its uplink",
            Self::Dom0Hidden => "the list of domains lacks the control domain",
            Self::HaltedGuestsHidden => "the list of guests lacks those that are halted",
            Self::InventoryBlind => "the inventory lists no files",
            Self::StaleAddress => "a guest is said to have the address of the guest before it",
            Self::ConsoleEmpty => "consoles are recorded empty",
            Self::ConsoleOfAnother => "the console of another guest is shown",
            Self::OutOfMemoryUnnamed => "too little memory is reported as an error of no kind",
            Self::MissingFileUnnamed => "a missing file is reported as an error of no kind",
            Self::NoSuchObjectUnnamed => "a guest that is gone is reported as an error of no kind",
            Self::OvercommitsMemory => "a guest starts with more memory than the host has",
            Self::FailedStartLeavesDomain => "a start that fails leaves a paused domain",
            Self::ShellIgnoresDeadline => "a command in dom0 outlives its deadline",
            Self::ShellSwallowsStatus => "every command in dom0 ends with status 0",
            Self::ShellDropsStderr => "standard error of dom0 is lost",
            Self::FilesTruncated => "files are written up to their first zero byte",
            Self::StopLeavesProcess => "a process in dom0 that is told to stop runs on",
            Self::TwoAtOnce => "requests about one guest are not kept apart",
            Self::ScopeLost => "a guest's host is not in the scope of the handle that made it",
            Self::ExpectationNotShared => "each handle to a guest has expectations of its own",
            Self::MoreGuestsLost => "guests that start while eight others do are lost",
            Self::LogsOutOfEvidence => "the hypervisor's log cannot be read",
            Self::LoginReachesAnother => "a login goes to another guest",
            Self::DomainIdStands => "a guest that boots anew keeps domain id and boot id",
            Self::CpuTimeStands => "the processor time of a domain stands still",
            Self::FreeMemoryStands => "the free memory of the host does not change when guests run",
            Self::SnapshotLosesMemory => {
                "a snapshot with memory keeps none, and the guest boots anew from it"
            }
            Self::SnapshotPauses => "a guest whose snapshot is taken is left paused",
            Self::SnapshotDeleteIgnored => "deleting a snapshot is taken and not carried out",
            Self::RevertKeepsDisks => "a revert leaves what was written on the disks since",
            Self::RevertKeepsDefinition => {
                "a revert leaves the vCPUs and devices of a guest as they are"
            }
            Self::RevertEatsSnapshot => "a snapshot is gone when it was reverted to",
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}
