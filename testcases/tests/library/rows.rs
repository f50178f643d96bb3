//! For each test of the library, a fault that it must find, and what it must say of it.

use std::time::Duration;

use xenrt::model::PowerState;
use xenrt::sim::{Defect, Fault, Lie, SimAnswer, SimCall};

use crate::beyond;
use crate::plant::{
    Plant, dirty_disks, failure_hidden, fast_clocks, growing_xenstored, iperf, large_ping_lost,
    stress_ng,
};
use crate::room;
use crate::schedule::{self, Broken};

/// One test, and a fault that it must find.
pub(crate) struct Row {
    /// The id of the test.
    pub test: &'static str,
    /// Its arguments, where the defaults do not lead to the fault.
    pub args: &'static [(&'static str, &'static str)],
    /// What goes wrong.
    pub plant: Plant,
    /// What the test must say.
    pub says: &'static str,
}

const fn row(test: &'static str, plant: Plant, says: &'static str) -> Row {
    Row { test, args: &[], plant, says }
}

const fn broken(test: &'static str, defect: Defect, says: &'static str) -> Row {
    row(test, Plant::Defect(defect), says)
}

impl Row {
    const fn with(mut self, args: &'static [(&'static str, &'static str)]) -> Self {
        self.args = args;
        self
    }
}

/// A write to a disk that is called done and was not.
const LOST_WRITE: Plant = Plant::Faults("a write to a disk is lost", || {
    vec![Fault::ignore().call(SimCall::Inside).command("of=/dev/").nth(2)]
});
const REVERT_IGNORED: Plant = Plant::Faults("a revert is taken and not carried out", || {
    vec![Fault::ignore().verb("revert").nth(1)]
});

/// Tests that are not held against a fault here, and why.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[
    ("selftest.", "how these end is what they are for: tests/verdicts.rs"),
    ("network.hfx745", "held against broken VIFs on several toolstacks: tests/toolstacks"),
    ("network.hfx799", "as network.hfx745, from another distribution"),
];

