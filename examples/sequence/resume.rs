//! `resume`: goes on with a run.

use miette::IntoDiagnostic;
use xenrt::sequencer::ExitCode;
use xenrt_examples::{ResumeArgs, log_to_stderr, resume};

use crate::reading::read_again;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    resume: ResumeArgs,
}

pub(crate) fn run(arguments: Arguments) -> miette::Result<ExitCode> {
    log_to_stderr();
    xenrt::block_on(resume(arguments.resume, &read_again)).into_diagnostic()?
}
