//! The errors of the API: codes, and the texts that `xe` prints in their place.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)*) => {
        /// The code of an API error. Those that a test has reason to tell apart have a name here.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ApiCode {
            $($(#[$doc])* #[doc = concat!("\n\n`", $code, "`")] $variant,)*
            /// A storage back end failed; the number says how. `SR_BACKEND_FAILURE_<n>`
            SrBackendFailure(u32),
            /// Any other one, by its code.
            Other(String),
        }

        impl ApiCode {
            /// The code with this name.
            pub fn of(code: &str) -> Self {
                let number = code.strip_prefix("SR_BACKEND_FAILURE_").map(str::parse);
                match code {
                    $($code => Self::$variant,)*
                    _ => match number {
                        Some(Ok(number)) => Self::SrBackendFailure(number),
                        _ => Self::Other(code.to_owned()),
                    },
                }
            }
        }

        impl fmt::Display for ApiCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($code),)*
                    Self::SrBackendFailure(number) => write!(f, "SR_BACKEND_FAILURE_{number}"),
                    Self::Other(code) => f.write_str(code),
                }
            }
        }
    };
}

codes! {
    /// The VM is in the wrong power state; parameters `expected` and `actual`.
    VmBadPowerState = "VM_BAD_POWER_STATE",
    /// The object was deleted meanwhile.
    HandleInvalid = "HANDLE_INVALID",
    /// No object has that UUID; parameters `type` and `uuid`.
    UuidInvalid = "UUID_INVALID",
    /// Not enough memory on the host; parameters `needed` and `available`.
    HostNotEnoughFreeMemory = "HOST_NOT_ENOUGH_FREE_MEMORY",
    /// No host can start the VM; a parameter for each host says why.
    NoHostsAvailable = "NO_HOSTS_AVAILABLE",
    /// Something else is being done with the object; nothing was done.
    OtherOperationInProgress = "OTHER_OPERATION_IN_PROGRESS",
    /// Too many tasks wait; nothing was done.
    TooManyPendingTasks = "TOO_MANY_PENDING_TASKS",
    /// User or password is wrong.
    SessionAuthenticationFailed = "SESSION_AUTHENTICATION_FAILED",
    /// The session ended, for instance because the toolstack was restarted.
    SessionInvalid = "SESSION_INVALID",
    /// This host is no coordinator; the parameter is the address of the one that is.
    HostIsSlave = "HOST_IS_SLAVE",
    /// The toolstack is starting; nothing was done.
    HostStillBooting = "HOST_STILL_BOOTING",
    /// The host could not be contacted.
    HostOffline = "HOST_OFFLINE",
    /// The coordinator cannot contact a host.
    CannotContactHost = "CANNOT_CONTACT_HOST",
    /// The host must be disabled first.
    HostNotDisabled = "HOST_NOT_DISABLED",
    /// The host is disabled.
    HostDisabled = "HOST_DISABLED",
    /// The guest lacks drivers or an agent that this needs.
    VmLacksFeature = "VM_LACKS_FEATURE",
    /// The guest has no PV drivers.
    VmMissingPvDrivers = "VM_MISSING_PV_DRIVERS",
    /// Nothing in the guest can bring its disks to rest.
    QuiesceNotSupported = "VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED",
    /// The guest did not bring its disks to rest in time.
    QuiesceTimeout = "VM_SNAPSHOT_WITH_QUIESCE_TIMEOUT",
    /// The guest did not shut down in time.
    VmShutdownTimeout = "VM_SHUTDOWN_TIMEOUT",
    /// The VM crashed meanwhile.
    VmCrashed = "VM_CRASHED",
    /// The VM halted meanwhile.
    VmHalted = "VM_HALTED",
    /// The operation is not for templates.
    VmIsTemplate = "VM_IS_TEMPLATE",
    /// The VM cannot run there for want of storage.
    VmRequiresSr = "VM_REQUIRES_SR",
    /// The VM still has a domain.
    DomainExists = "DOMAIN_EXISTS",
    /// The VM has a device of that number.
    DeviceAlreadyExists = "DEVICE_ALREADY_EXISTS",
    /// The device is attached already.
    DeviceAlreadyAttached = "DEVICE_ALREADY_ATTACHED",
    /// The device is not attached.
    DeviceAlreadyDetached = "DEVICE_ALREADY_DETACHED",
    /// The guest does not let go of the device.
    DeviceDetachRejected = "DEVICE_DETACH_REJECTED",
    /// The guest did not let go of the device in time.
    DeviceDetachTimeout = "DEVICE_DETACH_TIMEOUT",
    /// The drive is empty.
    VbdIsEmpty = "VBD_IS_EMPTY",
    /// The drive is not empty.
    VbdNotEmpty = "VBD_NOT_EMPTY",
    /// The disk is in use.
    VdiInUse = "VDI_IN_USE",
    /// The storage has not enough room.
    SrFull = "SR_FULL",
    /// The storage still holds disks.
    SrNotEmpty = "SR_NOT_EMPTY",
    /// The storage is still plugged into a host.
    SrHasPbd = "SR_HAS_PBD",
    /// There is no driver for that type of storage.
    SrUnknownDriver = "SR_UNKNOWN_DRIVER",
    /// The network has a physical interface.
    NetworkContainsPif = "NETWORK_CONTAINS_PIF",
    /// Guests use the network.
    NetworkContainsVif = "NETWORK_CONTAINS_VIF",
    /// The network is attached to another interface.
    NetworkAlreadyConnected = "NETWORK_ALREADY_CONNECTED",
    /// The hardware address is malformed.
    MacInvalid = "MAC_INVALID",
    /// A value is not allowed; parameters `field` and `value`.
    InvalidValue = "INVALID_VALUE",
    /// A value is not supported; parameters `field`, `value` and `reason`.
    ValueNotSupported = "VALUE_NOT_SUPPORTED",
    /// Memory limits contradict one another.
    MemoryConstraintViolation = "MEMORY_CONSTRAINT_VIOLATION",
    /// The map has that key already.
    MapDuplicateKey = "MAP_DUPLICATE_KEY",
    /// It is not allowed; the parameter `reason` says why.
    OperationNotAllowed = "OPERATION_NOT_ALLOWED",
    /// The licence lacks the feature.
    LicenceRestriction = "LICENCE_RESTRICTION",
    /// A VM of that identity exists and is not older.
    VmToImportIsNotNewerVersion = "VM_TO_IMPORT_IS_NOT_NEWER_VERSION",
    /// The task was cancelled.
    TaskCancelled = "TASK_CANCELLED",
    /// A plug-in failed.
    XenapiPluginFailure = "XENAPI_PLUGIN_FAILURE",
    /// The domain could not be built.
    DomainBuilderError = "DOMAIN_BUILDER_ERROR",
    /// The boot loader failed.
    BootloaderFailed = "BOOTLOADER_FAILED",
    /// xapi itself failed; the parameter `message` says how.
    InternalError = "INTERNAL_ERROR",
}

