//! The suite that every toolstack must pass, on `test:///default`.

use xenrt_core::conformance::{Suite, Verdict};

use crate::world::World;

/// What the suite takes for granted and the driver does otherwise, with the reason.
const OTHERWISE: &[(&str, &str)] = &[];

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_for_tests_conforms() {
    let world = World::new().await;
    let profile = Suite::new(world.host.clone())
        .on_result(|result| eprintln!("{} {:?}", result.name, result.verdict))
        .run()
        .await;
    let red: Vec<&str> = profile.red().map(|check| check.name.as_str()).collect();
    let expected: Vec<&str> = OTHERWISE.iter().map(|(name, _)| *name).collect();
    assert_eq!(red, expected, "{profile}");
    assert_eq!(profile.left, Vec::<String>::new());
    let passed = profile.checks.iter().filter(|check| check.verdict == Verdict::Passed).count();
    assert!(passed > 120, "{passed} passed\n{profile}");
}
