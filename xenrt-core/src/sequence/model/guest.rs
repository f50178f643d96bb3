//! The guests that a sequence prepares.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Place, StorageType, Word};
use crate::model::Memory;

/// One `<vm>`, or one guest of a `<vmgroup>`: a guest that is there, running and reachable, when
/// the tests begin, unless what is done after its installation leaves it otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestStep {
    /// `name`: the name of the guest and by which tests know it.
    pub name: String,
    /// `<distro>`: the image; `generic-linux` unless given.
    pub distro: String,
    /// `<file>`: it is imported from a file instead of being installed.
    pub import: Option<GuestFile>,
    /// `<arch>`.
    pub architecture: Option<Architecture>,
    /// `<vcpus>`.
    pub vcpus: Option<u32>,
    /// `<corespersocket>`.
    pub cores_per_socket: Option<u32>,
    /// `<memory>`, in MiB in the file.
    pub memory: Option<Memory>,
    /// `<guestparams>`: parameters of the toolstack's guest object, by name.
    pub parameters: Vec<(String, String)>,
    /// `<storage>`: where its disks are.
    pub storage: Option<StorageChoice>,
    /// `<network>`: its VIFs; one on the host's guest network unless given.
    pub vifs: Vec<VifStep>,
    /// `<disk>`: its extra disks, in the order of their devices; one with a `number` is so many
    /// disks.
    pub disks: Vec<DiskStep>,
    /// `<bootparams>`: the arguments of its kernel.
    pub boot_arguments: Option<String>,
    /// `<packages>`: packages that are installed in it.
    pub packages: Vec<String>,
    /// `<script>`: scripts of the file that are run in it, by name.
    pub scripts: Vec<Word>,
    /// `<postinstall>`: what is done with it once it is installed, in the order of the file.
    pub after_install: Vec<AfterInstall>,
    /// Where it stands.
    pub place: Place,
}

impl GuestStep {
    /// The guest with this name and nothing said about it.
    pub fn new(name: impl Into<String>, place: Place) -> Self {
        Self {
            name: name.into(),
            distro: String::from(Self::DEFAULT_DISTRO),
            import: None,
            architecture: None,
            vcpus: None,
            cores_per_socket: None,
            memory: None,
            parameters: Vec::new(),
            storage: None,
            vifs: Vec::new(),
            disks: Vec::new(),
            boot_arguments: None,
            packages: Vec::new(),
            scripts: Vec::new(),
            after_install: Vec::new(),
            place,
        }
    }

    /// The distro that is taken where a file gives none, as in the original.
    pub const DEFAULT_DISTRO: &str = "generic-linux";
}

/// A guest in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestFile {
    /// Its name, relative to the folder of the build or of the user.
    pub name: String,
    /// `user`: whether it is one of the user's own files.
    pub of_user: bool,
}

/// The processor of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Architecture {
    /// `x86-32`.
    #[serde(rename = "x86-32")]
    X86,
    /// `x86-64`.
    #[serde(rename = "x86-64")]
    X86_64,
}

/// Where the disks of a guest are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageChoice {
    /// A storage of the file, by its name.
    Named(Word),
    /// Any storage of this type.
    Type(StorageType),
    /// A storage that the file does not make: its name or uuid on the host.
    Existing(String),
}

/// One `<network>` of a `<vm>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VifStep {
    /// `device`: its number.
    pub device: u32,
    /// `bridge`: the network; the host's guest network unless given.
    pub network: Option<String>,
    /// `ip`: the address that it has always, with the length of its prefix.
    pub address: Option<StaticAddress>,
    /// `sriov` and `physdev`: it is a virtual function of the network interface on this network.
    pub virtual_function_of: Option<String>,
}

impl VifStep {
    /// A VIF on the host's guest network.
    pub fn new(device: u32) -> Self {
        Self { device, network: None, address: None, virtual_function_of: None }
    }
}

/// An address with its network: `172.16.0.1/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StaticAddress {
    /// The address.
    pub address: IpAddr,
    /// How many of its first bits are those of the network.
    pub prefix: u8,
}

/// One extra disk of a `<vm>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskStep {
    /// Its number: `device`, counted on for a `<disk>` that is several.
    pub device: u32,
    /// `size`, in GiB in the file.
    pub size: Memory,
    /// `format`: whether it gets a file system.
    pub format: bool,
}

/// One `<postinstall>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterInstall {
    /// What is done.
    pub action: GuestAction,
    /// Where it stands.
    pub place: Place,
}

/// What can be done with a guest once it is installed. In the original the text was the name of a
/// method of the guest, or a call that was evaluated as a program; here only calls with literal
/// arguments are understood, and nothing is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestAction {
    /// `start`.
    Start,
    /// `shutdown`.
    Shutdown,
    /// `reboot`.
    Reboot,
    /// `pause`.
    Pause,
    /// `suspend`.
    Suspend,
    /// `snapshot`, `snapshot(name='clean')`.
    Snapshot {
        /// The name of the snapshot.
        name: Option<String>,
    },
    /// `convertToTemplate`.
    ConvertToTemplate,
    /// `preCloneTailor`: makes it ready to be cloned.
    PrepareForCloning,
    /// `removeCD`: takes the installation image out.
    RemoveCd,
    /// `installDrivers`: paravirtualised drivers.
    InstallDrivers,
    /// `installTools`: the agent of the toolstack.
    InstallTools,
    /// `disableFirewall`.
    DisableFirewall,
    /// Anything else that the original had, such as `installPowerShell`: a method of its guests.
    Other(GuestCall),
}

impl GuestAction {
    /// The word of the file.
    pub fn name(&self) -> &str {
        match self {
            Self::Start => "start",
            Self::Shutdown => "shutdown",
            Self::Reboot => "reboot",
            Self::Pause => "pause",
            Self::Suspend => "suspend",
            Self::Snapshot { .. } => "snapshot",
            Self::ConvertToTemplate => "convertToTemplate",
            Self::PrepareForCloning => "preCloneTailor",
            Self::RemoveCd => "removeCD",
            Self::InstallDrivers => "installDrivers",
            Self::InstallTools => "installTools",
            Self::DisableFirewall => "disableFirewall",
            Self::Other(call) => &call.method,
        }
    }
}

/// A method with literal arguments: `setupNetscalerVPX(installNSTools=True)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestCall {
    /// The name of the method.
    pub method: String,
    /// Its arguments in order.
    pub arguments: Vec<CallArgument>,
}

/// An argument of a [`GuestCall`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallArgument {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its value.
    pub value: Literal,
}

/// A value that is written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// `None`.
    None,
    /// `True`, `False`.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A text in quotes.
    Text(String),
}