/// An error of the API: its code, and its parameters with their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The code.
    pub code: ApiCode,
    /// Names and values, in the order of the API; references are shown as `UUID (name)`.
    pub parameters: Vec<(String, String)>,
    /// xapi's own sentence; empty where it printed the code.
    pub message: String,
}

impl ApiError {
    /// The value of a parameter, where it was printed.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The error that `xe` printed as `text`; `None` where it is none of the API's.
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("Error code: ") {
            let (code, rest) = rest.split_once('\n').unwrap_or((rest, ""));
            let listed = rest.strip_prefix("Error parameters: ").unwrap_or(rest).trim_end();
            return Some(Self::coded(code.trim_end(), listed));
        }
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let known = BY_TEXT.get(&same_in_all_releases(first.trim_end()))?;
        Some(Self {
            code: ApiCode::of(known.code),
            parameters: named_parameters(rest, &known.parameters),
            message: first.trim_end().to_owned(),
        })
    }

    /// From a code and its parameters, joined by commas. Those of a storage back end are three: one
    /// that is usually empty, a sentence, and what the driver printed.
    fn coded(code: &str, listed: &str) -> Self {
        let code = ApiCode::of(code);
        let parameters: Vec<(String, String)> = if let ApiCode::SrBackendFailure(_) = code {
            let listed = listed.strip_prefix(", ").unwrap_or(listed);
            let listed = listed.strip_suffix(',').unwrap_or(listed).trim_end();
            vec![("message".to_owned(), listed.to_owned())]
        } else if listed.is_empty() {
            Vec::new()
        } else {
            vec![("parameters".to_owned(), listed.to_owned())]
        };
        Self { code, parameters, message: String::new() }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if !self.message.is_empty() {
            // The sentence of VM_BAD_POWER_STATE and others goes on about the parameters.
            let first = self.message.split("; for example").next().unwrap_or(&self.message);
            write!(f, ": {}", first.trim_end_matches('.'))?;
        }
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            write!(f, "{}{name}: {value}", if index == 0 { " (" } else { "; " })?;
        }
        if self.parameters.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// `name: value` lines, with names that are expected in this order; other lines continue a value.
