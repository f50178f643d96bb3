//! Real daemons for the project's own tests: each on the loopback interface, with its own files, gone
//! with the test that started it.
//!
//! A helper that cannot do its work panics: the test that asked for it has failed.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test by its panic")]

mod process;
mod sshd;

pub use process::{runs, unique_sleep, until, until_async};
pub use sshd::{Sshd, make_key, user};
