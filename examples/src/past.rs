//! Runs of the past: gone on with, shown, done again.

use std::path::{Path, PathBuf};

use miette::{IntoDiagnostic, Report};
use xenrt::report::Journal;
use xenrt::sequence::Sequence;
use xenrt::sequencer::{
    self, CancelHandle, ClaimedRun, ExitCode, IfChanged, PastRun, Plan, RunOptions, RunOrigin,
    SequenceOrigin, cancel_on_ctrl_c, find_run,
};

use crate::run::{plan_of, run_plan};
use crate::{PlaceArgs, ReportArgs, RunArgs};

/// Where runs are, unless it is said otherwise.
const RUNS: &str = "runs";

/// Reads the sequence file `path` as the run did whose origin this is.
pub type Read<'a> = &'a dyn Fn(&Path, &RunOrigin) -> miette::Result<Sequence>;

/// Which run to go on with.
#[derive(Debug, Clone, clap::Args)]
pub struct ResumeArgs {
    /// The run: its folder, its id or the beginning of it, or `latest`
    pub run: String,

    /// Go on although the sequence file was changed since the run began
    #[arg(long)]
    pub force: bool,

    /// Read the sequence from the copy that the run kept, not from its file
    #[arg(long, conflicts_with = "force")]
    pub from_copy: bool,

    /// Where it goes on, if not where it was.
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Which reports are written.
    #[command(flatten)]
    pub reports: ReportArgs,
}

/// Which run to show, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayArgs {
    /// The run: its folder, its id or the beginning of it, or `latest`
    pub run: String,

    /// Which reports are written.
    #[command(flatten)]
    pub reports: ReportArgs,

    /// Show nothing on the terminal
    #[arg(long)]
    pub quiet: bool,
}

/// Which run to do again.
#[derive(Debug, Clone, clap::Args)]
pub struct RerunArgs {
    /// The run: its folder, its id or the beginning of it, or `latest`
    pub past: String,

    /// Only the tests that Failed, Errored, were Blocked or did not end, and those that are new
    #[arg(long)]
    pub failed: bool,

    /// As for a new run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Goes on with a run that was interrupted.
///
/// # Errors
/// Whatever keeps it from going on.
pub async fn resume(args: ResumeArgs, read: Read<'_>) -> miette::Result<ExitCode> {
    let folder = find_run(Path::new(RUNS), &args.run).into_diagnostic()?;
    let claimed = ClaimedRun::claim(&folder).into_diagnostic()?;
    let past = claimed.past();
    let (path, changed) = sequence_file(past, args.from_copy)?;
    let plan = plan(&path, &past.origin, read)?;
    if changed && !args.force {
        let differences = claimed.differences(&plan);
        let which = match differences.as_slice() {
            [] => "its tests are the same".to_owned(),
            several => several.iter().map(|one| format!("\n  {one}")).collect(),
        };
        return Err(miette::miette!(
            help = "--force goes on with the file as it is now: what ended counts where it is still \
                    there; --from-copy goes on with the file as it was",
            "the sequence file {} was changed since the run began: {which}",
            path.display()
        ));
    }
    let provider = args.place.or_of(&past.origin).provider(false)?;
    let options = args.reports.for_run(RunOptions::new(&folder).provider(provider), &folder);
    let cancel = CancelHandle::new();
    cancel_on_ctrl_c(&cancel).into_diagnostic()?;
    let if_changed = if args.force { IfChanged::GoOn } else { IfChanged::Refuse };
    let report = sequencer::resume(plan, claimed, if_changed, options, cancel).await;
    Ok(report.into_diagnostic()?.exit_code)
}

/// Shows a run of the past as it showed itself.
///
/// # Errors
/// A journal that cannot be opened, a report that cannot be written.
pub fn replay(args: &ReplayArgs) -> miette::Result<ExitCode> {
    let folder = find_run(Path::new(RUNS), &args.run).into_diagnostic()?;
    let mut reporters = args.reports.for_replay(&folder, args.quiet);
    let mut reader = Journal::open(&folder.join(Journal::FILE)).into_diagnostic()?;
    for event in reader.by_ref() {
        for reporter in &mut reporters {
            reporter.event(&event).into_diagnostic()?;
        }
    }
    for reporter in &mut reporters {
        reporter.flush().and_then(|()| reporter.end()).into_diagnostic()?;
    }
    if reader.unknown() > 0 {
        anstream::eprintln!("warning: {} events of a newer version left out", reader.unknown());
    }
    if let Some(damage) = reader.damage() {
        anstream::eprintln!("warning: {damage}");
    }
    Ok(ExitCode::AllPassed)
}

/// Does a run again, or what did not go well in it.
///
/// # Errors
/// Whatever keeps it from beginning.
pub async fn rerun(args: RerunArgs, read: Read<'_>) -> miette::Result<ExitCode> {
    let folder = find_run(Path::new(RUNS), &args.past).into_diagnostic()?;
    let past = PastRun::open(&folder).into_diagnostic()?;
    let (path, changed) = sequence_file(&past, false)?;
    if changed {
        let path = path.display();
        anstream::eprintln!("warning: the sequence file {path} was changed since that run");
    }
    let mut run = args.run;
    run.place = run.place.or_of(&past.origin);
    let mut plan = plan(&path, &past.origin, read)?.select(&past.origin.selection);
    let mut origin = past.origin.clone();
    origin.sequence = Some(SequenceOrigin::new(Some(&path), text_of(&path)?));
    if args.failed {
        let again = sequencer::rerun(&plan, &past).into_diagnostic()?;
        anstream::eprintln!(
            "again: {} that failed, {} that did not end, {} new; not again: {} that passed, {} skipped",
            again.failed,
            again.not_ended,
            again.new,
            again.passed,
            again.skipped
        );
        plan = again.plan;
        let folder = std::path::absolute(&folder).into_diagnostic()?;
        origin.rerun_of = Some((past.run, folder));
    }
    run_plan(plan, origin, run).await
}

/// The file to read the sequence from, and whether it has another text than it had.
fn sequence_file(past: &PastRun, from_copy: bool) -> miette::Result<(PathBuf, bool)> {
    let unknown = || Report::msg("the run did not note what sequence it was; it cannot be told");
    let origin = past.origin.sequence.as_ref().ok_or_else(unknown)?;
    let copy = || {
        past.sequence_copy()
            .ok_or_else(|| Report::msg("the run folder has no copy of the sequence"))
    };
    match &origin.path {
        Some(path) if !from_copy && path.exists() => {
            let changed = SequenceOrigin::hash_of(&text_of(path)?) != origin.hash;
            Ok((path.clone(), changed))
        }
        Some(path) if !from_copy => {
            let copy = copy()?;
            anstream::eprintln!(
                "warning: the sequence file {} is gone; going on with its copy {}",
                path.display(),
                copy.display()
            );
            Ok((copy, false))
        }
        _ => Ok((copy()?, false)),
    }
}

fn plan(path: &Path, origin: &RunOrigin, read: Read<'_>) -> miette::Result<Plan> {
    let sequence = read(path, origin)?;
    plan_of(&sequence, text_of(path)?)
}

/// The text of a sequence file. What is no text in it is the reader's to complain about.
pub(crate) fn text_of(path: &Path) -> miette::Result<String> {
    let bytes = std::fs::read(path).map_err(|error| {
        Report::msg(format!("cannot read the sequence file {}: {error}", path.display()))
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
