//! Guest images that a host has.

use serde::Deserialize;

use crate::model::{GuestKind, Memory};

/// One guest image in a host's catalogue: what a guest is made from, and how to log into it.
///
/// Paths are paths on the host. In texts, `{name}`, `{address}`, `{prefix}` and `{gateway}` stand
/// for the guest's name and the address that was chosen for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestImage {
    /// Its name: `tiny`, `debian`.
    pub name: String,
    /// Other names that it answers to, such as distributions of old sequence files.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Kinds of virtualisation that it boots under, the preferred one first.
    pub kinds: Vec<GuestKind>,
    /// The kernel, for guests whose toolstack loads it.
    #[serde(default)]
    pub kernel: Option<String>,
    /// The initial ramdisk.
    #[serde(default)]
    pub ramdisk: Option<String>,
    /// The disk that each guest gets a private copy of, as its first one.
    #[serde(default)]
    pub disk: Option<String>,
    /// The kernel's command line.
    #[serde(default)]
    pub command_line: String,
    /// What is added to the command line when a fixed address was chosen.
    #[serde(default)]
    pub address_command_line: String,
    /// Memory that suits it, in MiB.
    #[serde(rename = "memory_mib", deserialize_with = "mib")]
    pub memory: Memory,
    /// The user to log in as.
    #[serde(default = "root")]
    pub user: String,
    /// The private key for the login, a path on the machine that runs the tests; the host's own
    /// key where it is not set.
    #[serde(default)]
    pub key: Option<std::path::PathBuf>,
}

fn root() -> String {
    "root".to_owned()
}

fn mib<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Memory, D::Error> {
    u64::deserialize(deserializer).map(Memory::mib)
}

impl GuestImage {
    /// Whether it goes by this name or alias, without regard to case.
    pub fn answers_to(&self, name: &str) -> bool {
        std::iter::once(&self.name).chain(&self.aliases).any(|own| own.eq_ignore_ascii_case(name))
    }
}
