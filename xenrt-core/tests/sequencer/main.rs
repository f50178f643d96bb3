//! The sequencer against hosts that exist in memory alone: every outcome, every fault.

#[macro_use]
mod support;

mod cancel;
mod hosts;
mod outcomes;
mod plans;
mod reports;
