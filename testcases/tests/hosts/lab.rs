//! A lab whose hosts the test can get at, and a run on it that tells its steps.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use xenrt::lab::{HostDemand, LabNote, LabProvider};
use xenrt::prelude::*;
use xenrt::report::Reporter;
use xenrt::sequencer::{CancelHandle, Event, EventKind, Plan, RunOptions, RunReport, run};
use xenrt::testcase::Registry;
use xenrt::virtual_lab::VirtualLabProvider;

/// The virtual lab, which also tells the test its hosts: somebody has to break them.
#[derive(Debug, Default)]
pub(crate) struct OpenLab {
    lab: VirtualLabProvider,
    hosts: Mutex<Vec<Arc<dyn Host>>>,
}

impl OpenLab {
    /// The first host of the run, once there is one.
    pub(crate) fn host(&self) -> Arc<dyn Host> {
        Arc::clone(&self.hosts.lock().unwrap()[0])
    }
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

/// Runs hfx745.seq; `steps` hears the steps of its test as they come.
pub(crate) async fn run_hfx745(
    lab: Arc<OpenLab>,
    folder: &Path,
    steps: mpsc::UnboundedSender<String>,
) -> RunReport {
    run_text(include_str!("../../sequences/hfx745.seq"), lab, folder, steps).await
}

/// The same with another sequence.
pub(crate) async fn run_text(
    text: &str,
    lab: Arc<OpenLab>,
    folder: &Path,
    steps: mpsc::UnboundedSender<String>,
) -> RunReport {
    let sequence = xenrt::sequence::parse(text, "test.seq").unwrap();
    let plan = Plan::new(&sequence, &Registry::global().unwrap()).unwrap();
    let options = RunOptions::new(folder).provider(lab).reporter(Steps(steps));
    run(plan, options, CancelHandle::new()).await
}
