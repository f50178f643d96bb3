//! Events into what people and other programs read.
//!
//! Everything here is a [`Reporter`]: it reads the one stream of events of a run, live or from a
//! [`Journal`] that is [replayed](replay), and shows the same either way.

mod console;
mod journal;
mod junit;
mod live;
mod record;
mod reporter;

pub use console::Console;
pub(crate) use journal::{FolderLock, Syncer};
pub use journal::{Journal, JournalContent, JournalDamage, JournalReader};
pub use junit::JUnit;
pub(crate) use record::command_text;
pub use reporter::{Reporter, replay};
