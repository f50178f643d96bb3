//! Sequence files from the command line: check them, show what they would do, run them, and go on
//! with, show or repeat what ran.
//!
//! ```text
//! cargo run --example sequence -- check FILES|FOLDERS [--compat] [-D NAME=VALUE]
//! cargo run --example sequence -- resolve FILES|FOLDERS
//! cargo run --example sequence -- plan FILE
//! cargo run --example sequence -- run FILE [--filter EXPRESSION] [--lab FILE]
//! cargo run --example sequence -- resume|replay|rerun RUN
//! ```

mod check;
mod plan;
mod reading;
mod replay;
mod rerun;
mod resolve;
mod resume;
mod run;

use clap::{Parser, Subcommand};
// Linking the library of tests puts all of them into this program's registry.
use xenrt_testcases as _;

#[derive(Debug, Parser)]
#[command(name = "sequence", about = "Check sequence files, show what they would do, and run them")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads sequence files and tells every problem; 0 only if all of them are right
    Check(check::Arguments),
    /// Counts how many tests of sequence files are in the library, and which are not
    Resolve(resolve::Arguments),
    /// Shows what a sequence file would do: its tests, the machines it needs, what is left out
    Plan(plan::Arguments),
    /// Runs a sequence file
    #[command(after_help = xenrt::sequencer::Filter::HELP)]
    Run(Box<run::Arguments>),
    /// Goes on with a run that was killed, where it was
    Resume(resume::Arguments),
    /// Shows a run of the past
    Replay(replay::Arguments),
    /// Does a run again, or only what did not go well in it
    #[command(after_help = xenrt::sequencer::Filter::HELP)]
    Rerun(Box<rerun::Arguments>),
}

fn main() -> std::process::ExitCode {
    match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Resolve(arguments) => resolve::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Run(arguments) => ended(run::run(*arguments)),
        Command::Resume(arguments) => ended(resume::run(arguments)),
        Command::Replay(arguments) => ended(replay::run(&arguments)),
        Command::Rerun(arguments) => ended(rerun::run(*arguments)),
    }
}

/// The exit code of the program.
fn ended(result: miette::Result<xenrt::sequencer::ExitCode>) -> std::process::ExitCode {
    match result {
        Ok(code) => code.into(),
        Err(report) => {
            anstream::eprintln!("{report:?}");
            xenrt::sequencer::ExitCode::Usage.into()
        }
    }
}
