//! A run from the command line to the exit code.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{IntoDiagnostic, Report};
use xenrt::lab::{LabFile, LabFileProvider, LabProvider};
use xenrt::report::{Console, HtmlReport, JUnit, JsonReport};
use xenrt::sequencer::{self, CancelHandle, ExitCode, Keep, Plan, RunOptions, cancel_on_ctrl_c};
use xenrt::testcase::Registry;
use xenrt::virtual_lab::{Lifetime, Missing, VirtualLabProvider};
use xenrt::xapi::XapiToolstack;
use xenrt::xl::XlToolstack;

use crate::{ReportArgs, RunArgs};

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

async fn try_run(args: RunArgs, built_in: BuiltInSequence) -> miette::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let registry = Registry::global().into_diagnostic()?;
    if args.list {
        list(&registry);
        return Ok(ExitCode::AllPassed);
    }
    let plan = plan(&args, built_in, &registry)?;
    let provider = provider(&args)?;
    let folder = args.out.clone().unwrap_or_else(default_folder);
    let mut options = RunOptions::new(&folder).provider(provider);
    options.selection.run = args.run;
    options.selection.skip = args.skip;
    options.dry_run = args.dry_run;
    options.keep = if args.keep { Keep::OnFailure } else { Keep::Never };
    if !args.dry_run {
        options = report(options, &folder, &args.reports);
    }
    let cancel = CancelHandle::new();
    cancel_on_ctrl_c(&cancel).into_diagnostic()?;
    Ok(sequencer::run(plan, options, cancel).await.exit_code)
}

/// Adds the console, and the reports: a page and JUnit in the folder of the run, and what was asked
/// for besides.
fn report(options: RunOptions, folder: &Path, asked: &ReportArgs) -> RunOptions {
    let page = folder.join(HtmlReport::FILE);
    let mut console = Console::new().run_folder(folder).report_file(&page);
    for file in [&asked.html, &asked.json, &asked.junit].into_iter().flatten() {
        console = console.report_file(file);
    }
    let mut options = options
        .reporter(console)
        .reporter(HtmlReport::new(page).run_folder(folder))
        .reporter(JUnit::new(folder.join(JUnit::FILE)));
    if let Some(file) = &asked.html {
        options = options.reporter(HtmlReport::new(file).run_folder(folder));
    }
    if let Some(file) = &asked.junit {
        options = options.reporter(JUnit::new(file));
    }
    if let Some(file) = &asked.json {
        options = options.reporter(JsonReport::new(file));
    }
    options
}

fn plan(args: &RunArgs, built_in: BuiltInSequence, registry: &Registry) -> miette::Result<Plan> {
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
    for warning in &sequence.warnings {
        anstream::eprintln!("warning: {warning}");
    }
    Plan::new(&sequence, registry).into_diagnostic()
}

fn provider(args: &RunArgs) -> miette::Result<Arc<dyn LabProvider>> {
    if let Some(path) = &args.lab {
        let lab = LabFile::read(path).into_diagnostic()?;
        let toolstacks: Vec<Arc<dyn xenrt::model::Toolstack>> =
            vec![Arc::new(XlToolstack::default()), Arc::new(XapiToolstack::default())];
        let name = path.display().to_string();
        return Ok(Arc::new(LabFileProvider::new(lab, name, toolstacks)));
    }
    let mut lab = VirtualLabProvider::new();
    if let Some(cache) = &args.cache {
        lab = lab.cache(cache);
    }
    if args.no_install {
        lab = lab.missing(Missing::Refuse);
    }
    if args.keep {
        lab = lab.lifetime(Lifetime::MayBeKept);
    }
    Ok(Arc::new(lab))
}

fn default_folder() -> PathBuf {
    let now = jiff::ZonedDateTime::now().strftime("%Y%m%d-%H%M%S").to_string();
    Path::new("runs").join(now)
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
