//! A double of `xe` (feature `double`): a world of VMs, disks and networks that is kept in a file
//! and answers in the very form of the real one.
//!
//! Tests put a program named `xe` on the search path of an sshd of their own that is the binary
//! `xe-double` of this crate (or a link to it); [`Double`] is the other end of it: it makes the
//! world, gives it [rules](Rule) for what goes wrong, and tells what was asked of it. Called `xl`,
//! the same program lists the domains of the running VMs, so that there is a second view.
//!
//! Its guests start at once, and an agent in them reports addresses of 192.0.2.0/24. What is in them
//! is what [`DryGuests`] answer to those who log in: enough to see what the guest has, to use its
//! network, and to look at that from dom0. Its formats are held against outputs that were recorded
//! from a real xapi.

mod addresses;
mod answer;
mod client;
mod database;
mod defects;
mod devices;
mod diagnostics;
mod drives;
mod dry;
mod help;
mod hosts;
mod iscsi;
mod life;
mod lists;
mod members;
mod networks;
mod pools;
mod printer;
mod program;
#[cfg(test)]
mod recorded;
mod request;
mod rules;
mod schema;
mod storage;
mod store;
mod templates;
mod traffic;
mod world;
mod xl;

pub use defects::Defect;
pub use dry::DryGuests;
pub use program::{PROGRAMS, main};
pub use rules::{Effect, Rule};
pub use store::{Double, HOST_VARIABLE, STATE_VARIABLE};
pub use world::{Content, Object, World};
