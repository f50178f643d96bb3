//! network.hfx745, as it is, from `hfx745.seq`, as it is: it passes, and it turns red when the bridge
//! goes down in the middle of it.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use xenrt_core::lab::LabFileProvider;
use xenrt_core::report::Reporter;
use xenrt_core::sequencer::{
    CancelHandle, Event, EventKind, ExitCode, Plan, RunOptions, RunReport, run,
};
use xenrt_core::testcase::{Outcome, Registry};
use xenrt_libvirt::LibvirtToolstack;
use xenrt_testcases as _;

use crate::world::{BRIDGE, World};

/// What a run measured; and it takes the bridge down with the first packets, where it is to.
#[derive(Default, Clone)]
struct Listener {
    values: Arc<Mutex<Vec<(String, f64)>>>,
    breaks: bool,
}

impl Listener {
    fn value(&self, name: &str) -> f64 {
        let values = self.values.lock().unwrap();
        values.iter().find(|(own, _)| own == name).map(|(_, value)| *value).unwrap()
    }
}

impl Reporter for Listener {
    fn name(&self) -> String {
        "listener".to_owned()
    }

    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        match &event.what {
            EventKind::Value { name, value, .. } => {
                self.values.lock().unwrap().push((name.clone(), *value));
            }
            EventKind::Step { text } if self.breaks && text.starts_with("Send small") => {
                let down = Command::new("ip").args(["link", "set", BRIDGE, "down"]).status()?;
                assert!(down.success(), "the bridge does not go down: {down}");
            }
            _ => {}
        }
        Ok(())
    }
}

async fn hfx745(world: &World, folder: &Path, listener: Listener) -> RunReport {
    let text = include_str!("../../../testcases/sequences/hfx745.seq");
    let sequence = xenrt_core::sequence::parse(text, "hfx745.seq").unwrap();
    let plan = Plan::new(&sequence, &Registry::global().unwrap()).unwrap();
    let lab =
        LabFileProvider::new(world.lab(), "lab.toml", vec![Arc::new(LibvirtToolstack::new())]);
    let options = RunOptions::new(folder).provider(Arc::new(lab)).reporter(listener);
    run(plan, options, CancelHandle::new()).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `hfx745_runs_as_it_is` in name spaces of its own"]
async fn inside() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let listener = Listener::default();
    let report = hfx745(&world, folder.path(), listener.clone()).await;
    assert_eq!(report.exit_code, ExitCode::AllPassed, "{:?}", report.results);
    assert_eq!(report.results[0].marks.leaked, [] as [String; 0]);
    // It did what it is for.
    assert!(listener.value("small packets on the VIF") >= 50.0);
    assert!(listener.value("large packets on the VIF") >= 1.0);
    assert!(listener.value("longest packet on the VIF") >= 28.0 * 1024.0);
    eprintln!("it passed: {:?}", listener.values.lock().unwrap());

    let folder = tempfile::tempdir().unwrap();
    let listener = Listener { breaks: true, ..Listener::default() };
    let report = hfx745(&world, folder.path(), listener).await;
    let result = &report.results[0];
    let Outcome::Failed { message, .. } = &result.outcome else { panic!("{result:?}") };
    assert!(message.contains("lost connectivity"), "{message}");
    assert_eq!(report.exit_code, ExitCode::Failed);
    assert_eq!(result.marks.leaked, [] as [String; 0]);
}
