//! Hosts and guests that exist in memory alone, scripted tests, and sequences made by hand: what
//! it takes to try the sequencer with every fault, fast.

mod host;
#[macro_use]
mod script;

pub(crate) use host::{FakeHost, FakeLab, State, state_of};
pub(crate) use script::{
    Outline, Script, action, args, blocker, describe, finally, host_step, parallel, run_plan,
    run_sequence, sequence, serial, test, times, with, with_block, without_place,
};
