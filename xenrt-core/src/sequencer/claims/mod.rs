//! Who may use which host and guest now.
//!
//! Before a test begins, it gets all that it claims at once, or waits for all of it: its hosts and
//! guests, shared or for itself alone, the semaphore of its class, and a place among the workers of
//! the parallel block that it is a step of.
//!
//! * **No deadlock**: whoever waits holds nothing that others wait for, but the places of the
//!   blocks around it; those are nested, and a test that is at work never waits for a place.
//! * **No starvation**: what waits is looked at in the order in which it came. A later one may
//!   overtake where it takes nothing away but time; after [`table::OVERTAKEN_AT_MOST`] times what
//!   the earlier one claims is kept for it.
//! * **What was not claimed** is claimed when the test first asks for it, without waiting: if
//!   somebody else has it then, the test is told to claim it beforehand.

mod table;
mod wait;

pub(crate) use table::Resource;
pub(super) use table::{AnyHost, Request};
pub(crate) use wait::{Claims, Held, NotHad};
