//! Sequence files from the command line: check them, show what they would do.
//!
//! ```text
//! cargo run --example sequence -- check FILES|FOLDERS [--compat] [-D NAME=VALUE]
//! cargo run --example sequence -- plan FILE
//! ```

mod check;
mod plan;
mod reading;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "sequence", about = "Check sequence files, and show what they would do")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads sequence files and tells every problem; 0 only if all of them are right
    Check(check::Arguments),
    /// Shows what a sequence file would do: its tests, the machines it needs, what is left out
    Plan(plan::Arguments),
}

fn main() -> std::process::ExitCode {
    match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
    }
}
