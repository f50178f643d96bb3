//! Runs that go on, and runs that are done again.
//!
//! A run that was killed left its journal. [`find_run`] finds its folder, [`PastRun`] says what
//! became of it, and [`resume`] goes on with it: tests that had ended are not run again and their
//! results count, those that were at work are run again, and what they left on hosts that outlive
//! the run is removed first. [`rerun`] cuts a plan down to what did not go well last time, for a
//! new run.

mod clean;
mod find;
mod migrate;
mod origin;
mod past;
mod rerun;
mod start;

pub use find::find_run;
pub use origin::{RunLimits, RunOrigin, SequenceOrigin};
pub use past::{Finished, PastRun};
pub use rerun::{Rerun, rerun};
pub use start::{ClaimedRun, Difference, IfChanged, ResumeError, resume};

pub(super) use clean::{Leftovers, take_stock};
