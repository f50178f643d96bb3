//! The suite that every toolstack must pass, on QEMU.

use xenrt_core::conformance::{Suite, Verdict};

use crate::world::World;

/// What QEMU cannot do, or libvirt with it, and what the reason must say.
const ABSENT: &[(&str, &str)] = &[
    ("vcpu_hotplug", "never tells libvirt that a vCPU"),
    ("rename_running", "only while they are inactive"),
    ("pool", "the machine that the tests run on"),
];

/// Names the checks to be run, by parts of their names and separated by commas; all without it.
const CHECKS: &str = "XENRT_CHECKS";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `qemu_conforms` in name spaces of its own"]
async fn inside() {
    let mut world = World::new();
    let mut suite = Suite::new(world.connect().await)
        .second_host(world.connect_apart().await)
        .on_result(|result| eprintln!("{} {:?} {:?}", result.name, result.seconds, result.verdict));
    let wanted = std::env::var(CHECKS).unwrap_or_default();
    for name in wanted.split(',').filter(|name| !name.is_empty()) {
        suite = suite.filter(name);
    }
    let profile = suite.run().await;
    eprintln!("{}", profile.summary());
    let red: Vec<&str> = profile.red().map(|check| check.name.as_str()).collect();
    assert_eq!(red, Vec::<&str>::new(), "{profile}");
    for check in &profile.checks {
        if let Verdict::AbilityAbsent(reason) = &check.verdict {
            let known = ABSENT
                .iter()
                .any(|(ability, why)| reason.starts_with(ability) && reason.contains(why));
            assert!(known, "{}: {reason}", check.name);
        }
    }
    assert_eq!(profile.left, Vec::<String>::new());
}
