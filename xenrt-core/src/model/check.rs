//! Holding what is against what should be.

use std::collections::BTreeSet;
use std::fmt;

use super::{DomainView, ExpectedGuest, GuestView, InsideView, Memory, PowerState};

/// From where something was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// What the toolstack says.
    Toolstack,
    /// What the hypervisor says.
    Hypervisor,
    /// What is seen inside the guest.
    Guest,
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Toolstack => "toolstack",
            Self::Hypervisor => "hypervisor",
            Self::Guest => "inside the guest",
        })
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// Where it was seen.
    pub view: View,
    /// What differs: `power state`, `vCPUs`, `memory`, `VIFs`, ...
    pub what: String,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

/// Everything about one guest or host that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CheckReport {
    /// What was checked: `guest "tiny"`.
    pub object: String,
    /// All differences; a report is only made when there is one.
    pub differences: Vec<Difference>,
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not as it should be:", self.object)?;
        for (index, difference) in self.differences.iter().enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            let Difference { view, what, expected, found } = difference;
            write!(f, "{separator} {what} ({view}): expected {expected}, found {found}")?;
        }
        Ok(())
    }
}

/// Memory may differ by this much, or by 5 %, before it counts as a difference: kernels keep some
/// for themselves and toolstacks round (the original's allowance, objects.py `check`).
const MEMORY_ALLOWANCE: Memory = Memory::mib(16);

/// All differences between what a guest should be and up to three views of it. A view that was not
/// taken (`None`) is not compared, except that a missing domain is a difference of its own when the
/// guest should have one.
pub fn compare_guest(
    expected: &ExpectedGuest,
    toolstack: Option<&GuestView>,
    hypervisor: Option<Option<&DomainView>>,
    inside: Option<&InsideView>,
) -> Vec<Difference> {
    let mut differences = Differences(Vec::new());
    if let Some(view) = toolstack {
        differences.equal(View::Toolstack, "power state", expected.power, view.power);
        differences.equal(View::Toolstack, "vCPUs", expected.vcpus, view.vcpus);
        differences.memory(View::Toolstack, expected.memory, view.memory);
        differences.set(
            View::Toolstack,
            "disks",
            expected.disks.iter().map(|disk| disk.device.clone()),
            view.disks.iter().map(|disk| disk.device.clone()),
        );
        differences.set(
            View::Toolstack,
            "VIFs",
            expected.vifs.iter().map(|vif| vif.mac.to_string()),
            view.vifs.iter().map(|vif| vif.mac.to_string()),
        );
    }
    match hypervisor {
        Some(Some(domain)) if expected.power.has_domain() => {
            differences.equal(View::Hypervisor, "power state", expected.power, domain.power);
            // What the guest's own kernel and drivers have to do is not done before they are up: Xen
            // counts the vCPUs that were brought up - of a PV guest all that it can have, until it
            // lets go of those that it should not use (Linux, drivers/xen/cpu_hotplug.c,
            // setup_cpu_watcher) -, and QEMU keeps the most memory for the guest until some is given
            // back.
            let up = expected.reachable;
            let most = toolstack.map_or(0, |view| view.max_vcpus).max(expected.vcpus);
            if up || !(1..=most).contains(&domain.vcpus) {
                differences.equal(View::Hypervisor, "vCPUs", expected.vcpus, domain.vcpus);
            }
            if up || domain.memory < expected.memory {
                differences.memory(View::Hypervisor, expected.memory, domain.memory);
            }
        }
        Some(Some(domain)) => {
            let found = format!("domain {} ({})", domain.domid, domain.power);
            differences.equal(View::Hypervisor, "domain", "none".to_owned(), found);
        }
        Some(None) if expected.power.has_domain() => {
            let wanted = format!("one that is {}", expected.power);
            differences.equal(View::Hypervisor, "domain", wanted, "none".to_owned());
        }
        Some(None) | None => {}
    }
    if let Some(view) = inside.filter(|_| expected.power == PowerState::Running) {
        differences.equal(View::Guest, "vCPUs", expected.vcpus, view.vcpus);
        differences.inside_memory(expected.memory, view.memory);
        differences.set(
            View::Guest,
            "network interfaces",
            expected.vifs.iter().map(|vif| vif.mac.to_string()),
            view.macs.iter().map(ToString::to_string),
        );
        differences.set(
            View::Guest,
            "disks",
            expected.disks.iter().map(|disk| disk.device.clone()),
            view.disks.iter().cloned(),
        );
    }
    differences.0
}

struct Differences(Vec<Difference>);

impl Differences {
    fn equal<T: PartialEq + fmt::Display>(
        &mut self,
        view: View,
        what: &str,
        expected: T,
        found: T,
    ) {
        if expected != found {
            self.0.push(Difference {
                view,
                what: what.to_owned(),
                expected: expected.to_string(),
                found: found.to_string(),
            });
        }
    }

