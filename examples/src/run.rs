//! A run from the command line to the exit code.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{Context as _, IntoDiagnostic, Report};
use xenrt::lab::LabProvider;
use xenrt::report::{Comparison, ReportDocument};
use xenrt::sequence::Sequence;
use xenrt::sequencer::{
    self, CancelHandle, ExitCode, Keep, Plan, RunOptions, RunOrigin, RunReport, SequenceOrigin,
    cancel_on_ctrl_c,
};
use xenrt::testcase::Registry;

use crate::{Place, PlaceArgs, RunArgs};

/// The sequence that a program runs when it is not given another one.
#[derive(Debug, Clone, Copy)]
pub struct BuiltInSequence {
    /// What messages call it.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Does what the command line says and returns the exit code of the program
/// ([`ExitCode`]).
pub async fn run(args: RunArgs, built_in: BuiltInSequence) -> std::process::ExitCode {
    match try_run(args, built_in).await {
        Ok(code) => code.into(),
        Err(report) => {
            anstream::eprintln!("{report:?}");
            ExitCode::Usage.into()
        }
    }
}

/// A sequence, and where it is from.
#[derive(Debug)]
pub struct Source {
    /// The sequence.
    pub sequence: Sequence,
    /// What it takes to have it again.
    pub origin: RunOrigin,
}

async fn try_run(args: RunArgs, built_in: BuiltInSequence) -> miette::Result<ExitCode> {
    log_to_stderr();
    if args.list {
        list(&Registry::global().into_diagnostic()?);
        return Ok(ExitCode::AllPassed);
    }
    let source = source(&args, built_in)?;
    run_source(source, args).await
}

/// Shows what the library logs, as `RUST_LOG` says.
pub fn log_to_stderr() {
    // A program that has set it up before keeps what it has.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .try_init();
}

/// Runs a sequence that has been read; what `args` says of another one does not count.
///
/// # Errors
/// Whatever keeps the run from beginning.
pub async fn run_source(source: Source, args: RunArgs) -> miette::Result<ExitCode> {
    let Source { sequence, origin } = source;
    for warning in &sequence.warnings {
        anstream::eprintln!("warning: {warning}");
    }
    let text = origin.sequence.as_ref().map(|sequence| sequence.text.clone()).unwrap_or_default();
    let plan = plan_of(&sequence, text)?;
    run_plan(plan, origin, args).await
}

/// The plan of a sequence that can be carried out; `text` is that of its file, for carets.
///
/// # Errors
/// Tests that are not known, and what the library cannot carry out, each in its line.
pub(crate) fn plan_of(sequence: &Sequence, text: String) -> miette::Result<Plan> {
    let plan = Plan::new(sequence, &Registry::global().into_diagnostic()?);
    let plan = plan.and_then(|plan| plan.carried_out().map(|()| plan));
    plan.map_err(|error| Report::new(error.into_report(text)))
}

/// As [`run_source`], for a plan.
///
/// # Errors
/// As there.
pub(crate) async fn run_plan(
    plan: Plan,
    mut origin: RunOrigin,
    args: RunArgs,
) -> miette::Result<ExitCode> {
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        // It is only named, and not made, where nothing is run.
        None if args.dry_run => PathBuf::from("runs"),
        None => default_folder()?,
    };
    let places = args.place.places()?;
    if args.keep && places.len() > 1 {
        return Err(Report::msg("--keep keeps the hosts of one place, and --on names several"));
    }
    let cancel = CancelHandle::new();
    cancel_on_ctrl_c(&cancel).into_diagnostic()?;
    if let [place] = places.as_slice() {
        args.place.note(&mut origin);
        return Ok(run_in(plan, origin, &args, place, &folder, cancel).await?.exit_code);
    }
    compare(&plan, &origin, &args, &places, &folder, &cancel).await
}

/// Runs a plan in one place, with everything in `folder`.
async fn run_in(
    plan: Plan,
    origin: RunOrigin,
    args: &RunArgs,
    place: &Place,
    folder: &Path,
    cancel: CancelHandle,
) -> miette::Result<RunReport> {
    let mut options = RunOptions::new(folder).provider(args.place.provider_of(place, args.keep)?);
    options.origin = origin;
    options.selection = args.select.selection();
    options.dry_run = args.dry_run;
    options.keep = if args.keep { Keep::OnFailure } else { Keep::Never };
    options.observe = args.place.on.len() > 1;
    if !args.dry_run {
        options = args.reports.for_run(options, folder);
    }
    Ok(sequencer::run(plan, options, cancel).await)
}

