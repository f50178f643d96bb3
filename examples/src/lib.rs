//! What the examples share: the command line of a program that runs a sequence, and the run itself.
//!
//! A program of your own is as short as `hfx745.rs`: link your tests, and call [`run()`].

mod args;
mod run;

pub use args::{ReportArgs, RunArgs};
pub use run::{BuiltInSequence, run};
