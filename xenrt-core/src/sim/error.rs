//! The errors of the simulated toolstack.

use super::TOOLSTACK;
use crate::{Error, ToolstackErrorKind};

/// A refusal of the toolstack.
pub(super) fn refusal(
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
