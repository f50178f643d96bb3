//! A guest operating system.

use std::fmt;

use serde::Deserialize;
use xenrt::model::Memory;

use super::talk::{AddressQuery, Shutdown, SystemCheck};

/// What kind of system one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemKind {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// FreeBSD.
    Freebsd,
    /// Solaris.
    Solaris,
}

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Architecture {
    /// 32 bits; `x86-32` in the original's names.
    #[serde(rename = "x86_32")]
    X86,
    /// 64 bits; `x86-64` in the original's names.
    #[serde(rename = "x86_64")]
    X86_64,
}

/// How a system finds its kernel when it is installed or started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootMethod {
    /// The toolstack can load its kernel (paravirtualised).
    Kernel,
    /// Its firmware does (hardware virtualisation); a BIOS will do.
    Firmware,
    /// Its firmware does, and that must be UEFI.
    Uefi,
}

/// What a system does not install without, beside memory, disk and processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Firmware that starts signed loaders alone.
    SecureBoot,
    /// A Trusted Platform Module of version 2.0; a software one will do.
    Tpm2,
}

/// How a system is installed without anybody at the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Install {
    /// A ready disk image that cloud-init sets up.
    CloudInit,
    /// A ready disk image that a cloud-config sets up (CoreOS).
    CloudConfig,
    /// Ubuntu's installer of servers since 20.04, told in the language of cloud-init.
    Autoinstall,
    /// Debian's installer with a preseed file.
    Preseed,
    /// Red Hat's Anaconda with a kickstart file.
    Kickstart,
    /// SUSE's YaST with a control file.
    Autoyast,
    /// Solaris's installer.
    Jumpstart,
    /// Windows setup with an answer file on the medium.
    Autounattend,
    /// A template that the toolstack brings along.
    Template,
}

impl fmt::Display for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CloudInit => "cloud-init",
            Self::CloudConfig => "cloud-config",
            Self::Autoinstall => "autoinstall",
            Self::Preseed => "preseed",
            Self::Kickstart => "kickstart",
            Self::Autoyast => "autoyast",
            Self::Jumpstart => "jumpstart",
            Self::Autounattend => "autounattend",
            Self::Template => "a template of the toolstack",
        })
    }
}

/// How commands run in a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Commands {
    /// Through its sshd, with a POSIX shell.
    Ssh,
    /// Through its sshd, with PowerShell.
    Powershell,
    /// Through the original's own agent (XML-RPC), which this library does not speak.
    LegacyAgent,
}

/// A guest operating system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestSystem {
    /// Its name: `debian12`, `ws08r2sp1-x64`.
    pub name: String,
    /// Other names that it goes by.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What kind of system it is.
    pub kind: SystemKind,
    /// Its family: `RHEL`, `Windows 7`.
    pub family: String,
    /// Its version and edition, where the family has several.
    #[serde(default)]
    pub version: Option<String>,
    /// The architectures that it comes for.
    pub architectures: Vec<Architecture>,
    /// How it finds its kernel.
    pub boot: BootMethod,
    /// How it is installed, where nobody says otherwise.
    pub install: Install,
    /// How its own installer is answered, where a ready image is the usual way.
    #[serde(default)]
    pub installer: Option<Install>,
    /// What it does not install without.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// It does not install with less memory.
    #[serde(deserialize_with = "mib")]
    pub minimum_memory: Memory,
    /// The memory that a guest is given where nobody says otherwise.
    #[serde(deserialize_with = "mib")]
    pub default_memory: Memory,
    /// It does not use, or is not supported with, more memory.
    #[serde(default, deserialize_with = "some_mib")]
    pub maximum_memory: Option<Memory>,
    /// It does not install with fewer processors.
    #[serde(default = "one")]
    pub minimum_vcpus: u32,
    /// The processors that a guest is given where nobody says otherwise.
    pub default_vcpus: u32,
    /// It does not use more cores.
    #[serde(default)]
    pub maximum_cores: Option<u32>,
    /// It does not use more sockets.
    #[serde(default)]
    pub maximum_sockets: Option<u32>,
    /// It does not install on a smaller disk; the vendor's figure, where one is known.
    #[serde(default, deserialize_with = "some_mib")]
    pub minimum_disk: Option<Memory>,
    /// The root disk that suits it.
    #[serde(deserialize_with = "mib")]
    pub root_disk: Memory,
    /// How commands run in it.
    pub commands: Commands,
    /// How it is asked for its addresses.
    pub addresses: AddressQuery,
    /// How it is told from inside to shut down.
    pub shutdown: Shutdown,
    /// Which checks of the model apply to a guest with it.
    pub checks: Vec<SystemCheck>,
}

fn one() -> u32 {
    1
}

fn mib<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Memory, D::Error> {
    u64::deserialize(deserializer).map(Memory::mib)
}

fn some_mib<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Memory>, D::Error> {
    u64::deserialize(deserializer).map(|mib| Some(Memory::mib(mib)))
}

impl GuestSystem {
    /// All ways in which it is installed, the usual one first.
    pub fn installs(&self) -> impl Iterator<Item = Install> {
        std::iter::once(self.install).chain(self.installer)
    }

    /// What is wrong with this much memory and so many processors for it, if anything is.
    pub fn objection(&self, memory: Memory, vcpus: u32) -> Option<String> {
        let name = &self.name;
        if memory < self.minimum_memory {
            return Some(format!(
                "{name} needs {} at least, and {memory} were said",
                self.minimum_memory
            ));
        }
        if let Some(most) = self.maximum_memory.filter(|most| memory > *most) {
            return Some(format!("{name} can have {most} at the most, and {memory} were said"));
        }
        if vcpus < self.minimum_vcpus {
            let least = self.minimum_vcpus;
            return Some(format!(
                "{name} needs {least} processors at least, and {vcpus} were said"
            ));
        }
        let most = self.maximum_cores?;
        (vcpus > most)
            .then(|| format!("{name} uses {most} cores at the most, and {vcpus} were said"))
    }
}
