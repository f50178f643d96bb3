//! The suite that every toolstack must pass, through real ssh to the double.

use xenrt_core::conformance::Suite;
use xenrt_xapi::double::World;

use crate::dry;
use crate::world::Simulated;

/// What the suite takes for granted and xapi does otherwise, with the reason.
const OTHERWISE: &[(&str, &str)] = &[
    ("define.disks", "a disk is a VDI, and its path no file of dom0"),
    ("define.copy_is_private", "a disk is copied from a VDI, not from a file of dom0"),
    ("define.existing_disk_stays", "an existing disk is a VDI, not a file of dom0"),
    ("power.crash", "guests of the double have no kernel that could crash"),
    ("power.off_crashed", "guests of the double have no kernel that could crash"),
    ("network.names", "a network has a name beside its bridge, which may be any text"),
];

#[tokio::test]
async fn xapi_conforms() {
    let mut world = World::small();
    world.add_host("other", "192.0.2.11");
    let first = Simulated::start_host(&world, "xapi-sim");
    let second = first.start_beside("other");
    // What is in the memory of a guest goes with it.
    let memory = dry::Memory::default();
    let host = dry::connect(&first, "xapi-sim", &memory).await;
    let other = dry::connect(&second, "other", &memory).await;
    let profile = Suite::new(host)
        .second_host(other)
        .on_result(|result| eprintln!("{} {:?}", result.name, result.verdict))
        .run()
        .await;
    let red: Vec<&str> = profile.red().map(|check| check.name.as_str()).collect();
    let expected: Vec<&str> = OTHERWISE.iter().map(|(name, _)| *name).collect();
    let unexpected: Vec<&&str> = red.iter().filter(|name| !expected.contains(name)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}\n{profile}");
    assert_eq!(profile.left, Vec::<String>::new());
    let passed = profile.summary();
    assert!(profile.checks.len() > 150, "{passed}");
}
