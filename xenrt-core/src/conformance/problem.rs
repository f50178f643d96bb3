//! Why a check did not pass, and how checks say it.

use std::fmt::Debug;

use crate::model::{Ability, PowerState};
use crate::remote::RemoteError;
use crate::{Error, Result, ToolstackErrorKind};

/// Why a check did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The contract does not hold.
    Failed(String),
    /// The host cannot do what it is about, and says why.
    Absent {
        /// The ability.
        ability: Ability,
        /// The reason.
        reason: String,
    },
    /// It could not be found out: the connection, or what the check needs of the lab.
    Errored(String),
}

/// An error that nothing was known to expect: the contract does not hold, unless the way to the host
/// is what broke, or the host said that it cannot do that and why.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unsupported { ability, reason: Some(reason), .. } => {
                Self::Absent { ability, reason }
            }
            Error::Remote(error) => error.into(),
            error => Self::Failed(with_causes(&error)),
        }
    }
}

impl From<RemoteError> for Problem {
    fn from(error: RemoteError) -> Self {
        if error.is_connection() {
            Self::Errored(with_causes(&error))
        } else {
            Self::Failed(with_causes(&error))
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// What a check returns.
pub(super) type Outcome = Result<(), Problem>;

/// The contract does not hold, unless it does.
pub(super) fn ensure(holds: bool, wrong: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(Problem::Failed(wrong.into())) }
}

/// Two things must be the same.
pub(super) fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome {
    ensure(found == expected, format!("{what} is {found:?}, not {expected:?}"))
}

fn unexpected<T>(what: &str, wanted: &str, result: Result<T>) -> Outcome {
    Err(match result {
        Ok(_) => Problem::Failed(format!("{what} was accepted; expected {wanted}")),
        Err(Error::Remote(error)) if error.is_connection() => error.into(),
        Err(error) => {
            let kind =
                error.toolstack_kind().map_or_else(String::new, |kind| format!(" ({kind:?})"));
            Problem::Failed(format!("{what} gave another error than {wanted}{kind}: {error}"))
        }
    })
}

/// The toolstack must refuse, with an error of one of these kinds.
pub(super) fn refused<T>(result: Result<T>, what: &str, kinds: &[ToolstackErrorKind]) -> Outcome {
    match &result {
        Err(error) if error.toolstack_kind().is_some_and(|kind| kinds.contains(&kind)) => Ok(()),
        _ => unexpected(what, &format!("a refusal of kind {kinds:?}"), result),
    }
}

/// It must be refused as something that cannot be carried out.
pub(super) fn invalid<T>(result: Result<T>, what: &str) -> Outcome {
    match result {
        Err(Error::Invalid { .. }) => Ok(()),
        result => unexpected(what, "Error::Invalid", result),
    }
}

/// It must be refused as something that is not known.
pub(super) fn not_found<T>(result: Result<T>, what: &str) -> Outcome {
    match result {
        Err(Error::NotFound { .. }) => Ok(()),
        result => unexpected(what, "Error::NotFound", result),
    }
}

/// It must be refused because of the power state, which is told.
pub(super) fn wrong_state<T>(result: Result<T>, what: &str, is: PowerState) -> Outcome {
    match result {
        Err(Error::WrongState { state, .. }) => same("the state in the refusal", state, is),
        result => unexpected(what, &format!("Error::WrongState with {is}"), result),
    }
}

/// It must be refused because the object is gone.
pub(super) fn gone<T>(result: Result<T>, what: &str) -> Outcome {
    refused(result, what, &[ToolstackErrorKind::NoSuchObject])
}
