//! A sequence into a stream of events: plan, run, cancel.
//!
//! A run is one ordered stream of [`Event`]s. One dispatcher owns the state of the run and gives
//! each event its number; work runs in tasks that only send to it. Everything that people or
//! programs see of a run - console, journal, JUnit - is a [`Reporter`](crate::report::Reporter) of
//! that stream.

mod body;
mod cancel;
mod claims;
mod dispatch;
mod event;
mod evidence;
mod exit_code;
mod filter;
mod findings;
mod finish;
mod lanes;
mod life;
mod options;
mod panics;
mod plan;
mod prepare;
mod recover;
mod resources;
mod resume;
mod run;
mod selection;
mod stop;
mod walk;

pub use cancel::{CancelHandle, CancelReason, cancel_on_ctrl_c};
pub use event::{Event, EventKind, Level, PlannedTest, RunId, Summary, TestIndex};
pub use exit_code::ExitCode;
pub use filter::{Filter, FilterError};
pub use options::{Keep, RunOptions};
pub use plan::{Plan, PlanError, PlanHost, PlanProblem, PlanReport};
pub use resume::{
    ClaimedRun, Difference, Finished, IfChanged, PastRun, Rerun, ResumeError, RunOrigin,
    SequenceOrigin, find_run, rerun, resume,
};
pub use run::{RunReport, TestResultEntry, run};
pub use selection::Selection;

pub(crate) use claims::{Claims, NotHad, Resource as Claimed};
pub(crate) use dispatch::Events;
pub(crate) use findings::Findings;
pub(crate) use life::Attempt;
pub(crate) use plan::PlannedCase;
pub(crate) use resources::Resources;
pub(crate) use stop::Stop;
