//! The vocabulary of XenRT: what a hypervisor test acts on, how it is written, run and reported.
//!
//! The modules stand in the order in which data flows:
//!
//! | module | turns |
//! |---|---|
//! | [`sequence`] | text into a [`Sequence`](sequence::Sequence) |
//! | [`sequencer`] | a sequence into a stream of [`Event`](sequencer::Event)s |
//! | [`findings`] | what kernels and hypervisors write into bad news |
//! | [`report`] | events into what people and other programs read |
//! | [`testcase`] | what a test author sees: [`TestCase`](testcase::TestCase), [`TestContext`](testcase::TestContext) |
//! | [`model`] | what a test acts on: [`Host`](model::Host), [`Guest`](model::Guest) and their parts |
//! | [`remote`] | how anything is reached: [`Shell`](remote::Shell), [`Command`](remote::Command) |
//! | [`lab`] | which hosts there are |
//! | `sim` (feature) | hosts in memory, to try all of this without any |
//!
//! This crate knows no toolstack by name: a back end implements [`model::Host`] and
//! [`model::Guest`], and gives out hosts through [`model::Toolstack`].

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
#[cfg(feature = "conformance")]
pub mod explore;
pub mod findings;
pub mod lab;
pub mod model;
pub mod nearest;
pub mod remote;
pub mod report;
pub mod seconds;
pub mod sequence;
pub mod sequencer;
#[cfg(feature = "sim")]
pub mod sim;
pub mod testcase;

pub use error::{Blame, Error, Result, ToolstackErrorKind};

/// What the macros of this project need at the place where they expand; not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::model::Ability;
    pub use crate::sequence::Claim;
    pub use crate::testcase::{Claims, Requirements, TestDescriptor, erase};
    pub use inventory;
    pub use std::time::Duration;
}
