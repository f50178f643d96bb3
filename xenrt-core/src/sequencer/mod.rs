//! A sequence into a stream of events: plan, run, cancel.
//!
//! A run is one ordered stream of [`Event`]s. One dispatcher owns the state of the run and gives
//! each event its number; work runs in tasks that only send to it. Everything that people or
//! programs see of a run - console, journal, JUnit - is a [`Reporter`](crate::report::Reporter) of
//! that stream.

mod event;

pub use event::{Event, EventKind, Level, PlannedTest, RunId, Summary, TestIndex};
