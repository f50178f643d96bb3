//! The suite that every toolstack must pass, on QEMU.

use xenrt_core::conformance::Suite;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `qemu_conforms` in name spaces of its own"]
async fn inside() {
    let world = World::new();
    let profile = Suite::new(world.connect().await)
        .on_result(|result| eprintln!("{} {:?} {:?}", result.name, result.seconds, result.verdict))
        .run()
        .await;
    eprintln!("{}", profile.summary());
    let red: Vec<&str> = profile.red().map(|check| check.name.as_str()).collect();
    assert_eq!(red, Vec::<&str>::new(), "{profile}");
    assert_eq!(profile.left, Vec::<String>::new());
}
