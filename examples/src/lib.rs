//! What the examples share: the command line of a program that runs a sequence, and the run itself.
//!
//! A program of your own is as short as `hfx745.rs`: link your tests, and call [`run()`].

/// The allocator of all programs that link this. Sequences are made of many small pieces, and are
/// read by an eighth faster with it than with the one of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod args;
mod past;
mod places;
mod reports;
mod run;
mod toolstacks;

pub use args::{PlaceArgs, RunArgs, SelectArgs};
pub use past::{Read, ReplayArgs, RerunArgs, ResumeArgs, replay, rerun, resume};
pub use places::Place;
pub use reports::ReportArgs;
pub use run::{BuiltInSequence, Source, log_to_stderr, run, run_source};
pub use toolstacks::toolstacks;
