//! Broken doubles that the suite must turn red, each by a check that is meant for it: a test of the
//! tests, of the back end between them, and of the double.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use xenrt_core::conformance::{Profile, Suite, checks};
use xenrt_core::model::Host;
use xenrt_xapi::double::{Defect, DryGuests, World};

use crate::dry;
use crate::world::Simulated;

/// A broken double, and the checks of which one must be red.
type Mutant = (Defect, &'static [&'static str]);

const MUTANTS: &[Mutant] = &[
    (Defect::SuspendIgnored, &["memory.suspend"]),
    (Defect::SuspendLeavesDomain, &["memory.suspend"]),
    (Defect::ResumeBootsAnew, &["memory.resume_goes_on"]),
    (Defect::ShutdownLeavesDomain, &["power.off_paused"]),
    (Defect::PowerOffIgnored, &["power.off_paused"]),
    (Defect::StartPausedRuns, &["power.start_paused"]),
    (Defect::PauseHiddenFromHypervisor, &["power.start_paused"]),
    (Defect::RebootIgnored, &["power.reset"]),
    (Defect::RebootHalts, &["power.reset"]),
    (Defect::RebootLosesVif, &["power.reboot_keeps"]),
    (Defect::CrashReportedRunning, &["power.crash"]),
    (Defect::UninstallLeavesDisks, &["life.delete_removes_disks"]),
    (Defect::UninstallLeavesVm, &["life.delete_twice"]),
    (Defect::VbdTakesDisk, &["define.existing_disk_stays"]),
    (Defect::VcpusIgnored, &["define.vcpus"]),
    (Defect::MemoryLimitsIgnored, &["define.memory"]),
    (Defect::MacIgnored, &["define.mac"]),
    (Defect::SecondVifDropped, &["define.vifs"]),
    (Defect::VifOnFirstNetwork, &["devices.vif_on_network"]),
    (Defect::VifDestroysFirst, &["devices.detach_the_right_vif"]),
    (Defect::VifPlugIgnored, &["devices.attach_vif_as"]),
    (Defect::VbdPlugIgnored, &["devices.attach_disk_as"]),
    (Defect::ReadOnlyLost, &["define.read_only"]),
    (Defect::DeviceIgnored, &["define.disk_device"]),
    (Defect::VdiDestroyIgnored, &["devices.detach_disk"]),
    (Defect::DisksHidden, &["host.inventory"]),
    (Defect::NamesTruncated, &["names.hundred"]),
    (Defect::UnicodeLost, &["names.unicode"]),
    (Defect::VcpuHotplugIgnored, &["resources.more_vcpus"]),
    (Defect::VcpusForgottenAtBoot, &["resources.vcpus_survive_reboot"]),
    (Defect::DynamicRangeIgnored, &["resources.less_memory"]),
    (Defect::MigrateLeavesSource, &["migration.leaves_source"]),
    (Defect::MigrateReboots, &["migration.goes_on"]),
    (Defect::MigrateLosesVif, &["migration.keeps"]),
    (Defect::NetworkStays, &["network.remove"]),
    (Defect::ControlDomainHidden, &["host.control_domain"]),
    (Defect::HaltedHidden, &["define.listed"]),
    (Defect::AddressOfAnother, &["reach.login_is_into_it"]),
    (Defect::MissingUnnamed, &["life.request_when_gone"]),
    (Defect::OutOfMemoryUnnamed, &["define.too_much_memory"]),
    (Defect::Overcommits, &["define.too_much_memory"]),
    (Defect::FreeMemoryStands, &["resources.free_memory"]),
];

/// How many pools are tried at the same time: most of it is waiting for what does not come.
const AT_ONCE: usize = 6;

/// Two hosts of a pool of the double, and how the world was.
struct Lab {
    first: Simulated,
    _second: Simulated,
    hosts: [Arc<dyn Host>; 2],
    pristine: World,
}

impl Lab {
    async fn start() -> Self {
        let mut world = World::small();
        world.add_host("other", "192.0.2.11");
        let first = Simulated::start_host(&world, "xapi-sim");
        let second = first.start_beside("other");
        let guests = DryGuests::new(first.double.clone());
        let deadline = Some(Duration::from_secs(6));
        let host = dry::connect_within(&first, "xapi-sim", &guests, deadline).await;
        let other = dry::connect_within(&second, "other", &guests, deadline).await;
        Self { first, _second: second, hosts: [host, other], pristine: world }
    }

    /// Holds a new world with this defect against some checks.
    async fn profile_of(&self, defect: Option<Defect>, names: &[&str]) -> Profile {
        let mut world = self.pristine.clone();
        world.set_defect(defect);
        self.first.double.change(|own| *own = world).unwrap();
        let [host, other] = &self.hosts;
        let suite = Suite::new(Arc::clone(host)).second_host(Arc::clone(other));
        names.iter().fold(suite, |suite, name| suite.filter(*name)).run().await
    }

    async fn try_all(&self, mutants: &[Mutant]) -> Vec<(Mutant, Vec<String>)> {
        let mut tried = Vec::new();
        for mutant in mutants {
            let profile = self.profile_of(Some(mutant.0), mutant.1).await;
            let red = profile.red().map(|check| {
                let why = check.verdict.message().lines().next().unwrap_or_default();
                format!("{}: {}", check.name, why.chars().take(110).collect::<String>())
            });
            tried.push((*mutant, red.collect()));
        }
        tried
    }
}

#[test]
fn every_defect_has_a_mutant_and_every_mutant_checks_that_exist() {
    let defects: Vec<Defect> = MUTANTS.iter().map(|(defect, _)| *defect).collect();
    assert_eq!(defects.len(), Defect::ALL.len());
    assert!(Defect::ALL.iter().all(|defect| defects.contains(defect)));
    for meant in MUTANTS.iter().flat_map(|(_, meant)| *meant) {
        assert!(checks().any(|check| check.name == *meant), "{meant}");
    }
}

#[tokio::test]
async fn every_broken_double_is_found_out_by_a_check_that_is_meant_for_it() {
    let share = MUTANTS.len().div_ceil(AT_ONCE);
    let tried = stream::iter(MUTANTS.chunks(share)).map(|mutants| async move {
        let lab = Lab::start().await;
        // The sound double passes the same checks, within the same deadlines.
        let names: Vec<&str> = mutants.iter().flat_map(|(_, meant)| *meant).copied().collect();
        let sound = lab.profile_of(None, &names).await;
        assert!(sound.conforms(), "{sound}");
        lab.try_all(mutants).await
    });
    let tried: Vec<_> = tried.buffered(AT_ONCE).collect::<Vec<_>>().await.concat();
    let mut survivors = Vec::new();
    for ((defect, meant), red) in &tried {
        let own =
            red.iter().find(|red| meant.iter().any(|name| red.starts_with(&format!("{name}: "))));
        let verdict = if own.is_some() { "killed" } else { "SURVIVED" };
        let by = own.or(red.first()).map_or("-", String::as_str);
        println!("{verdict:<8}  {:<28}{by}", format!("{defect:?}"));
        if own.is_none() {
            survivors.push(*defect);
        }
    }
    assert!(survivors.is_empty(), "{survivors:?}");
    assert!(tried.len() >= 40, "{}", tried.len());
}
