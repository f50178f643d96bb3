//! Why a command of `xe` did not do what it should.

use uuid::Uuid;
use xenrt_core::ToolstackErrorKind;
use xenrt_core::remote::RemoteError;

use super::{ApiCode, ApiError};

/// The result of a command of `xe`.
pub type Result<T, E = XeError> = std::result::Result<T, E>;

/// Why a command of `xe` did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XeError {
    /// It was not sent, since it would have been taken for something else.
    #[error("`xe {command}` was not sent: {problem}")]
    Refused {
        /// The name of the command.
        command: String,
        /// Why, and what to do.
        problem: String,
    },
    /// An error of the API.
    #[error("{0}")]
    Api(ApiError),
    /// The selector found no object.
    #[error("nothing matches: {message}")]
    NoMatch {
        /// What `xe` said.
        message: String,
    },
    /// The selector found several objects; nothing was done.
    #[error("several objects match: {message}")]
    SeveralMatch {
        /// What `xe` said.
        message: String,
    },
    /// This release has no such field or parameter.
    #[error("this release of xapi has no field {name:?}")]
    UnknownField {
        /// Its name.
        name: String,
    },
    /// This release has no such command.
    #[error("this release of xapi has no command {name:?}")]
    UnknownCommand {
        /// Its name.
        name: String,
    },
    /// This release requires one more parameter.
    #[error("this release of xapi requires the parameter {name:?}")]
    MissingParameter {
        /// Its name.
        name: String,
    },
    /// Of several objects, these failed; the others were done.
    #[error(
        "failed for {} of the objects: {}",
        .failures.len(),
        .failures.iter().map(|(uuid, error)| format!("{uuid}: {error}")).collect::<Vec<_>>().join("; ")
    )]
    Partial {
        /// The objects with their errors.
        failures: Vec<(Uuid, XeError)>,
    },
    /// xapi did not take the command: it is not running, or not ready yet. Nothing was done.
    #[error("xapi does not answer: {message}; is it running (`systemctl status xapi`)?")]
    Unreachable {
        /// What `xe` said.
        message: String,
    },
    /// The connection to xapi broke; whether the command was carried out is not known.
    #[error("lost the connection to xapi, so that it is not known whether it was done: {message}")]
    ConnectionLost {
        /// What `xe` said.
        message: String,
    },
    /// `xe` ended with status 0 and did nothing.
    #[error("xe said that all is well, and did nothing: {said}")]
    NotDone {
        /// What it printed.
        said: String,
    },
    /// A value that this field or command does not take.
    #[error("{message}")]
    BadValue {
        /// What `xe` said.
        message: String,
    },
    /// Another refusal, in `xe`'s own words.
    #[error("{message}")]
    Other {
        /// What it printed.
        message: String,
    },
    /// The command could not be run at all, or took too long.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// What it printed is not understood.
    #[error(transparent)]
    Output(Box<xenrt_core::Error>),
}

impl From<xenrt_core::Error> for XeError {
    fn from(error: xenrt_core::Error) -> Self {
        match error {
            xenrt_core::Error::Remote(error) => Self::Remote(error),
            error => Self::Output(Box::new(error)),
        }
    }
}

impl XeError {
    /// The code, where it is an error of the API.
    pub fn code(&self) -> Option<&ApiCode> {
        match self {
            Self::Api(error) => Some(&error.code),
            _ => None,
        }
    }

