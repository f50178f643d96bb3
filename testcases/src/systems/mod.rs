//! The guest operating systems that are known: what each needs, how it is installed, and how it is
//! talked to. Data, in `catalogue.toml`; a lab says which of them it has images of.
//!
//! ```
//! let systems = xenrt_testcases::systems::Catalogue::built_in()?;
//! let system = systems.find("rhel7_x86-64")?;
//! assert_eq!((system.family.as_str(), system.minimum_memory.as_mib()), ("RHEL", 1024));
//! assert!(systems.find("rhel7_x86-32").is_err());
//! assert_eq!(systems.find("bookworm")?.name, "debian12");
//! # Ok::<(), xenrt::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use xenrt::Error;
use xenrt::model::Memory;

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
    /// Its firmware does (hardware virtualisation).
    Firmware,
}

/// How a system is installed without anybody at the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Install {
    /// A ready disk image that cloud-init sets up.
    CloudInit,
    /// A ready disk image that a cloud-config sets up (CoreOS).
    CloudConfig,
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
    /// How it is installed.
    pub install: Install,
    /// It does not install with less memory.
    #[serde(deserialize_with = "mib")]
    pub minimum_memory: Memory,
    /// It does not use, or is not supported with, more memory.
    #[serde(default, deserialize_with = "some_mib")]
    pub maximum_memory: Option<Memory>,
    /// It does not use more cores.
    #[serde(default)]
    pub maximum_cores: Option<u32>,
    /// It does not use more sockets.
    #[serde(default)]
    pub maximum_sockets: Option<u32>,
    /// The root disk that suits it.
    #[serde(deserialize_with = "mib")]
    pub root_disk: Memory,
    /// How commands run in it.
    pub commands: Commands,
}

fn mib<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Memory, D::Error> {
    u64::deserialize(deserializer).map(Memory::mib)
}

fn some_mib<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Memory>, D::Error> {
    u64::deserialize(deserializer).map(|mib| Some(Memory::mib(mib)))
}

impl GuestSystem {
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
        let most = self.maximum_cores?;
        (vcpus > most)
            .then(|| format!("{name} uses {most} cores at the most, and {vcpus} were said"))
    }
}

/// The systems that are known.
#[derive(Debug, Clone)]
pub struct Catalogue {
    systems: Vec<GuestSystem>,
    /// Names and aliases in lower case, to places in `systems`.
    names: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    system: Vec<GuestSystem>,
}

impl Catalogue {
    /// Those that come with the library.
    ///
    /// # Errors
    /// None, unless the library was built from a broken catalogue.
    pub fn built_in() -> Result<Self, Error> {
        Self::read(include_str!("catalogue.toml"))
    }

    /// Those of a text in TOML; `[[system]]` tables with the fields of [`GuestSystem`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for a text that is not right, with its place, and for systems that cannot be:
    /// names that two of them claim, no architecture, more memory at least than at the most.
    pub fn read(text: &str) -> Result<Self, Error> {
        let invalid = |problem: String| Error::invalid("the catalogue of guest systems", problem);
        let File { system: systems } = toml::from_str(text)
            .map_err(|error| invalid(error.to_string().trim_end().to_owned()))?;
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for (at, system) in systems.iter().enumerate() {
            for name in std::iter::once(&system.name).chain(&system.aliases) {
                if let Some(first) = names.insert(name.to_lowercase(), at) {
                    let (first, second) = (&systems[first].name, &system.name);
                    return Err(invalid(format!("{first} and {second} both go by {name:?}")));
                }
            }
            let problem = if system.architectures.is_empty() {
                "comes for no architecture"
            } else if system.maximum_memory.is_some_and(|most| most < system.minimum_memory) {
                "needs more memory than it can have"
            } else if system.minimum_memory == Memory::default()
                || system.root_disk == Memory::default()
            {
                "needs no memory or no disk"
            } else {
                continue;
            };
            return Err(invalid(format!("{} {problem}", system.name)));
        }
        Ok(Self { systems, names })
    }

