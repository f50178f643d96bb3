//! The library of tests.
//!
//! Each module is a theme; each test is registered where it is written. A program that links this
//! crate and refers to it, `use xenrt_testcases as _;`, has all of them in its registry.
//!
//! # Which guest a test works on
//!
//! A test that any guest will do for takes the one that its sequence names for it (`guest="..."` or
//! the argument `guest`), else the first one of the preparation, else it makes its own from the
//! lab's image `distro` (`generic-linux` unless given). A prepared guest is left as it was found.
//! A test that needs a guest of a certain shape always makes its own.
//!
//! # What a verdict means
//!
//! A verb of the model already verifies what the toolstack and the hypervisor say after it. These
//! tests look at what a toolstack cannot answer for: whether the guest went on or booted anew,
//! whether its data, clock and addresses are what they were, how long it was away, and what stayed
//! behind on the host. `tests/can_fail.rs` holds each of them against a fault that it must find.

pub mod answers;
pub mod cpu;
pub mod host;
pub mod lifecycle;
pub mod measure;
pub mod memory;
pub mod migration;
pub mod network;
pub mod performance;
pub mod scalability;
pub mod security;
mod selftest;
pub mod snapshot;
pub mod storage;
pub mod stress;
mod support;
pub mod systems;
pub mod workload;
