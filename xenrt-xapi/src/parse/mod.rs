//! What `xe` prints, understood.
//!
//! Parsers are total: any text is either understood or refused with the line that was not.
//!
//! `xe` has three forms of output, and none of them is safe for every value:
//!
//! | form | parser | what it cannot carry |
//! |---|---|---|
//! | `--minimal` | [`minimal`] | the difference between "no object" and "one object with an empty value" |
//! | records (`*-list`, `*-param-list`) | [`records`] | values of several lines, without doubt |
//! | one value (`*-param-get`) | [`single`] | nothing, but it costs a call a value |
//!
//! Sets and maps are joined by `"; "` with no escaping at all; see [`values`].

mod minimal;
mod records;
mod single;
mod tables;
pub mod values;

pub use minimal::minimal;
pub use records::{Access, Field, FieldKind, Record, Records, records};
pub use single::{Value, created, created_all, single};
pub use tables::{CommandHelp, command_help, table};

use xenrt_core::Error;
use xenrt_core::remote::shorten_middle;

/// The error for `found`, a part of what `what` printed.
pub(crate) fn not_understood(what: &str, expected: &str, found: &str) -> Error {
    Error::UnexpectedOutput {
        what: what.to_owned(),
        expected: expected.to_owned(),
        found: shorten_middle(found, 200),
    }
}
