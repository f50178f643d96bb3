//! `rerun`: does a run again.

use miette::IntoDiagnostic;
use xenrt::sequencer::ExitCode;
use xenrt_examples::{RerunArgs, log_to_stderr, rerun};

use crate::reading::read_again;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    rerun: RerunArgs,
}

pub(crate) fn run(arguments: Arguments) -> miette::Result<ExitCode> {
    log_to_stderr();
    xenrt::block_on(rerun(arguments.rerun, &read_again)).into_diagnostic()?
}
