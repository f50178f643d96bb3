//! The suite that every toolstack must pass, through real ssh to the double.

use std::collections::BTreeMap;
use std::time::Instant;

use xenrt_core::conformance::{Profile, Suite, Verdict};
use xenrt_xapi::double::{DryGuests, World};

use crate::dry;
use crate::world::Simulated;

/// What xapi cannot do, and what the reason must say.
const ABSENT: &[(&str, &str)] = &[
    ("save", "its own storage alone"),
    ("console_log", "does not record the consoles"),
    ("networks", "xapi has one network for each interface"),
];

/// Holds a pool of two hosts of the double against the suite.
async fn profile_of(first: &Simulated, narrow: impl FnOnce(Suite) -> Suite) -> Profile {
    let second = first.start_beside("other");
    // What is in the memory of a guest goes with it.
    let guests = DryGuests::new(first.double.clone());
    let host = dry::connect(first, "xapi-sim", &guests).await;
    let other = dry::connect(&second, "other", &guests).await;
    narrow(Suite::new(host).second_host(other).at_once(6)).run().await
}

fn pool() -> Simulated {
    let mut world = World::small();
    world.add_host("other", "192.0.2.11");
    Simulated::start_host(&world, "xapi-sim")
}

#[tokio::test]
async fn xapi_conforms() {
    let started = Instant::now();
    let first = pool();
    let profile = profile_of(&first, |suite| {
        suite.on_result(move |result| {
            let at = started.elapsed().as_secs_f64();
            eprintln!("{at:6.1} {} {:?}", result.name, result.verdict);
        })
    })
    .await;
    assert!(profile.conforms(), "{profile}");
    let mut absent = BTreeMap::new();
    for check in &profile.checks {
        if let Verdict::AbilityAbsent(reason) = &check.verdict {
            let why = ABSENT
                .iter()
                .find(|(ability, why)| reason.starts_with(ability) && reason.contains(why));
            assert!(why.is_some(), "{}: {reason}", check.name);
            absent.entry(reason.as_str()).or_insert_with(Vec::new).push(check.name.as_str());
        }
    }
    println!("{}\nabsent: {absent:#?}", profile.summary());
    let passed = profile.checks.iter().filter(|check| check.verdict == Verdict::Passed).count();
    assert!(passed > 150, "{}", profile.summary());
    assert!(first.double.rules_are_used_up().unwrap());
}
