//! Tests packed over hosts, on virtual time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use xenrt_core::sequence::{Claim, HostChoice};
use xenrt_core::sequencer::CancelHandle;

use crate::support::{FakeLab, args, host_step, parallel, run_plan, test, with};

/// How long a run takes, in seconds of virtual time, of tests that each take so many seconds and
/// have a host for themselves.
async fn makespan(seconds: &[u64], hosts: usize, known: bool) -> u64 {
    let mut takes = case!("t.takes", |cx| {
        let seconds = cx.args().require("seconds")?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(())
    });
    takes.claims.host = Claim::Exclusive;
    let steps = seconds.iter().enumerate().map(|(number, seconds)| {
        with(args(test("t.takes"), &[("seconds", &seconds.to_string())]), |test| {
            test.host = Some(HostChoice::Any);
            test.name = Some(format!("takes-{number}").into());
        })
    });
    let steps = vec![parallel(None, steps.collect::<Vec<_>>())];
    let names: Vec<String> = (0..hosts).map(|number| format!("h{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let lab = Arc::new(FakeLab::of(&names));
    let host_steps = (0..u32::try_from(hosts).unwrap()).map(|id| host_step(id, None, &[]));
    let durations = seconds
        .iter()
        .enumerate()
        .map(|(number, seconds)| (format!("t/takes-{number}"), Duration::from_secs(*seconds)));
    let durations = if known { durations.collect() } else { HashMap::new() };
    let started = tokio::time::Instant::now();
    let cancel = CancelHandle::new();
    let outline = run_plan(vec![takes], host_steps.collect(), steps, cancel, |options| {
        options.provider = Some(lab);
        options.durations = durations;
    })
    .await;
    assert_eq!(outline.report.summary.passed as usize, seconds.len());
    started.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn known_durations_pack_tests_near_the_lower_bound_and_better_than_the_order_of_the_file() {
    // Pseudo-random durations with a few long ones, which the order of the file has last: the worst
    // that a file can do, and what files do whose soak tests stand at the end.
    let mut number = 12345_u64;
    let mut seconds: Vec<u64> = (0..40)
        .map(|_| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            20 + (number >> 33) % 300
        })
        .collect();
    seconds.extend([900, 700, 1500]);
    for hosts in [2, 3, 5] {
        let all: u64 = seconds.iter().sum();
        let longest = *seconds.iter().max().unwrap();
        let bound = longest.max(all.div_ceil(hosts as u64));
        let packed = makespan(&seconds, hosts, true).await;
        let in_order = makespan(&seconds, hosts, false).await;
        assert!(packed < in_order, "{hosts} hosts: packed {packed} s, in order {in_order} s");
        // Longest first is never worse than 4/3 of the best; with many short tests it is close.
        assert!(packed * 100 <= bound * 105, "{hosts} hosts: {packed} s, at least {bound} s");
    }
}
