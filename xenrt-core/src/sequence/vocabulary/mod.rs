//! The words of the language: every element and attribute, where each may stand, and what its value
//! looks like. The parser reads by this table, and the schemas are written from it.

mod kind;
mod names;
mod schema;
mod words;

pub(super) use kind::Kind;
pub(super) use names::{Attr, Tag};
pub use schema::{json_schema, xsd};
pub(super) use words::{Content, Word};