    fn set(
        &mut self,
        view: View,
        what: &str,
        expected: impl Iterator<Item = String>,
        found: impl Iterator<Item = String>,
    ) {
        let show = |items: BTreeSet<String>| match items.len() {
            0 => "none".to_owned(),
            _ => items.into_iter().collect::<Vec<_>>().join(", "),
        };
        self.equal(view, what, show(expected.collect()), show(found.collect()));
    }

    fn memory(&mut self, view: View, expected: Memory, found: Memory) {
        let allowance = MEMORY_ALLOWANCE.max(Memory::bytes(expected.as_bytes() / 20));
        if expected.abs_diff(found) > allowance {
            self.equal(view, "memory", expected, found);
        }
    }

    /// A kernel reports what it was given less its own image and page tables, so too little is
    /// judged generously (a quarter, at least 64 MiB: a PVH guest of
    /// 192 MiB with a distribution's kernel counts 142), too much as strictly as elsewhere.
    fn inside_memory(&mut self, expected: Memory, found: Memory) {
        let least =
            expected.as_bytes() - (expected.as_bytes() / 4).max(64 << 20).min(expected.as_bytes());
        let most = expected.as_bytes() + MEMORY_ALLOWANCE.as_bytes();
        if !(least..=most).contains(&found.as_bytes()) {
            self.equal(View::Guest, "memory", expected, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Disk, Vif};

    fn expected() -> ExpectedGuest {
        ExpectedGuest {
            power: PowerState::Running,
            vcpus: 2,
            memory: Memory::mib(256),
            disks: vec![Disk { device: "xvda".into(), path: "/d".into(), read_only: false }],
            vifs: vec![Vif {
                index: 0,
                mac: "00:16:3e:00:00:01".parse().unwrap(),
                network: "b".into(),
            }],
            address: None,
            reachable: true,
        }
    }

    fn views() -> (GuestView, DomainView, InsideView) {
        let e = expected();
        let toolstack = GuestView {
            power: e.power,
            vcpus: 2,
            max_vcpus: 2,
            memory: e.memory,
            disks: e.disks.clone(),
            vifs: e.vifs.clone(),
        };
        let domain = DomainView {
            domid: 3,
            name: "g".into(),
            uuid: None,
            power: e.power,
            vcpus: 2,
            memory: Memory::mib(255),
            cpu_seconds: 1.0,
        };
        let inside = InsideView {
            vcpus: 2,
            memory: Memory::mib(214),
            macs: vec![e.vifs[0].mac],
            disks: vec!["xvda".into()],
        };
        (toolstack, domain, inside)
    }

    #[test]
    fn agreement_is_silent() {
        let (toolstack, domain, inside) = views();
        let found =
            compare_guest(&expected(), Some(&toolstack), Some(Some(&domain)), Some(&inside));
        assert_eq!(found, []);
    }

    #[test]
    fn every_difference_of_every_view_is_told_in_one_report() {
        let (mut toolstack, mut domain, mut inside) = views();
        toolstack.power = PowerState::Paused;
        toolstack.disks.clear();
        domain.vcpus = 1;
        domain.memory = Memory::mib(128);
        inside.vcpus = 1;
        inside.macs.clear();
        inside.memory = Memory::mib(100);
        let differences =
            compare_guest(&expected(), Some(&toolstack), Some(Some(&domain)), Some(&inside));
        insta::assert_snapshot!(CheckReport { object: "guest \"g\"".into(), differences });
    }

    #[test]
    fn a_guest_that_boots_may_have_all_vcpus_that_it_can_have_and_no_more() {
        let (mut toolstack, mut domain, _) = views();
        (toolstack.max_vcpus, domain.vcpus) = (4, 4);
        let mut booting = expected();
        booting.reachable = false;
        let differences = |expected: &ExpectedGuest, domain: &DomainView| {
            compare_guest(expected, Some(&toolstack), Some(Some(domain)), None).len()
        };
        assert_eq!(differences(&booting, &domain), 0);
        assert_eq!(differences(&expected(), &domain), 1);
        domain.vcpus = 5;
        assert_eq!(differences(&booting, &domain), 1);
    }

    #[test]
    fn a_domain_that_should_not_be_is_a_difference_and_so_is_a_missing_one() {
        let (_, domain, _) = views();
        let mut halted = expected();
        halted.power = PowerState::Halted;
        assert_eq!(compare_guest(&halted, None, Some(Some(&domain)), None).len(), 1);
        assert_eq!(compare_guest(&halted, None, Some(None), None), []);
        assert_eq!(compare_guest(&expected(), None, Some(None), None).len(), 1);
    }
}
