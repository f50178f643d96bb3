//! network.hfx745 on a real Xen host of the virtual lab: it passes, and it turns red when dom0's
//! bridge goes down in the middle of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use xenrt::lab::{HostDemand, LabNote, LabProvider};
use xenrt::prelude::*;
use xenrt::report::Reporter;
use xenrt::sequencer::{
    CancelHandle, Event, EventKind, ExitCode, Plan, RunOptions, RunReport, run,
};
use xenrt::testcase::{Outcome, Registry};
use xenrt::virtual_lab::VirtualLabProvider;
use xenrt_testcases as _;

/// The virtual lab, which also tells the test its hosts: somebody has to break them.
#[derive(Debug, Default)]
struct OpenLab {
    lab: VirtualLabProvider,
    hosts: Mutex<Vec<Arc<dyn Host>>>,
}

#[async_trait]
impl LabProvider for OpenLab {
    fn description(&self) -> String {
        self.lab.description()
    }

    async fn acquire(
        &self,
        demands: &[HostDemand],
        note: &(dyn Fn(LabNote) + Send + Sync),
    ) -> xenrt::Result<Vec<Arc<dyn Host>>> {
        let hosts = self.lab.acquire(demands, note).await?;
        *self.hosts.lock().unwrap() = hosts.clone();
        Ok(hosts)
    }

    async fn collect_evidence(&self, folder: &Path) -> xenrt::Result<()> {
        self.lab.collect_evidence(folder).await
    }

    async fn release(&self) -> xenrt::Result<()> {
        self.lab.release().await
    }

    async fn keep(&self) -> xenrt::Result<String> {
        self.lab.keep().await
    }
}

/// Passes the steps of the tests on.
struct Steps(mpsc::UnboundedSender<String>);

impl Reporter for Steps {
    fn name(&self) -> String {
        "steps".to_owned()
    }

    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        if let EventKind::Step { text } = &event.what {
            // Nobody listens in the run that is not disturbed.
            let _ = self.0.send(text.clone());
        }
        Ok(())
    }
}

async fn run_hfx745(
    lab: Arc<OpenLab>,
    folder: &Path,
    steps: mpsc::UnboundedSender<String>,
) -> RunReport {
    let text = include_str!("../sequences/hfx745.seq");
    let sequence = xenrt::sequence::parse(text, "hfx745.seq").unwrap();
    let plan = Plan::new(&sequence, &Registry::global().unwrap()).unwrap();
    let options = RunOptions::new(folder).provider(lab).reporter(Steps(steps));
    run(plan, options, CancelHandle::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_and_a_broken_bridge_turns_it_red() {
    let folder = tempfile::tempdir().unwrap();
    let (steps, _) = mpsc::unbounded_channel();
    let report = run_hfx745(Arc::default(), folder.path(), steps).await;
    assert_eq!(report.exit_code, ExitCode::AllPassed, "{:?}", report.results);
    assert_eq!(report.results[0].marks.leaked, [] as [String; 0]);

    let folder = tempfile::tempdir().unwrap();
    let lab = Arc::new(OpenLab::default());
    let (steps, mut heard) = mpsc::unbounded_channel::<String>();
    let saboteur = tokio::spawn({
        let lab = Arc::clone(&lab);
        async move {
            while let Some(step) = heard.recv().await {
                if step.starts_with("Send small and oversized") {
                    let host = Arc::clone(&lab.hosts.lock().unwrap()[0]);
                    let down = Command::new("ip").args(["link", "set", "xenbr0", "down"]);
                    return host.dom0().run(&down).await.is_ok();
                }
            }
            false
        }
    });
    let report = run_hfx745(lab, folder.path(), steps).await;
    assert!(saboteur.await.unwrap(), "the bridge was not taken down");
    let result = &report.results[0];
    let Outcome::Failed { message, .. } = &result.outcome else { panic!("{result:?}") };
    assert!(message.contains("lost connectivity"), "{message}");
    assert_eq!(report.exit_code, ExitCode::Failed);
    assert_eq!(result.marks.leaked, [] as [String; 0]);

    let evidence = folder.path().join("tests/000-hfx745");
    let text = |file: &str| std::fs::read_to_string(evidence.join(file)).unwrap();
    assert!(text("xenhost1/xl-dmesg.txt").contains("Xen"));
    assert!(text("xenhost1/dmesg.txt").contains("xenbr0"));
    assert!(text("hfx745-tiny-console.txt").contains("up"));
    assert!(text("commands.log").contains("iperf"));
    // Nothing need be said on it since the host was restored.
    assert!(evidence.join("lab/xenhost1-serial.log").exists());
}
