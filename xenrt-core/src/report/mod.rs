//! Events into what people and other programs read.
//!
//! Everything here is a [`Reporter`]: it reads the one stream of events of a run, live or from a
//! [`Journal`] that is [replayed](replay), and shows the same either way.

mod journal;
mod reporter;

pub use journal::{Journal, JournalContent};
pub use reporter::{Reporter, replay};
