//! `verdicts.seq` on two simulated hosts, and on two real Xen hosts of the virtual lab: every test
//! has the verdict that the documentation of the sequencer promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};

use xenrt::lab::LabProvider;
use xenrt::report::Reporter;
use xenrt::sequencer::{CancelHandle, Event, EventKind, ExitCode, Plan, RunOptions, run};
use xenrt::sim::SimLab;
use xenrt::testcase::Registry;
use xenrt::virtual_lab::VirtualLabProvider;
use xenrt_testcases as _;

/// The attempts that were not the only ones of their tests.
#[derive(Clone, Default)]
struct Attempts(Arc<Mutex<Vec<(u32, u32)>>>);

impl Reporter for Attempts {
    fn name(&self) -> String {
        "attempts".to_owned()
    }

    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        if let EventKind::AttemptFinished { attempt, round, .. } = &event.what {
            self.0.lock().unwrap().push((*round, *attempt));
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn every_test_has_the_verdict_that_its_name_says_on_simulated_hosts() {
    verdicts(Arc::new(SimLab::builder().hosts(2).build())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_test_has_the_verdict_that_its_name_says() {
    verdicts(Arc::new(VirtualLabProvider::new())).await;
}

async fn verdicts(lab: Arc<dyn LabProvider>) {
    let text = include_str!("../sequences/verdicts.seq");
    let sequence = xenrt::sequence::parse(text, "verdicts.seq").unwrap();
    let plan = Plan::new(&sequence, &Registry::global().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let attempts = Attempts::default();
    let options = RunOptions::new(folder.path()).provider(lab).reporter(attempts.clone());
    let report = run(plan, options, CancelHandle::new()).await;
    let told = report.results.iter().map(|result| {
        let marks = match (result.marks.flaky, result.marks.leaked.is_empty()) {
            (true, _) => " (flaky)",
            (_, false) => " (leaked)",
            _ => "",
        };
        format!("{}: {}{marks}", result.test.name, result.outcome.kind())
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "passes: passed",
            "fails and blocks: failed",
            "is blocked by it: blocked",
            "passes in the finally of a blocked block: passed",
            "passes on a retry: passed (flaky)",
            "is out of time: errored",
            "passes after the hang: passed",
            "panics: errored",
            "cannot be prepared: errored",
            "is skipped: skipped",
            "is skipped too: skipped",
            "passes three times: passed",
            "leaks: passed (leaked)",
            "tidies up: passed",
            "is cut off by its block: blocked",
            "is blocked by the time: blocked",
            "passes though the time is over: passed",
            "passes at the end: passed",
        ],
        "{:#?}",
        report.results
    );
    assert_eq!(report.exit_code, ExitCode::Failed);
    let says = |name: &str, what: &str| {
        let result = report.results.iter().find(|result| result.test.name == name).unwrap();
        assert!(result.outcome.message().contains(what), "{result:?}");
    };
    says("is blocked by it", "Verdicts/fails and blocks failed");
    says("is out of time", "did not end in the time that it has");
    says("panics", "the test that always panics does");
    says("is skipped too", "it depends on Verdicts/panics, which errored");
    says("is cut off by its block", "the time of the serial block at line");
    let mut seen = attempts.0.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, [(1, 1), (1, 1), (1, 2), (2, 1), (3, 1)]);
    let leaked = report.results.iter().flat_map(|result| &result.marks.leaked);
    let leaked: Vec<_> = leaked.collect();
    assert!(leaked.len() == 1 && leaked[0].contains("xrtleak"), "{leaked:?}");
}
