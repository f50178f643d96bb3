//! What `xl` and its neighbours print, understood.
//!
//! Parsers are total: any text is either understood or refused with the part that was not.

mod address;
mod info;
mod json;
mod list;
mod sections;

pub(crate) use address::{lease_for, neighbour_for, published_for};
pub(crate) use info::XlInfo;
pub(crate) use json::{DomainConfig, domain_configs};
pub(crate) use list::{ListedDomain, domain_list};
pub(crate) use sections::{SECTION, sections};

use xenrt_core::Error;
use xenrt_core::remote::shorten_middle;

/// The error for `found`, a part of what `what` printed.
fn not_understood(what: &str, expected: &str, found: &str) -> Error {
    Error::UnexpectedOutput {
        what: what.to_owned(),
        expected: expected.to_owned(),
        found: shorten_middle(found, 200),
    }
}
