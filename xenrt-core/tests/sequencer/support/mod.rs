//! Hosts and guests that exist in memory alone, scripted tests, and sequences made by hand: what
//! it takes to try the sequencer with every fault, fast.

mod host;
#[macro_use]
mod script;

pub(crate) use host::{FakeLab, State, state_of};
pub(crate) use script::{
    Outline, Script, args, blocker, describe, host_step, parallel, run_plan, sequence, serial,
    test, without_place,
};
