//! Bad news in what kernels and hypervisors write.
//!
//! A test can pass while the kernel under it has an Oops. [`scan`] finds the [`PATTERNS`] of panics,
//! lock-ups, lost memory and broken disks in the text of a console or a log. What it finds is
//! evidence and not a verdict: the sequencer looks at what was written while a test ran and tells it
//! as [`Finding`](crate::sequencer::EventKind::Finding) of that test.

mod patterns;
mod scan;

pub use patterns::{PATTERNS, Pattern};
pub use scan::{Found, scan};
