//! Test cases as tests of `cargo test` and `cargo nextest run`, so that IDEs see them too.
//!
//! In `Cargo.toml`:
//!
//! ```toml
//! [[test]]
//! name = "hypervisor"
//! harness = false
//! ```
//!
//! and in `tests/hypervisor.rs`:
//!
//! ```no_run
//! use my_tests as _; // or test cases in this file
//! # mod my_tests {}
//!
//! fn main() -> std::process::ExitCode {
//!     xenrt::harness::main()
//! }
//! ```
//!
//! Each test case that is linked into the target is a test, by its id. Names, `--exact`, `--skip`
//! and `--list` mean what they mean for any test. Each runs as a run of its own, with as many hosts as
//! it needs:
//!
//! | outcome | the test |
//! |---|---|
//! | Passed | passes |
//! | Skipped | passes, and the reason is said on standard error |
//! | Failed, Errored, Blocked, or left something behind | fails, with what a console would show and where the evidence is |
//!
//! | environment variable | means |
//! |---|---|
//! | `XENRT_LAB` | the lab file with the hosts; `none` gives none, for tests that need none; unless it is set, the virtual lab |
//! | `XENRT_FILTER` | only tests that this [expression](crate::sequencer::Filter) selects |
//! | `XENRT_RUNS` | the folder for journals and evidence; `xenrt-runs` beside the built program unless it is set |
//!
//! Tests of one lab wait for one another, in one process (`cargo test`) or in many (`cargo nextest`):
//! each locks the lab while it runs, by a lock of the system (flock(2)) that ends with its process.
//! Tests without a lab run side by side.

mod lab;
mod one;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use xenrt_core::sequencer::{Filter, Plan, Selection};
use xenrt_core::testcase::Registry;

use lab::Lab;

/// Lists or runs the test cases that are linked into this program, as the arguments of the program
/// say: those of Rust's own test programs. See the [module](self).
///
/// The exit code is that of a test program: 0 when all passed, 101 when one failed, 2 when the
/// environment or the registry cannot be used.
pub fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials() {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  caused by: {error}");
                cause = error.source();
            }
            ExitCode::from(2)
        }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn trials() -> Result<Vec<Trial>, Error> {
    let registry = Registry::global()?;
    let selection = selection()?;
    let lab = Lab::from_environment();
    let mut trials = Vec::new();
    for test in &registry {
        let plan = one::plan(test, &registry, &lab)?;
        if !selected(&plan, &selection) {
            continue;
        }
        let (lab, id) = (lab.clone(), test.id);
        let trial = Trial::test(id, move || one::run(id, plan, &lab).map_err(Into::into));
        trials.push(trial);
    }
    Ok(trials)
}

fn selection() -> Result<Selection, Error> {
    let mut selection = Selection::default();
    if let Some(text) = std::env::var_os("XENRT_FILTER") {
        let text = text.into_string().map_err(|_| "XENRT_FILTER is no text")?;
        selection.filter = Some(Filter::parse(&text)?);
    }
    Ok(selection)
}

fn selected(plan: &Plan, selection: &Selection) -> bool {
    plan.select(selection).tests().len() > 0
}
