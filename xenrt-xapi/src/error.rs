//! What it means when `xe` refuses.
//!
//! The understanding is the client's (see [`crate::xe::XeError`]); here is how it enters the object
//! model.

use xenrt_core::{Error, ToolstackErrorKind};

/// The toolstack's name in errors and lab files.
pub(crate) const TOOLSTACK: &str = "xapi";

/// A refusal, of xapi or of this library in its place.
pub(crate) fn refusal(
    kind: ToolstackErrorKind,
    verb: &str,
    object: &str,
    message: impl Into<String>,
) -> Error {
    Error::Toolstack {
        toolstack: TOOLSTACK.to_owned(),
        verb: verb.to_owned(),
        object: object.to_owned(),
        kind,
        message: message.into(),
        source: None,
    }
}
