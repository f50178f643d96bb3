//! The tests of the library, tested: on the simulated toolstack every one passes when all is well and
//! fails for the right reason when something is not; each is documented; the sequences are right.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod beyond;
mod can_fail;
mod documentation;
mod plant;
mod room;
mod rows;
mod run;
mod schedule;
mod sequences;
mod wires;

use xenrt_testcases as _;
