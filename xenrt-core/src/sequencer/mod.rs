//! A sequence into a stream of events: plan, run, cancel.
//!
//! A run is one ordered stream of [`Event`]s. One dispatcher owns the state of the run and gives
//! each event its number; work runs in tasks that only send to it. Everything that people or
//! programs see of a run - console, journal, JUnit - is a [`Reporter`](crate::report::Reporter) of
//! that stream.

mod body;
mod cancel;
mod dispatch;
mod event;
mod evidence;
mod exit_code;
mod findings;
mod finish;
mod life;
mod options;
mod panics;
mod plan;
mod prepare;
mod recover;
mod resources;
mod run;
mod selection;
mod walk;

pub use cancel::{CancelHandle, CancelReason, cancel_on_ctrl_c};
pub use event::{Event, EventKind, Level, PlannedTest, RunId, Summary, TestIndex};
pub use exit_code::ExitCode;
pub use options::{Keep, RunOptions};
pub use plan::{Plan, PlanError, PlanProblem};
pub use run::{RunReport, TestResultEntry, run};
pub use selection::Selection;

pub(crate) use dispatch::Events;
pub(crate) use findings::Findings;
pub(crate) use plan::PlannedCase;
pub(crate) use resources::Resources;
