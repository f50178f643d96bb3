//! The suite that every toolstack must pass, on `test:///default`: in a process of its own, since
//! all that use that driver in one process share its world.

#![cfg(feature = "virt")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

#[path = "../driver/world.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod world;

use xenrt_core::conformance::{Suite, Verdict};

use world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_for_tests_conforms() {
    let world = World::new().await;
    let profile = Suite::new(world.host.clone())
        .on_result(|result| eprintln!("{} {:?}", result.name, result.verdict))
        .run()
        .await;
    let red: Vec<&str> = profile.red().map(|check| check.name.as_str()).collect();
    assert_eq!(red, Vec::<&str>::new(), "{profile}");
    assert_eq!(profile.left, Vec::<String>::new());
    let passed = profile.checks.iter().filter(|check| check.verdict == Verdict::Passed).count();
    assert!(passed >= 150, "{passed} passed\n{profile}");
}
