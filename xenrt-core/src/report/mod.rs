//! Events into what people and other programs read.
//!
//! Everything here is a [`Reporter`]: it reads the one stream of events of a run, live or from a
//! [`Journal`] that is [replayed](replay), and shows the same either way.

mod collector;
mod compare;
mod console;
mod document;
mod gather;
mod html;
mod journal;
mod json;
mod junit;
mod reporter;
mod spill;
mod text;

pub use compare::{ComparedResult, ComparedRun, ComparedTest, Comparison};
pub use console::Console;
pub use document::{
    AttemptDocument, CountsDocument, FindingDocument, LogDocument, LogEntryDocument, LogKind,
    OutcomeDocument, PhaseDocument, PreparationDocument, ReportDocument, RunDocument, StepDocument,
    TestDocument, ValueDocument,
};
pub use html::HtmlReport;
pub(crate) use journal::{FolderLock, Syncer};
pub use journal::{Journal, JournalContent, JournalDamage, JournalReader};
pub use json::JsonReport;
pub use junit::JUnit;
pub use reporter::{Reporter, replay};
pub(crate) use text::command_text;
