//! The journal: every event of a run, a line of JSON each.
//!
//! # What is on record when
//!
//! | after | what the journal has |
//! |---|---|
//! | `kill -9` of the program | every event that something may follow from: a test that has ended is in the file before anything that comes after it begins, and an object of a host before it is made. Of what is told in between (steps, commands) the last 100 ms may be missing |
//! | a power cut, a crash of the machine | the same as of one second before, on a disk that keeps what it was told to keep (`fdatasync` is called at most each second and at the end) |
//! | a full disk | everything up to there. The run goes on, says loudly that the journal lags behind, keeps what it could not write, and writes it once there is room. What had not been written when the program ended is missing |
//!
//! A journal that was cut or damaged is [read](Journal::read) up to the damage, and where that is, is
//! [said](JournalDamage). Events that only a newer version knows are left out and counted.

mod line;
mod lock;
mod reader;
mod sync;
mod writer;

pub use reader::{JournalContent, JournalDamage, JournalReader};
pub use writer::Journal;

pub(crate) use lock::FolderLock;
pub(crate) use sync::Syncer;
