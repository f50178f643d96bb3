//! Running one test of the library on simulated hosts.

use std::sync::{Arc, Mutex};

use xenrt::report::Reporter;
use xenrt::sequencer::{CancelHandle, Event, EventKind, Level, Plan, RunOptions, run};
use xenrt::sim::{SimLab, SimTiming, virtual_time};
use xenrt::testcase::{OutcomeKind, Registry};

use crate::plant::{Plant, teach};

/// What came of a run of one test.
#[derive(Debug)]
pub(crate) struct Ran {
    pub kind: OutcomeKind,
    pub message: String,
    pub leaked: Vec<String>,
    /// What was warned of, the arguments that the test did not read among it.
    pub warnings: Vec<String>,
    /// Commands that no simulated shell knew.
    pub unknown: Vec<String>,
}

#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Reporter for Warnings {
    fn name(&self) -> String {
        "warnings".to_owned()
    }

    fn event(&mut self, event: &Event) -> std::io::Result<()> {
        if let EventKind::Log { level: Level::Warning, text } = &event.what {
            self.0.lock().unwrap().push(text.clone());
        }
        Ok(())
    }
}

/// Text in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Runs `test` with these arguments on two simulated hosts, with a prepared guest `vm1` where that is
/// asked for, in virtual time.
pub(crate) fn one(
    test: &str,
    args: &[(String, String)],
    prepared: bool,
    plant: Option<Plant>,
) -> Ran {
    one_in(tempfile::tempdir().unwrap().path(), test, args, prepared, plant)
}

/// The same, and keeps the journal and evidence in `folder`.
pub(crate) fn one_in(
    folder: &std::path::Path,
    test: &str,
    args: &[(String, String)],
    prepared: bool,
    plant: Option<Plant>,
) -> Ran {
    let mut builder = SimLab::builder().hosts(2).timing(SimTiming::realistic());
    if let Some(plant) = plant {
        builder = plant.into_builder(builder);
    }
    let lab = builder.build();
    teach(&lab);
    if let Some(plant) = plant {
        plant.into_lab(&lab);
    }
    let arguments: String = args
        .iter()
        .map(|(name, value)| format!("<arg>{}={}</arg>", name, escaped(value)))
        .collect();
    let guest = if prepared { "<vm name=\"vm1\"><distro>generic-linux</distro></vm>" } else { "" };
    let text = format!(
        "<xenrt><prepare><host id=\"0\">{guest}</host><host id=\"1\"/></prepare><testsequence>\
         <testcase id=\"{test}\">{arguments}</testcase></testsequence></xenrt>"
    );
    let sequence = xenrt::sequence::parse(&text, "library.seq").unwrap();
    let plan = Plan::new(&sequence, &Registry::global().unwrap()).unwrap();
    let warnings = Warnings::default();
    let options =
        RunOptions::new(folder).provider(Arc::new(lab.clone())).reporter(warnings.clone());
    let report = virtual_time(run(plan, options, CancelHandle::new())).unwrap();
    let result = &report.results[0];
    let unknown = lab.unknown_commands().into_iter().map(|record| record.command);
    let warnings = warnings.0.lock().unwrap().clone();
    Ran {
        kind: result.outcome.kind(),
        message: result.outcome.message().to_owned(),
        leaked: result.marks.leaked.clone(),
        warnings,
        unknown: unknown.collect(),
    }
}

/// Does something with each of many things, on all processors, and returns the results in order.
pub(crate) fn on_all_processors<T: Sync, R: Send>(
    things: &[T],
    act: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..workers {
            threads.spawn(|| {
                loop {
                    let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(thing) = things.get(at) else { break };
                    let result = act(thing);
                    done.lock().unwrap().push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
