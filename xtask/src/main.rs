#![doc = "The project's own chores."]

mod bench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Measures this project side by side with what one would use instead.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                anstream::eprintln!("  caused by: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