/// Every other test, in the order of their ids.
pub(crate) fn rows() -> Vec<Row> {
    use Defect as D;
    vec![
        row(
            "cpu.cap",
            Plant::Answer("a cap does not hold", |lab| schedule::teach(lab, Broken::Caps)),
            "has a cap of 30 % of a processor and used 100 %",
        ),
        broken("cpu.fair_share", D::CpuTimeStands, "no guest used any processor time"),
        broken("cpu.hotplug", D::VcpusNotSeenInside, "vCPUs"),
        broken("cpu.kept_over_reboot", D::VcpusForgottenAtBoot, "vCPUs"),
        row(
            "cpu.pinning",
            Plant::Answer("a vCPU runs where it may not", |lab| {
                schedule::teach(lab, Broken::Pins);
            }),
            "may run on processor 0 alone, and was seen on {1}",
        ),
        broken("cpu.time_accounting", D::CpuTimeStands, "are the least that is due"),
        broken("cpu.walk", D::VcpusForgottenAtBoot, "with 2 vCPUs"),
        row(
            "cpu.weights",
            Plant::Answer("a weight does not count", |lab| schedule::teach(lab, Broken::Weights)),
            "with 4 times the weight a guest got 1.0",
        ),
        row(
            "host.busy_dom0",
            Plant::When("logins hang while dom0 is busy", "while :; do", || {
                Fault::hang().call(SimCall::Inside).times(3)
            }),
            "did not answer for",
        )
        .with(&[("seconds", "40"), ("max_outage", "5s")]),
        row(
            "host.clocks_agree",
            Plant::Answer("the clock of a guest is hours ahead", fast_clocks),
            "s off at first",
        ),
        broken("host.console_log", D::ConsoleOfAnother, "the console of"),
        row("host.crash", LOST_WRITE, "holds zeros"),
        row(
            "host.dom0_drift",
            Plant::Answer("a process of dom0 keeps 1 MiB of each cycle", growing_xenstored),
            "dom0 leaks memory: xenstored (process 310) keeps 1024 KiB of each cycle",
        ),
        broken("host.domain_leaks", D::ShutdownLeaksDisk, "the host is left with file"),
        broken("host.reboot_with_guests", D::HaltedGuestsHidden, "does not know guest"),
        broken("host.sanity", D::LogsOutOfEvidence, "cannot be had"),
        broken("lifecycle.concurrent_requests", D::TwoAtOnce, "to have 1 domains"),
        broken("lifecycle.crash", D::CrashReportedRunning, "to be Crashed"),
        row(
            "lifecycle.crash_destroy",
            Plant::When("a crashed guest is reported as kept", "sysrq-trigger", || {
                Fault::lie(Lie::Power(PowerState::Crashed)).call(SimCall::View)
            }),
            "to be Halted",
        ),
        row(
            "lifecycle.crash_dump",
            Plant::Answer("a dump has none of the guest's memory", |lab| beyond::dumps(lab, "0\n")),
            "does not hold what the guest had in memory",
        ),
        broken("lifecycle.crash_restart", D::RebootLosesVif, "to come back from its crash"),
        broken(
            "lifecycle.delete_leaves_nothing",
            D::DeleteLeavesDisk,
            "the host is left with file",
        ),
        broken("lifecycle.install", D::DefineIgnoresMemory, "256 MiB were asked for")
            .with(&[("memory", "256")]),
        broken("lifecycle.install_all_vcpus", D::DefineIgnoresVcpus, "the toolstack says 1"),
        broken(
            "lifecycle.install_more_memory",
            D::DefineIgnoresMemory,
            "the toolstack says 128 MiB",
        ),
        row(
            "lifecycle.install_one_vcpu",
            Plant::Faults("the hypervisor has more vCPUs than were asked for", || {
                vec![Fault::lie(Lie::Vcpus(2)).call(SimCall::Domain)]
            }),
            "vCPUs (hypervisor): expected 1, found 2",
        ),
        broken("lifecycle.install_two_vcpus", D::DefineIgnoresVcpus, "the toolstack says 1"),
        broken("lifecycle.name_reuse", D::DeleteLeavesDefinition, "to be gone"),
        broken("lifecycle.pause", D::PauseStillSchedules, "answers while it is Paused"),
        broken("lifecycle.power_cut", D::PowerOffIgnored, "to be Halted"),
        broken("lifecycle.reboot", D::RebootIgnored, "to have rebooted"),
        broken("lifecycle.reboot_by_itself", D::RebootHalts, "to have rebooted"),
        broken("lifecycle.rename_halted", D::RenameChangesUuid, "has the identity"),
        broken("lifecycle.rename_running", D::RenameHiddenFromHypervisor, "known by that name"),
        broken("lifecycle.save_restore", D::RestoreEatsFile, "restore removed"),
        broken("lifecycle.shutdown", D::PowerOffIgnored, "to be Halted").with(&[("how", "hard")]),
        broken("lifecycle.shutdown_by_itself", D::GuestShutdownUnnoticed, "to be Halted"),
        broken("lifecycle.start_paused", D::StartPausedRuns, "to be Paused"),
        broken("lifecycle.start_stop", D::ShutdownLeavesDomain, "the domain of guest"),
        broken("lifecycle.suspend_resume", D::ResumeBootsAnew, "booted anew instead of going on"),
        broken("memory.accounting", D::FreeMemoryStands, "came back"),
        broken("memory.balloon", D::FreeMemoryStands, "more is free on the host"),
        row(
            "memory.kept_while_suspended",
            Plant::Faults(
                "what a guest writes into its memory is lost in the second round",
                || vec![Fault::ignore().call(SimCall::Inside).command("xenrt-kept").nth(4)],
            ),
            "does not hold what it held in memory",
        ),
        broken("memory.overcommit_refused", D::OvercommitsMemory, "a guest started with as much"),
        broken("memory.walk", D::MemoryForgottenAtBoot, "memory"),
        broken("migration.concurrent", D::MigrateLeavesSource, "to have let guest"),
        row(
            "migration.interrupted",
            Plant::When("a guest whose migration is cut off is left crashed", "tcp reset", || {
                Fault::crash_guest().call(SimCall::View).times(1)
            }),
            "Crashed",
        ),
        broken("migration.life_goes_on", D::RebootIgnored, "to have rebooted"),
        broken("migration.migrate", D::MigrateReboots, "booted anew instead of going on"),
        broken("migration.no_room", D::OvercommitsMemory, "moved to a host without room"),
        broken("migration.to_itself", D::MigrateToItselfKills, "after a migration to its own host"),
        broken("migration.with_hotplugged", D::MigrateLosesVif, "a login into guest"),
        broken("network.addresses_kept", D::RebootLosesVif, "a login into guest"),
        row(
            "network.between_guests",
            Plant::Answer("fragments between guests are lost", |lab| {
                lab.answer(|place, line| large_ping_lost(place.guest.is_some(), line));
            }),
            "does not reach guest",
        ),
        row(
            "network.bond_link_cut",
            Plant::Answer("a bond does not use its other link", |lab| {
                let cut = std::sync::atomic::AtomicBool::new(false);
                lab.answer(move |place, line| {
                    use std::sync::atomic::Ordering::Relaxed;
                    if line == "ip link set dev xrtbp0 down" {
                        cut.store(true, Relaxed);
                    }
                    let lost =
                        cut.load(Relaxed) && place.guest.is_some() && line.starts_with("ping ");
                    lost.then(|| {
                        SimAnswer::failure(1, "100% packet loss\n").taking(Duration::from_secs(8))
                    })
                });
            }),
            "with the link at xrtbp0 cut",
        ),
        row(
            "network.ipv6",
            Plant::Answer("packets of IPv6 that need fragments are lost", |lab| {
                lab.answer(|place, line| {
                    (place.guest.is_some()
                        && line.starts_with("ping ")
                        && line.contains("-s 8000 fd00"))
                    .then(|| {
                        SimAnswer::failure(1, "100% packet loss\n").taking(Duration::from_secs(8))
                    })
                });
            }),
            "by IPv6 guest",
        ),
        broken("network.isolated_networks", D::NetworkRemovedInUse, "was removed under guest"),
        broken("network.many_vifs", D::DefineDropsSecondVif, "sees 1 interfaces of 7"),
        row(
            "network.mtu_sweep",
            Plant::Answer("the interface of a guest keeps its MTU whatever is set", |lab| {
                lab.answer(|_, line| line.ends_with("/mtu").then(|| SimAnswer::text("1500\n")));
            }),
            "has an MTU of 1500, and was given 68",
        ),
        row(
            "network.multicast",
            Plant::Answer("what is sent to a group reaches nobody", |lab| {
                lab.answer(|place, line| {
                    (place.guest.is_some()
                        && line.starts_with("ping ")
                        && line.contains("224.0.0.1"))
                    .then(|| {
                        SimAnswer::failure(1, "100% packet loss\n").taking(Duration::from_secs(8))
                    })
                });
            }),
            "sends to all hosts does not reach 10.99.3.2, 10.99.3.3",
        ),
        row(
            "network.packet_sizes",
            Plant::Answer("packets of more than one fragment are lost", |lab| {
                lab.answer(|place, line| large_ping_lost(place.guest.is_none(), line));
            }),
            "pings of 1473 bytes are not answered",
        ),
        row(
            "network.throughput",
            Plant::Answer("next to nothing goes through", |lab| {
                lab.answer(|place, line| {
                    (place.guest.is_some() && line.starts_with("iperf -c"))
                        .then(|| iperf(1000))
                        .flatten()
                });
            }),
            "1 are the least",
        ),
        broken("network.vif_hotplug_under_traffic", D::VifHotplugNotSeen, "network interfaces"),
        broken("network.vif_walk", D::VifDetachesFirst, "VIFs"),
        row(
            "network.vlan",
            Plant::Answer("the tags of VLANs are lost on the way", |lab| {
                lab.answer(|place, line| {
                    (place.guest.is_some() && line.starts_with("ping ") && line.contains(" 10.99."))
                        .then(|| SimAnswer::text("0% packet loss\n"))
                });
            }),
            "reaches 10.99.200.2, and must not",
        ),
        row(
            "performance.lifecycle",
            Plant::Faults("each start takes a second longer than in the baseline", || {
                vec![Fault::latency(Duration::from_secs(1)).verb("start")]
            }),
            "start regressed by 1",
        )
        .with(&[(
            "baseline",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/simulated-times.json"),
        )]),
        row(
            "performance.lmbench",
            Plant::Answer("lmbench measures nothing", |lab| {
                lab.answer(|_, line| {
                    let runs = line.starts_with("cd /var/tmp/xenrt-media/lmbench");
                    runs.then(|| SimAnswer::text(""))
                });
            }),
            "cannot understand lmbench",
        ),
        row(
            "performance.throughput",
            Plant::Answer("disks are a fifth slower than in the baseline", |lab| {
                beyond::copies(lab, "10 101\n");
            }),
            "disk read regressed by 17 %",
        )
        .with(&[(
            "baseline",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/simulated-rates.json"),
        )]),
        broken("scalability.boot_storm", D::RebootIgnored, "of 6 guests did not reboot"),
        broken("scalability.concurrent_lives", D::DeleteLeavesDefinition, "did not end"),
        broken("scalability.many_guests", D::OutOfMemoryUnnamed, "beside 3 guests")
            .with(&[("memory", "20480")]),
        broken("scalability.many_networks", D::NetworkStays, "were removed and are still there"),
        broken("scalability.parallel_starts", D::MoreGuestsLost, "did not come up")
            .with(&[("numdesktops", "12"), ("workers", "12")]),
        row(
            "scalability.start_times",
            Plant::Faults("each start takes 2 s longer than the one before", || {
                let slower =
                    |n: u64| Fault::latency(Duration::from_secs(2 * n)).verb("start").nth(n);
                (1..=10).map(slower).collect()
            }),
            "makes the next start slower by 2.00 s",
        ),
        row(
            "security.event_storm",
            Plant::When("logins into others hang in a storm", "iperf -u", || {
                Fault::hang().call(SimCall::Inside).times(3)
            }),
            "did not answer for",
        )
        .with(&[("seconds", "40"), ("max_outage", "5s")]),
        row(
            "security.spoofing_locked",
            Plant::Answer("a lock of a VIF does not lock", |lab| {
                lab.answer(|place, line| {
                    (place.guest.is_some()
                        && line.starts_with("ping ")
                        && line.contains(" 10.99.5."))
                    .then(|| SimAnswer::text("0% packet loss\n"))
                });
            }),
            "under another hardware address guest",
        ),
        row(
            "security.xenstore_flood",
            Plant::Answer("no quota stops a guest that fills xenstore", |lab| {
                lab.answer(|place, line| {
                    let flood =
                        place.guest.is_some() && line.contains("xenstore-write data/xenrt/$i");
                    flood.then(|| SimAnswer::text("5000\n").taking(Duration::from_secs(60)))
                });
            }),
            "no quota stopped it",
        ),
        row(
            "security.xenstore_permissions",
            Plant::Answer("a guest reads what is another one's in xenstore", |lab| {
                lab.answer(|place, line| {
                    let foreign =
                        place.guest.is_some() && line.starts_with("xenstore-read /local/domain/");
                    foreign.then(|| SimAnswer::text("7\n"))
                });
            }),
            "of guest",
        ),
        row("snapshot.checkpoint", Plant::Defect(D::ResumeBootsAnew), "booted anew"),
        row("snapshot.many", REVERT_IGNORED, "after a revert to snapshot 1"),
        row("snapshot.revert_disks", REVERT_IGNORED, "holds block 0 of pattern 2"),
        row("snapshot.revert_under_load", REVERT_IGNORED, "holds block 0 of pattern 2"),
        row("snapshot.tree", REVERT_IGNORED, "after a revert to root"),
        row("storage.concurrent_io", LOST_WRITE, "holds zeros"),
        row("storage.data_survives_restart", LOST_WRITE, "holds zeros"),
        row("storage.data_survives_suspend", LOST_WRITE, "holds zeros"),
        row("storage.disk_travels", LOST_WRITE, "holds zeros"),
        row(
            "storage.host_full",
            Plant::Answer("a write to a disk without room is called done", |lab| {
                room::teach(lab, true);
            }),
            "whose storage has no room for them",
        ),
        row(
            "storage.io_error",
            Plant::Answer("a disk whose storage fails reads as zeros", failure_hidden),
            "while the storage under it failed",
        ),
        row(
            "storage.iscsi_path_loss",
            Plant::Answer("a write fails as soon as its storage is away", |lab| {
                beyond::writes_that_do_not_wait(lab);
            }),
            "failed while its storage was away",
        ),
        row("storage.many_disks", LOST_WRITE, "holds zeros"),
        row("storage.multiple_disks", LOST_WRITE, "holds zeros"),
        row(
            "storage.new_disk_is_blank",
            Plant::Answer("a new disk holds what another guest wrote", dirty_disks),
            "is not blank",
        ),
        row(
            "storage.nfs_path_loss",
            Plant::Answer("a write is called done while its storage is away", |lab| {
                beyond::writes_into_nothing(lab);
            }),
            "to which there was no path",
        ),
        broken("storage.read_only", D::DiskReadOnlyLost, "is read-only and was written"),
        row(
            "storage.sizes",
            Plant::Answer("sizes of disks are rounded to MiB", |lab| {
                lab.answer(|_, line| line.ends_with("/size").then(|| SimAnswer::text("2048\n")));
            }),
            "the guest sees \"2048\" sectors",
        ),
        row(
            "stress.burnintest",
            Plant::Answer("BurnInTest finds errors", |lab| {
                lab.answer(|_, line| {
                    line.starts_with("Set-Location C:\\xenrt\\burnintest").then(|| {
                        SimAnswer::text("TEST RUN FAILED\n").taking(Duration::from_secs(60))
                    })
                });
            }),
            "burnintest found",
        ),
        broken("stress.interrupted_boots", D::PowerOffIgnored, "to be Halted"),
        broken("stress.lifecycle_loop", D::RebootIgnored, "to have rebooted"),
        broken("stress.mixed_operations", D::ResumeBootsAnew, "booted anew instead of going on"),
        row(
            "stress.under_load",
            Plant::Answer("a busy guest computes wrong results", |lab| {
                lab.answer(|_, line| {
                    line.starts_with("stress-ng").then(|| stress_ng("fail: ")).flatten()
                });
            }),
            "stress-ng found",
        ),
        row(
            "stress.workloads",
            Plant::Answer("a busy guest computes wrong results", |lab| {
                lab.answer(|_, line| {
                    line.starts_with("stress-ng").then(|| stress_ng("fail: ")).flatten()
                });
            }),
            "stress-ng found",
        ),
    ]
}