/// Runs a plan in one place after the other, and holds what was seen there against each other.
async fn compare(
    plan: &Plan,
    origin: &RunOrigin,
    args: &RunArgs,
    places: &[Place],
    folder: &Path,
    cancel: &CancelHandle,
) -> miette::Result<ExitCode> {
    let mut documents = Vec::new();
    for (place, name) in places.iter().zip(&args.place.on) {
        let own = PlaceArgs::folder_of(place, folder);
        let mut of_one = args.clone();
        of_one.reports = args.reports.below(&own);
        let mut origin = origin.clone();
        PlaceArgs { on: vec![name.clone()], ..args.place.clone() }.note(&mut origin);
        anstream::eprintln!("\non {place}:");
        run_in(plan.clone(), origin, &of_one, place, &own, cancel.clone()).await?;
        if args.dry_run {
            continue;
        }
        let file = of_one.reports.json.unwrap_or_default();
        let document = std::fs::read_to_string(&file)
            .into_diagnostic()
            .and_then(|text| serde_json::from_str::<ReportDocument>(&text).into_diagnostic());
        let document = document.wrap_err_with(|| {
            format!("the report of {place} cannot be read: {}", file.display())
        })?;
        documents.push((place.to_string(), document));
        if cancel.is_cancelled() {
            break;
        }
    }
    if args.dry_run {
        return Ok(ExitCode::AllPassed);
    }
    let comparison = Comparison::of(&documents);
    anstream::print!("\n{comparison}");
    let file = folder.join("comparison.json");
    let text = serde_json::to_string_pretty(&comparison).into_diagnostic()?;
    std::fs::write(&file, text).into_diagnostic()?;
    anstream::println!("compared: {}", file.display());
    Ok(comparison.exit_code())
}

fn source(args: &RunArgs, built_in: BuiltInSequence) -> miette::Result<Source> {
    let (name, text) = match &args.sequence {
        None => (built_in.name.to_owned(), built_in.text.to_owned()),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Report::msg(format!("cannot read the sequence file {}: {error}", path.display()))
            })?;
            (path.display().to_string(), text)
        }
    };
    let sequence = xenrt::sequence::parse(&text, &name)
        .map_err(xenrt::sequence::SequenceError::into_report)?;
    let origin = Some(SequenceOrigin::new(args.sequence.as_deref(), text));
    let origin = RunOrigin { sequence: origin, ..RunOrigin::default() };
    Ok(Source { sequence, origin })
}

impl PlaceArgs {
    const CACHE: &str = "cache";
    const NO_INSTALL: &str = "no-install";
    const ON: &str = "on";

    /// Who gives the hosts of the only place. Those of a lab that may be kept outlive the program.
    ///
    /// # Errors
    /// A lab file that cannot be read, and several places.
    pub fn provider(&self, may_be_kept: bool) -> miette::Result<Arc<dyn LabProvider>> {
        match self.places()?.as_slice() {
            [place] => self.provider_of(place, may_be_kept),
            _ => Err(miette::miette!(
                help = "name one of them",
                "this goes on in one place, and --on names several"
            )),
        }
    }

    /// Notes them for whoever goes on with the run.
    fn note(&self, origin: &mut RunOrigin) {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        origin.lab = self.lab.as_ref().map(absolute);
        if let Some(cache) = &self.cache {
            let cache = absolute(cache).display().to_string();
            origin.settings.insert(Self::CACHE.to_owned(), cache);
        }
        if let [place] = self.on.as_slice() {
            origin.settings.insert(Self::ON.to_owned(), place.clone());
        }
        if self.no_install {
            origin.settings.insert(Self::NO_INSTALL.to_owned(), "yes".to_owned());
        }
    }

    /// Those of a run, but for what is said anew.
    pub(crate) fn or_of(self, origin: &RunOrigin) -> Self {
        if self.lab.is_some() || !self.on.is_empty() {
            return self;
        }
        // A cache that is said anew means the virtual lab.
        let lab = origin.lab.clone().filter(|_| self.cache.is_none());
        let on = origin.settings.get(Self::ON).filter(|_| self.cache.is_none()).cloned();
        let cache = self.cache.or_else(|| origin.settings.get(Self::CACHE).map(PathBuf::from));
        let no_install = self.no_install || origin.settings.contains_key(Self::NO_INSTALL);
        Self { lab, on: on.into_iter().collect(), cache, no_install }
    }
}

/// A folder that no other run has: two may begin in one second.
fn default_folder() -> miette::Result<PathBuf> {
    let runs = Path::new("runs");
    std::fs::create_dir_all(runs).into_diagnostic()?;
    let now = jiff::ZonedDateTime::now().strftime("%Y%m%d-%H%M%S").to_string();
    for number in 1_u32.. {
        let name = if number == 1 { now.clone() } else { format!("{now}-{number}") };
        let folder = runs.join(name);
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).into_diagnostic(),
        }
    }
    Err(Report::msg("runs/ has no room for another run of this second"))
}

fn list(registry: &Registry) {
    for test in registry.iter() {
        let summary = test.description.lines().next().unwrap_or_default();
        anstream::println!("{:<28} {summary}", test.id);
        for legacy in test.legacy {
            anstream::println!("{:<28}   also {legacy}", "");
        }
    }
}