fn named_parameters(text: &str, expected: &[&str]) -> Vec<(String, String)> {
    let mut read: Vec<(String, String)> = Vec::new();
    let mut next = 0;
    for line in text.trim_end_matches('\n').lines() {
        let named = expected[next.min(expected.len())..].iter().position(|name| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(": ") || rest == ":")
        });
        match (named, read.last_mut()) {
            (Some(skipped), _) => {
                let name = expected[next + skipped];
                next += skipped + 1;
                let value = line[name.len() + 1..].trim_start_matches(' ');
                read.push((name.to_owned(), value.to_owned()));
            }
            (None, Some((_, value))) => {
                value.push('\n');
                value.push_str(line);
            }
            (None, None) => {
                if let Some((name, value)) = line.split_once(": ") {
                    read.push((name.to_owned(), value.to_owned()));
                }
            }
        }
    }
    read.retain(|(_, value)| value != "<unknown>");
    read
}

struct Known {
    code: &'static str,
    parameters: Vec<&'static str>,
}

/// The codes by their texts, worded alike.
static BY_TEXT: LazyLock<HashMap<String, Known>> = LazyLock::new(|| {
    let mut known = HashMap::new();
    for (code, parameters, text) in table() {
        known.entry(same_in_all_releases(text)).or_insert(Known { code, parameters });
    }
    known
});

/// Codes, names of their parameters, texts.
fn table() -> impl Iterator<Item = (&'static str, Vec<&'static str>, &'static str)> {
    let lines = include_str!("codes.tsv").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut columns = line.split('\t');
        let (code, parameters, text) = (columns.next()?, columns.next()?, columns.next()?);
        Some((code, parameters.split('|').filter(|name| !name.is_empty()).collect(), text))
    })
}

/// The text of a code.
#[cfg(feature = "double")]
pub(crate) fn api_message(code: &str) -> Option<&'static str> {
    table().find(|(own, ..)| *own == code).map(|(_, _, text)| text)
}

/// The names of the parameters of a code.
#[cfg(feature = "double")]
pub(crate) fn api_parameters(code: &str) -> Option<Vec<&'static str>> {
    table().find(|(own, ..)| *own == code).map(|(_, parameters, _)| parameters)
}

/// A text in words that did not change between releases: "master" and "slave" became "coordinator"
/// and "supporter", "host" became "server", the spelling American.
fn same_in_all_releases(text: &str) -> String {
    let mut same = text.to_lowercase();
    for (now, before) in [
        ("pool coordinator", "master"),
        ("pool master", "master"),
        ("coordinator", "master"),
        ("supporter", "slave"),
        ("server", "host"),
        ("cancelled", "canceled"),
        ("licence", "license"),
    ] {
        same = same.replace(now, before);
    }
    same.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_tell_codes_apart() {
        let mut count = 0;
        let mut shared: Vec<&str> = Vec::new();
        for (code, _, text) in table() {
            count += 1;
            let found = BY_TEXT[&same_in_all_releases(text)].code;
            if found != code {
                shared.push(code);
            }
        }
        assert_eq!(count, 605);
        insta::assert_snapshot!(shared.join("\n"));
    }

    #[test]
    fn older_releases_are_understood() {
        let text = "You cannot make regular API calls directly on a slave. Please pass API calls via \
                    the master host.\nMaster IP address: 192.0.2.7\n";
        let error = ApiError::read(text).unwrap();
        assert_eq!(error.code, ApiCode::HostIsSlave);
        assert_eq!(error.parameter("Master IP address"), Some("192.0.2.7"));
    }

    #[test]
    fn codes_keep_their_names() {
        for code in ["VM_BAD_POWER_STATE", "SR_BACKEND_FAILURE_108", "SOMETHING_NEW"] {
            assert_eq!(ApiCode::of(code).to_string(), code);
        }
        assert_eq!(ApiCode::of("SR_BACKEND_FAILURE_97"), ApiCode::SrBackendFailure(97));
    }
}
