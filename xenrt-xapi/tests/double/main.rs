//! The xapi toolstack on the double of `xe`, through a real sshd.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod addresses;
mod conformance;
mod creating;
mod dry;
mod events;
mod faults;
mod life;
mod management;
mod more;
mod mutants;
mod prepared;
mod secrets;
mod storage;
mod transfer;
mod upkeep;
mod values;
mod world;
