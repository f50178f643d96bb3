//! The project's own chores: `cargo xtask setup | test | run | bench`.

/// The allocator that the programs have, so that what is measured here is what they do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod bench;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Install the Debian packages that the virtual lab and the tests need, saying which and why
    Setup,
    /// Install what is missing, then run everything that must hold before a change is submitted
    Test {
        /// Only these steps
        #[arg(value_parser = test::step_names(), value_name = "STEP")]
        only: Vec<String>,
    },
    /// Install what is missing, then run one of the examples with every toolstack
    ///
    /// The contract of hosts and guests on all that needs no hardware:
    /// `cargo xtask run conformance --on sim,libvirt-test,libvirt-qemu,xl,libvirt-xen`
    Run {
        /// The example: conformance, explore, sequence, testcase, hfx745, lab
        example: String,
        /// Its own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Measure this project side by side with what one would use instead
    Bench(bench::Arguments),
    /// One measurement of `bench noop` in a process of its own
    #[command(hide = true)]
    BenchNoop {
        /// How many tests
        tests: usize,
    },
}

fn main() -> ExitCode {
    // The bench of the xapi toolstack puts this program on a search path as `xe`.
    if std::env::args().next().is_some_and(|called| called.rsplit('/').next() == Some("xe")) {
        return xenrt_xapi::double::main();
    }
    let done = match Arguments::parse().chore {
        Chore::Setup => setup::run().map(|()| ExitCode::SUCCESS),
        Chore::Test { only } => setup::run().map(|()| test::run(&only)),
        Chore::Run { example, arguments } => setup::run().and_then(|()| {
            test::example(&example, &arguments).map_err(Box::<dyn std::error::Error>::from)
        }),
        Chore::BenchNoop { tests } => {
            bench::noop_alone(tests).map_err(|error| -> Box<dyn std::error::Error> { error })
        }
        Chore::Bench(arguments) => {
            bench::run(&arguments).map_err(|error| -> Box<dyn std::error::Error> { error })
        }
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
