//! `replay`: shows a run of the past.

use xenrt::sequencer::ExitCode;
use xenrt_examples::{ReplayArgs, replay};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    replay: ReplayArgs,
}

pub(crate) fn run(arguments: &Arguments) -> miette::Result<ExitCode> {
    replay(&arguments.replay)
}
