//! The project's own chores: `cargo xtask setup | test`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod setup;
mod test;

/// The project's own chores.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install the Debian packages that the virtual lab and the tests need, saying which and why
    Setup,
    /// Install what is missing, then run everything that must hold before a change is submitted
    Test {
        /// Only these steps
        #[arg(value_parser = test::step_names(), value_name = "STEP")]
        only: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match Args::parse().chore {
        Chore::Setup => installed().await,
        Chore::Test { only } => match installed().await {
            code if code == ExitCode::SUCCESS => test::run(&only),
            code => code,
        },
    }
}

async fn installed() -> ExitCode {
    match setup::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("setup: {error}");
            ExitCode::FAILURE
        }
    }
}
