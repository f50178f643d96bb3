//! What it means when libvirt refuses.

use virt::error::{Error as VirtError, ErrorNumber};
use xenrt_core::remote::shorten_middle;
use xenrt_core::{Error, ToolstackErrorKind};

use crate::xml::XmlError;

/// The toolstack's name in errors and lab files.
pub(crate) const TOOLSTACK: &str = "libvirt";

/// What libvirt's codes mean (virterror.h). Codes that say nothing but "failed" are looked up by
/// their texts.
fn kind_of_code(code: ErrorNumber) -> Option<ToolstackErrorKind> {
    use ErrorNumber as Code;
    use ToolstackErrorKind::{
        AlreadyExists, BadState, InvalidConfiguration, NoSuchObject, NotRunning, NotSupported,
        OutOfMemory, TimedOut,
    };
    Some(match code {
        Code::DomExist | Code::NetworkExist | Code::StorageVolExist | Code::NetworkPortExists => {
            AlreadyExists
        }
        Code::NoDomain
        | Code::NoNetwork
        | Code::NoStoragePool
        | Code::NoStorageVolume
        | Code::NoDomainSnapshot
        | Code::NoDomainCheckpoint
        | Code::NoInterface
        | Code::NoNodeDevice
        | Code::NoDomainMetadata
        | Code::DeviceMissing => NoSuchObject,
        Code::NoMemory => OutOfMemory,
        Code::XmlError
        | Code::XmlDetail
        | Code::XmlInvalidSchema
        | Code::ConfigUnsupported
        | Code::ConfSyntax
        | Code::InvalidArg
        | Code::InvalidMac
        | Code::OsType
        | Code::NoOs
        | Code::NoName
        | Code::Overflow
        | Code::CpuIncompatible => InvalidConfiguration,
        Code::OperationInvalid | Code::ResourceBusy | Code::SnapshotRevertRisky => BadState,
        Code::NoSupport | Code::OperationUnsupported | Code::ArgumentUnsupported => NotSupported,
        Code::OperationTimeout | Code::AgentUnresponsive | Code::AgentCommandTimeout => TimedOut,
        Code::NoConnect | Code::NoXen | Code::NoServer => NotRunning,
        _ => return None,
    })
}

/// Texts of the kernel's, QEMU's and libvirt's own that come with codes that say nothing.
const TEXTS: &[(&str, ToolstackErrorKind)] = {
    use ToolstackErrorKind::{
        AlreadyExists, BadState, InvalidConfiguration, MissingFile, NoSuchObject, OutOfMemory,
        OutOfSpace, TimedOut,
    };
    &[
        ("already exists", AlreadyExists),
        ("not running", BadState),
        ("already running", BadState),
        ("Cannot allocate memory", OutOfMemory),
        ("cannot set up guest memory", OutOfMemory),
        ("failed to allocate memory", OutOfMemory),
        ("not enough memory", OutOfMemory),
        ("No space left on device", OutOfSpace),
        ("Disk quota exceeded", OutOfSpace),
        ("No such device", NoSuchObject),
        ("No such file or directory", MissingFile),
        ("Could not open", MissingFile),
        ("Timed out", TimedOut),
        ("timed out", TimedOut),
        ("File name too long", InvalidConfiguration),
    ]
};

/// What an error of libvirt's means.
pub(crate) fn kind_of(code: ErrorNumber, message: &str) -> ToolstackErrorKind {
    // `already active` and the like come with a code; this one comes with "operation failed".
    if let Some(kind) = kind_of_code(code) {
        return kind;
    }
    let known = TEXTS.iter().find(|(text, _)| message.contains(text));
    known.map_or(ToolstackErrorKind::Other, |(_, kind)| *kind)
}

/// The error for a call that libvirt refused.
pub(crate) fn refused(error: &VirtError, verb: &str, object: &str) -> Error {
    let kind = kind_of(error.code(), error.message());
    refusal(kind, verb, object, shorten_middle(error.message().trim(), 600))
}

/// A refusal, of libvirt or of this library in its place.
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

/// A document that libvirt gave and that is not understood.
pub(crate) fn not_understood(what: &str, error: &XmlError) -> Error {
    Error::UnexpectedOutput {
        what: what.to_owned(),
        expected: "XML in libvirt's form".to_owned(),
        found: shorten_middle(&error.to_string(), 300),
    }
}

/// A document that this library cannot write.
pub(crate) fn not_written(what: &str, error: &XmlError) -> Error {
    Error::invalid(what, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_before_texts_and_nothing_is_guessed() {
        let of = |code, text| kind_of(code, text);
        let kinds = [
            of(ErrorNumber::NoDomain, "Domain not found"),
            of(
                ErrorNumber::OperationInvalid,
                "Requested operation is not valid: domain is running",
            ),
            of(ErrorNumber::SystemError, "Failed to open file '/x': No such file or directory"),
            of(
                ErrorNumber::OperationFailed,
                "operation failed: domain 'a' already exists with uuid",
            ),
            of(ErrorNumber::InternalError, "flux capacitor discharged"),
        ];
        use ToolstackErrorKind::{AlreadyExists, BadState, MissingFile, NoSuchObject, Other};
        assert_eq!(kinds, [NoSuchObject, BadState, MissingFile, AlreadyExists, Other]);
    }
}
