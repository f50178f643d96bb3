//! `run`: runs a sequence file.

use std::path::PathBuf;

use miette::IntoDiagnostic;
use xenrt::sequencer::{ExitCode, RunOrigin};
use xenrt_examples::{RunArgs, Source, log_to_stderr, run_source};

use crate::reading::Reading;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The sequence file
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(arguments: Arguments) -> miette::Result<ExitCode> {
    let Arguments { file, reading, run } = arguments;
    log_to_stderr();
    let mut origin = RunOrigin::default();
    let sequence = reading.read(&file, &mut origin)?;
    xenrt::block_on(run_source(Source { sequence, origin }, run)).into_diagnostic()?
}
