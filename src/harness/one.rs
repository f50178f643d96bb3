//! One test case as a run of its own.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use xenrt_core::report::Console;
use xenrt_core::sequencer::{
    CancelHandle, Plan, RunOptions, RunReport, cancel_on_ctrl_c, run as run_plan,
};
use xenrt_core::testcase::{OutcomeKind, Registry, TestDescriptor};

use super::Error;
use super::lab::Lab;

/// A plan of this test alone, with the hosts that it needs.
pub(super) fn plan(test: &TestDescriptor, registry: &Registry, lab: &Lab) -> Result<Plan, Error> {
    let hosts = if lab.has_hosts() { test.requires.hosts } else { 0 };
    let mut text = String::from("<xenrt><prepare>");
    for host in 0..hosts {
        write!(text, "<host id=\"{host}\"/>")?;
    }
    write!(text, "</prepare><testsequence><testcase id=\"{}\"/></testsequence></xenrt>", test.id)?;
    let sequence = xenrt_core::sequence::parse(&text, test.file)?;
    Ok(Plan::new(&sequence, registry)?)
}

/// Runs it.
///
/// # Errors
/// What there is to say about it where it did not go well.
pub(super) fn run(id: &str, plan: Plan, lab: &Lab) -> Result<(), String> {
    try_run(id, plan, lab).map_err(|error| error.to_string())?
}

fn try_run(id: &str, plan: Plan, lab: &Lab) -> Result<Result<(), String>, Error> {
    let _lock = lab.lock()?;
    let folder = run_folder(id)?;
    let shown = Shown::default();
    let console = Console::to_writer(shown.clone(), false).run_folder(&folder);
    let mut options = RunOptions::new(&folder).reporter(console);
    options.provider = lab.provider()?;
    let cancel = CancelHandle::new();
    let report = crate::block_on(async {
        // Ctrl-C and the deadline of a runner end the test in order: what it made is undone.
        cancel_on_ctrl_c(&cancel)?;
        io::Result::Ok(run_plan(plan, options, cancel.clone()).await)
    })??;
    Ok(verdict(&report, &shown.text(), &folder))
}

fn verdict(report: &RunReport, shown: &str, folder: &Path) -> Result<(), String> {
    let good = report.results.iter().all(|result| {
        let kind = result.outcome.kind();
        if kind == OutcomeKind::Skipped {
            eprintln!("{} is skipped: {}", result.test.id, result.outcome.message());
        }
        matches!(kind, OutcomeKind::Passed | OutcomeKind::Skipped)
    });
    let clean = matches!(
        report.exit_code,
        xenrt_core::sequencer::ExitCode::AllPassed | xenrt_core::sequencer::ExitCode::NothingRan
    );
    if good && clean && !report.results.is_empty() {
        return Ok(());
    }
    Err(format!("{shown}\nevidence: {}", folder.display()))
}

/// A folder that no other run has.
fn run_folder(id: &str) -> Result<PathBuf, Error> {
    let runs = match std::env::var_os("XENRT_RUNS") {
        Some(runs) => PathBuf::from(runs),
        None => {
            // Test programs are in `deps`.
            let program = std::env::current_exe()?;
            let built = program.parent().and_then(Path::parent).ok_or("the program is nowhere")?;
            built.join("xenrt-runs")
        }
    };
    let cannot = |error: io::Error| format!("cannot make a folder in {}: {error}", runs.display());
    std::fs::create_dir_all(&runs).map_err(cannot)?;
    for number in 1_u32.. {
        let folder = runs.join(format!("{id}-{number}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot(error).into()),
        }
    }
    Err("there are too many runs".into())
}

/// What a console would have shown.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
