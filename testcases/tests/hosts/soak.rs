//! Soaks of a real Xen host: what is planted in it is found and named, and where nothing is, nothing is.

use std::sync::Arc;

use tokio::sync::mpsc;
use xenrt::prelude::*;
use xenrt::sequencer::ExitCode;
use xenrt::testcase::Outcome;

use super::lab::{OpenLab, run_text};

/// How long one lasts.
const DURATION: &str = "30m";

/// A sequence of one test.
fn sequence(test: &str, args: &str) -> String {
    format!(
        "<xenrt><prepare><host id=\"0\"/></prepare><testsequence>\
         <testcase id=\"{test}\">{args}</testcase></testsequence></xenrt>"
    )
}

/// Runs it in a lab; `plant` is given the lab and each step of the test as it begins.
async fn soak<F>(
    text: &str,
    mut plant: impl FnMut(Arc<OpenLab>, String) -> F + Send + 'static,
) -> Outcome
where
    F: Future<Output = ()> + Send,
{
    let folder = tempfile::tempdir().unwrap();
    let lab = Arc::new(OpenLab::default());
    let (steps, mut heard) = mpsc::unbounded_channel::<String>();
    let planter = tokio::spawn({
        let lab = Arc::clone(&lab);
        async move {
            while let Some(step) = heard.recv().await {
                plant(Arc::clone(&lab), step).await;
            }
        }
    });
    let report = run_text(text, lab, folder.path(), steps).await;
    planter.await.unwrap();
    let outcome = report.results[0].outcome.clone();
    println!("{} {:?}", report.results[0].test.id, outcome);
    assert_eq!(outcome == Outcome::Passed, report.exit_code == ExitCode::AllPassed);
    outcome
}

fn drift() -> String {
    sequence("host.dom0_drift", &format!("<arg>duration={DURATION}</arg>"))
}

/// Reads lines, and keeps 1 MiB for each.
const LEAKY: &str = "tail -n 0 -F /tmp/xrt-leaks 2>/dev/null | \
                     perl -ne 'BEGIN { $0 = \"xrt-leaky\" } $kept[$.] = \"x\" x 1048576'";

async fn grows(lab: Arc<OpenLab>, step: String) {
    let dom0 = lab.host().dom0();
    if step == "Cycle 1" {
        let start = format!(": > /tmp/xrt-leaks; ({LEAKY}) </dev/null >/dev/null 2>&1 &");
        dom0.run(&Command::shell_line(start)).await.unwrap();
    }
    if step.starts_with("Cycle ") {
        dom0.run(&Command::shell_line("echo >> /tmp/xrt-leaks")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "in `cargo xtask test nightly`"]
async fn nothing_is_found_where_nothing_leaks() {
    assert_eq!(soak(&drift(), |_, _| async {}).await, Outcome::Passed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "in `cargo xtask test nightly`"]
async fn a_process_that_keeps_a_mebibyte_of_each_cycle_is_named() {
    let Outcome::Failed { message, .. } = soak(&drift(), grows).await else {
        panic!("the leak was not found")
    };
    assert!(message.contains("dom0 leaks memory: xrt-leaky (process "), "{message}");
    // Nothing else is blamed.
    assert_eq!(message.matches("keeps ").count(), 1, "{message}");
    let kept = message.split("keeps ").nth(1).and_then(|rest| rest.split(' ').next());
    let kept: f64 = kept.and_then(|kib| kib.parse().ok()).unwrap();
    assert!((900.0..1200.0).contains(&kept), "{message}");
}

/// Waits until each guest is up for the fourth time, once for the preparation and in the third cycle, and
/// stops the daemon that has a page of each mapped. Xen keeps a domain that is destroyed until nobody has any of
/// it (xen/common/domain.c, `domain_kill`).
const HOLD: &str = "cd /var/log/xen/console; until all=yes; for log in guest-xrt-domain_leaks-*.log; \
                    do [ $(grep -a -c 'xenrt-guest .* up' $log) -ge 4 ] || all=; done; [ -n \"$all\" ]; \
                    do sleep 0.2; done; kill -STOP $(pidof xenconsoled)";

async fn becomes_a_zombie(lab: Arc<OpenLab>, step: String) {
    if step.ends_with("cycle 2") {
        let hold = Command::shell_line(HOLD).deadline(Duration::from_secs(300));
        lab.host().dom0().run(&hold).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "in `cargo xtask test nightly`"]
async fn a_domain_that_is_kept_as_a_zombie_is_named() {
    let text = sequence("host.domain_leaks", "<arg>loops=6</arg>");
    let Outcome::Failed { message, .. } = soak(&text, becomes_a_zombie).await else {
        panic!("the domain was not found")
    };
    assert!(message.contains("round 3 of 6"), "{message}");
    // Its guests are named, and what became of them.
    assert!(message.contains("guest xrt-domain_leaks-1 to be Halted"), "{message}");
    assert!(message.contains("last seen: Dying"), "{message}");
}
