//! The sequencer against hosts that exist in memory alone: every outcome, every fault.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without, it may panic about")]

#[macro_use]
mod support;

mod cancel;
mod claims;
mod finally;
mod findings;
mod hosts;
mod outcomes;
mod packing;
mod plans;
mod preparation;
mod prepared;
mod rebooted;
mod reports;
mod resume;
mod rounds;
mod time;
mod verdicts;