    /// The system of this name or alias, without regard to case. `_x86-32` or `_x86-64` at the end of a
    /// name asks for that architecture, as in the original (`util.getDistroAndArch`).
    ///
    /// # Errors
    /// [`Error::NotFound`] with the names that there are; [`Error::Invalid`] for an architecture that it
    /// does not come for.
    pub fn find(&self, name: &str) -> Result<&GuestSystem, Error> {
        let lower = name.to_lowercase();
        let (base, wanted) = if let Some(base) = lower.strip_suffix("_x86-32") {
            (base, Some(Architecture::X86))
        } else if let Some(base) = lower.strip_suffix("_x86-64") {
            (base, Some(Architecture::X86_64))
        } else {
            (lower.as_str(), None)
        };
        let found = self.names.get(base).map(|at| &self.systems[*at]);
        let system = found.ok_or_else(|| Error::NotFound {
            kind: "guest system",
            name: name.to_owned(),
            known: self.systems.iter().map(|system| system.name.clone()).collect(),
        })?;
        match wanted.filter(|wanted| !system.architectures.contains(wanted)) {
            None => Ok(system),
            Some(_) => Err(Error::invalid(
                format!("guest system {name:?}"),
                format!("{} does not come for that architecture", system.name),
            )),
        }
    }

    /// All of them, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, GuestSystem> {
        self.systems.iter()
    }
}

impl<'a> IntoIterator for &'a Catalogue {
    type Item = &'a GuestSystem;
    type IntoIter = std::slice::Iter<'a, GuestSystem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_built_in_catalogue_is_right_and_has_old_and_new_systems() {
        let catalogue = Catalogue::built_in().unwrap();
        let of = |kind| catalogue.iter().filter(|system| system.kind == kind).count();
        assert!(of(SystemKind::Linux) >= 31 && of(SystemKind::Windows) >= 26);
        for name in ["centos57", "sles112", "w2k3eesp2", "win7sp1-x64", "debian13", "ws25-x64"] {
            assert!(catalogue.find(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn limits_are_held_against_what_is_said() {
        let catalogue = Catalogue::built_in().unwrap();
        let objection = |name: &str, mib, vcpus| {
            catalogue.find(name).unwrap().objection(Memory::mib(mib), vcpus)
        };
        assert_eq!(objection("sles112", 4096, 2), None);
        assert_eq!(
            objection("sles112", 512, 1).unwrap(),
            "sles112 needs 4 GiB at least, and 512 MiB were said"
        );
        assert!(objection("winxpsp3", 8192, 1).unwrap().contains("at the most"));
        assert!(objection("winxpsp3", 512, 8).unwrap().contains("uses 4 cores"));
    }

    const ONE: &str = r#"
[[system]]
name = "one"
aliases = ["uno"]
kind = "linux"
family = "One"
architectures = ["x86_64"]
boot = "kernel"
install = "preseed"
minimum_memory = 128
maximum_memory = 256
root_disk = 1024
commands = "ssh"
"#;

    #[test]
    fn what_is_wrong_is_said() {
        let told = |text: &str| Catalogue::read(text).unwrap_err().to_string();
        let twice =
            format!("{ONE}{}", ONE.replace("\"one\"", "\"UNO\"").replace("[\"uno\"]", "[]"));
        assert!(told(&twice).contains("one and UNO both go by \"UNO\""), "{}", told(&twice));
        let much = ONE.replace("minimum_memory = 128", "minimum_memory = 512");
        assert!(told(&much).contains("one needs more memory than it can have"));
        assert!(told(&ONE.replace("[\"x86_64\"]", "[]")).contains("no architecture"));
        assert!(told(&ONE.replace("\"preseed\"", "\"preseeed\"")).contains("preseed"));
        assert!(told(&ONE.replace("family", "familly")).contains("familly"));
        let catalogue = Catalogue::read(ONE).unwrap();
        assert!(catalogue.find("on").unwrap_err().to_string().contains("one"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = Catalogue::read(&text);
        }
    }
}