    /// The error of the API, where it is one.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// Whether it is sure that nothing was done and a later try may succeed: xapi was not running,
    /// not ready, or busy with the same object.
    pub fn may_be_tried_again(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Remote(error) => matches!(error, RemoteError::Connect { .. }),
            Self::Api(error) => matches!(
                error.code,
                ApiCode::HostStillBooting
                    | ApiCode::OtherOperationInProgress
                    | ApiCode::TooManyPendingTasks
            ),
            _ => false,
        }
    }

    /// Whether it is not known if the command was carried out.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::ConnectionLost { .. } => true,
            Self::Remote(error) => {
                matches!(error, RemoteError::Disconnected { .. } | RemoteError::Deadline { .. })
            }
            Self::Api(error) => error.code == ApiCode::SessionInvalid,
            _ => false,
        }
    }

    /// Whether the object is not there (any more).
    pub fn is_missing_object(&self) -> bool {
        matches!(self, Self::NoMatch { .. })
            || matches!(self.code(), Some(ApiCode::UuidInvalid | ApiCode::HandleInvalid))
    }

    /// What it means, in the words of all toolstacks.
    pub fn kind(&self) -> ToolstackErrorKind {
        use ToolstackErrorKind as Kind;
        match self {
            Self::NoMatch { .. } => Kind::NoSuchObject,
            Self::SeveralMatch { .. } | Self::Refused { .. } | Self::BadValue { .. } => {
                Kind::InvalidConfiguration
            }
            Self::UnknownField { .. }
            | Self::UnknownCommand { .. }
            | Self::MissingParameter { .. } => Kind::NotSupported,
            Self::Unreachable { .. } | Self::ConnectionLost { .. } => Kind::NotRunning,
            Self::Partial { failures } => failures.first().map_or(Kind::Other, |(_, e)| e.kind()),
            Self::Api(error) => kind_of(error),
            Self::NotDone { .. } | Self::Other { .. } | Self::Remote(_) | Self::Output(_) => {
                Kind::Other
            }
        }
    }

    /// The same with secrets masked in what xapi said.
    pub(super) fn masked(mut self, mask: &dyn Fn(&str) -> String) -> Self {
        match &mut self {
            Self::NoMatch { message: text }
            | Self::SeveralMatch { message: text }
            | Self::UnknownField { name: text }
            | Self::UnknownCommand { name: text }
            | Self::MissingParameter { name: text }
            | Self::Unreachable { message: text }
            | Self::ConnectionLost { message: text }
            | Self::NotDone { said: text }
            | Self::BadValue { message: text }
            | Self::Other { message: text } => *text = mask(text),
            // xapi's own sentence holds no secret; its parameters may.
            Self::Api(error) => {
                for (_, value) in &mut error.parameters {
                    *value = mask(value);
                }
            }
            Self::Partial { failures } => {
                for (_, error) in failures {
                    let failure = std::mem::replace(error, Self::Other { message: String::new() });
                    *error = failure.masked(mask);
                }
            }
            Self::Refused { .. } | Self::Remote(_) | Self::Output(_) => {}
        }
        self
    }

    /// As an error of the object model: xapi could not `verb` `object`.
    pub fn during(self, verb: &str, object: &str) -> xenrt_core::Error {
        match self {
            Self::Remote(error) => error.into(),
            Self::Output(error) => *error,
            Self::Refused { .. } => xenrt_core::Error::invalid(object, self.to_string()),
            error => crate::error::refusal(error.kind(), verb, object, error.to_string()),
        }
    }
}

fn kind_of(error: &ApiError) -> ToolstackErrorKind {
    use ToolstackErrorKind as Kind;
    match &error.code {
        ApiCode::VmBadPowerState
        | ApiCode::OtherOperationInProgress
        | ApiCode::TooManyPendingTasks
        | ApiCode::HostNotDisabled
        | ApiCode::HostDisabled
        | ApiCode::DomainExists
        | ApiCode::DeviceAlreadyAttached
        | ApiCode::DeviceAlreadyDetached
        | ApiCode::DeviceDetachRejected
        | ApiCode::VbdIsEmpty
        | ApiCode::VbdNotEmpty
        | ApiCode::VdiInUse
        | ApiCode::SrNotEmpty
        | ApiCode::SrHasPbd
        | ApiCode::NetworkContainsPif
        | ApiCode::NetworkContainsVif
        | ApiCode::NetworkAlreadyConnected
        | ApiCode::VmHalted
        | ApiCode::VmCrashed => Kind::BadState,
        ApiCode::HandleInvalid | ApiCode::UuidInvalid => Kind::NoSuchObject,
        ApiCode::HostNotEnoughFreeMemory => Kind::OutOfMemory,
        ApiCode::NoHostsAvailable
            if error.parameters.iter().any(|(_, reason)| reason.contains("free memory")) =>
        {
            Kind::OutOfMemory
        }
        ApiCode::SrFull => Kind::OutOfSpace,
        ApiCode::VmLacksFeature
        | ApiCode::VmMissingPvDrivers
        | ApiCode::QuiesceNotSupported
        | ApiCode::LicenceRestriction
        | ApiCode::OperationNotAllowed
        | ApiCode::VmRequiresSr
        | ApiCode::SrUnknownDriver => Kind::NotSupported,
        ApiCode::DeviceAlreadyExists
        | ApiCode::MapDuplicateKey
        | ApiCode::VmToImportIsNotNewerVersion => Kind::AlreadyExists,
        ApiCode::MacInvalid
        | ApiCode::InvalidValue
        | ApiCode::ValueNotSupported
        | ApiCode::MemoryConstraintViolation
        | ApiCode::VmIsTemplate => Kind::InvalidConfiguration,
        ApiCode::VmShutdownTimeout | ApiCode::DeviceDetachTimeout | ApiCode::QuiesceTimeout => {
            Kind::TimedOut
        }
        ApiCode::HostStillBooting
        | ApiCode::HostOffline
        | ApiCode::CannotContactHost
        | ApiCode::SessionInvalid => Kind::NotRunning,
        _ => Kind::Other,
    }
}
