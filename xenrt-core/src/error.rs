//! The one error type of this crate, and who is to blame for an error.

use std::fmt;
use std::time::Duration;

use crate::model::{Ability, CheckReport, PowerState};
use crate::nearest::hint;
use crate::remote::RemoteError;
use crate::seconds::Readable;

/// The result of most calls into this crate and its toolstacks.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act on an error. It decides between the outcomes Failed and Errored.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The product under test: hypervisor, toolstack, dom0, guest drivers. The test *failed*.
    Product,
    /// The harness, the lab or the network between them. The test *errored*.
    Infrastructure,
    /// The test itself or the sequence that runs it: a bad argument, a missing name. It *errored*.
    Test,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Product => "product",
            Self::Infrastructure => "infrastructure",
            Self::Test => "test",
        })
    }
}

/// What a toolstack's refusal means, in words that all toolstacks share.
///
/// A back end maps the texts and codes of its own toolstack to these; what it cannot map is
/// [`Other`](Self::Other), never a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ToolstackErrorKind {
    /// An object of that name or identity exists already.
    AlreadyExists,
    /// The guest, disk, VIF or network is not there (any more).
    NoSuchObject,
    /// The host has not enough free memory.
    OutOfMemory,
    /// The host's storage has not enough room.
    OutOfSpace,
    /// The toolstack does not accept the configuration.
    InvalidConfiguration,
    /// A file that the configuration names is missing on the host (kernel, disk, ...).
    MissingFile,
    /// The object is not in a state that allows the action.
    BadState,
    /// The hypervisor or the guest lacks what the action needs.
    NotSupported,
    /// The toolstack tried and gave up waiting, for instance for a guest that ignores a request.
    TimedOut,
    /// Nothing answers: the toolstack's daemon or the hypervisor is not running.
    NotRunning,
    /// None of the above; the message says what the toolstack said.
    Other,
}

/// Why an operation on a host, a guest or a lab did not succeed.
///
/// The message is a sentence without a full stop that can follow "failed to ...: "; the cause, where
/// there is one, is in [`source`](std::error::Error::source). [`blame`](Self::blame) says who has to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that does not exist where it was looked up.
    #[error("{kind} {name:?} is not known{}", hint(.name, .known.iter().map(String::as_str)))]
    NotFound {
        /// What was looked for: `host`, `guest`, `image`, `test case`, ...
        kind: &'static str,
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The toolstack, or this host, has not got an optional ability.
    #[error("{ability} is not supported by {toolstack}{}", .reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    Unsupported {
        /// The toolstack's name.
        toolstack: String,
        /// What it lacks.
        ability: Ability,
        /// Why, where that is known (`Xen was built without shadow paging`).
        reason: Option<String>,
    },
    /// A condition did not come true in time.
    #[error("{waiting_for}: not so after {}; last seen: {last_seen}", Readable(*.waited))]
    Timeout {
        /// The condition, as a phrase: `guest tiny to be Running`.
        waiting_for: String,
        /// How long it was waited for.
        waited: Duration,
        /// What the last look saw.
        last_seen: String,
    },
    /// A verb was used on a guest whose power state does not allow it. Nothing was done.
    #[error("cannot {verb} guest {guest:?}: it is {state}, and that needs {needed}")]
    WrongState {
        /// The guest's name.
        guest: String,
        /// What was asked for: `pause`, `resume`, ...
        verb: &'static str,
        /// The state that the toolstack reports.
        state: PowerState,
        /// The states that would have allowed it, in words.
        needed: String,
    },
    /// A guest stopped while something was waited for that needs it to run.
    #[error(
        "guest {guest:?} is {state} while it was waited for {doing}; its console ends with:\n{console}"
    )]
    GuestStopped {
        /// The guest's name.
        guest: String,
        /// The state that it is in.
        state: PowerState,
        /// What was waited for, as `to ...`.
        doing: &'static str,
        /// The end of its console.
        console: String,
    },
    /// The toolstack refused or failed.
    #[error("{toolstack} could not {verb} {object}: {message}")]
    Toolstack {
        /// The toolstack's name.
        toolstack: String,
        /// What was tried: `start`, `attach a VIF to`, ...
        verb: String,
        /// What it was tried on: `guest "tiny"`.
        object: String,
        /// What it means.
        kind: ToolstackErrorKind,
        /// The toolstack's own words, shortened.
        message: String,
        /// The command that failed, where there was one.
        #[source]
        source: Option<Box<RemoteError>>,
    },
    /// A program printed something that is not in the form that it is known to print.
    #[error("cannot understand {what}: expected {expected}, found {found:?}")]
    UnexpectedOutput {
        /// What was read: `xl list -l`.
        what: String,
        /// The form that was expected.
        expected: String,
        /// The offending part, shortened.
        found: String,
    },
    /// The views of a guest or host do not agree with what they should be.
    #[error("{0}")]
    Check(CheckReport),
    /// A specification, argument or setting that cannot be carried out.
    #[error("{what}: {problem}")]
    Invalid {
        /// Which specification or setting.
        what: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A remote or local command could not be run, or failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The lab could not provide what was asked of it.
    #[error("{message}")]
    Lab {
        /// What could not be provided, and what to do.
        message: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A file of the harness itself (journal, evidence, report) could not be read or written.
    #[error("{action} {path}")]
    Io {
        /// `cannot write`, `cannot read`, ...
        action: &'static str,
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Who has to act on this error.
    ///
    /// A toolstack that refuses, a state that does not come, a check that finds a difference and a
    /// command that fails speak of the product; a connection that cannot be made or is lost and a
    /// lab without hosts of the infrastructure; an unknown name or an invalid specification of the
    /// test.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Timeout { .. }
            | Self::GuestStopped { .. }
            | Self::Toolstack { .. }
            | Self::Check(_)
            | Self::UnexpectedOutput { .. } => Blame::Product,
            Self::Lab { .. } | Self::Io { .. } => Blame::Infrastructure,
            Self::NotFound { .. }
            | Self::Unsupported { .. }
            | Self::WrongState { .. }
            | Self::Invalid { .. } => Blame::Test,
            Self::Remote(error) => error.blame(),
        }
    }

    /// That a guest is in `state`, where `verb` needs one of `needed`.
    pub fn wrong_state(
        guest: impl Into<String>,
        verb: &'static str,
        state: PowerState,
        needed: &[PowerState],
    ) -> Self {
        let needed = needed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        Self::WrongState { guest: guest.into(), verb, state, needed }
    }

    /// A specification or setting that cannot be carried out.
    pub fn invalid(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), problem: problem.into() }
    }

    /// A lab that could not provide, without a deeper cause.
    pub fn lab(message: impl Into<String>) -> Self {
        Self::Lab { message: message.into(), source: None }
    }

    /// What kind of refusal of the toolstack this is, where it is one.
    pub fn toolstack_kind(&self) -> Option<ToolstackErrorKind> {
        match self {
            Self::Toolstack { kind, .. } => Some(*kind),
            _ => None,
        }
    }
}
