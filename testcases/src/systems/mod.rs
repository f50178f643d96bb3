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

mod system;
mod talk;

pub use system::{Architecture, BootMethod, Commands, GuestSystem, Install, Need, SystemKind};
pub use talk::{AddressQuery, Shutdown, SystemCheck};

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
    /// What all systems of a kind have in common.
    #[serde(default)]
    defaults: BTreeMap<String, toml::Table>,
    system: Vec<toml::Table>,
}

impl File {
    /// The systems, each with what its kind has in common where it says nothing itself.
    fn systems(self) -> Result<Vec<GuestSystem>, String> {
        let kinds = ["linux", "windows", "freebsd", "solaris"];
        if let Some(odd) = self.defaults.keys().find(|kind| !kinds.contains(&kind.as_str())) {
            return Err(format!("[defaults.{odd}] is of no kind; there are {}", kinds.join(", ")));
        }
        let whole = |(at, mut own): (usize, toml::Table)| {
            let kind = own.get("kind").and_then(toml::Value::as_str).unwrap_or_default();
            for (key, value) in self.defaults.get(kind).into_iter().flatten() {
                own.entry(key).or_insert_with(|| value.clone());
            }
            let name = match own.get("name").and_then(toml::Value::as_str) {
                Some(name) => format!("system {name}"),
                None => format!("system {} of the file", at + 1),
            };
            own.try_into().map_err(|error: toml::de::Error| {
                format!("{name}: {}", error.to_string().trim_end())
            })
        };
        self.system.into_iter().enumerate().map(whole).collect()
    }
}

impl Catalogue {
    /// Those that come with the library.
    ///
    /// # Errors
    /// None, unless the library was built from a broken catalogue.
    pub fn built_in() -> Result<Self, Error> {
        Self::read(include_str!("catalogue.toml"))
    }

    /// Those of a text in TOML; `[[system]]` tables with the fields of [`GuestSystem`], and tables
    /// `[defaults.KIND]` with those that all systems of a kind have where they say nothing else.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a text that is not right, with its place, and for systems that cannot be:
    /// names that two of them claim, no architecture, more memory at least than at the most.
    pub fn read(text: &str) -> Result<Self, Error> {
        let invalid = |problem: String| Error::invalid("the catalogue of guest systems", problem);
        let file: File = toml::from_str(text)
            .map_err(|error| invalid(error.to_string().trim_end().to_owned()))?;
        let systems = file.systems().map_err(invalid)?;
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
            } else if system.default_memory < system.minimum_memory
                || system.maximum_memory.is_some_and(|most| most < system.default_memory)
            {
                "is given memory by default that it cannot have"
            } else if system.default_vcpus < system.minimum_vcpus || system.minimum_vcpus == 0 {
                "is given processors by default that it cannot have"
            } else if system.minimum_disk.is_some_and(|least| system.root_disk < least) {
                "is given a root disk that is too small for it"
            } else if system.checks.is_empty() {
                "is never checked"
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
default_memory = 128
maximum_memory = 256
root_disk = 1024
commands = "ssh"
default_vcpus = 1
addresses = "ip"
shutdown = "poweroff"
checks = ["power"]
"#;

    #[test]
    fn what_is_wrong_is_said() {
        let told = |text: &str| Catalogue::read(text).unwrap_err().to_string();
        let twice =
            format!("{ONE}{}", ONE.replace("\"one\"", "\"UNO\"").replace("[\"uno\"]", "[]"));
        assert!(told(&twice).contains("one and UNO both go by \"UNO\""), "{}", told(&twice));
        let much = ONE.replace("minimum_memory = 128", "minimum_memory = 512");
        assert!(told(&much).contains("one needs more memory than it can have"));
        let given = ONE.replace("default_memory = 128", "default_memory = 64");
        assert!(told(&given).contains("is given memory by default that it cannot have"));
        let small = format!("{ONE}minimum_disk = 2048\n");
        assert!(told(&small).contains("too small"), "{}", told(&small));
        assert!(told(&ONE.replace("[\"power\"]", "[]")).contains("is never checked"));
        let fewer = format!("{ONE}minimum_vcpus = 2\n");
        assert!(told(&fewer).contains("processors by default"));
        assert!(told(&format!("{ONE}[defaults.linus]\n")).contains("is of no kind"));
        assert!(told(&ONE.replace("[\"x86_64\"]", "[]")).contains("no architecture"));
        assert!(told(&ONE.replace("\"preseed\"", "\"preseeed\"")).contains("preseed"));
        assert!(told(&ONE.replace("family", "familly")).contains("familly"));
        let catalogue = Catalogue::read(ONE).unwrap();
        assert!(catalogue.find("on").unwrap_err().to_string().contains("one"));
    }

    #[test]
    fn what_a_kind_has_in_common_is_overruled_by_a_system() {
        let bare = ONE.replace("default_vcpus = 1\n", "");
        assert!(Catalogue::read(&bare).unwrap_err().to_string().contains("default_vcpus"));
        let common = "[defaults.linux]\ndefault_vcpus = 3\nshutdown = \"shutdown_p\"\n";
        let catalogue = Catalogue::read(&format!("{bare}{common}")).unwrap();
        let one = catalogue.find("uno").unwrap();
        assert_eq!((one.default_vcpus, one.shutdown), (3, Shutdown::Poweroff));
    }

    /// Names that are no system: the lab says what they are (`GENERIC_LINUX_OS` of the original).
    const GENERIC: &[&str] = &["generic-linux", "generic-windows", "linux", "windows"];

    #[test]
    fn every_system_of_the_original_is_known_for_every_architecture_that_it_had() {
        let catalogue = Catalogue::built_in().unwrap();
        let originals = include_str!("../../tests/data/original-systems.tsv");
        let (mut known, mut lines) = ([0, 0], 0);
        for line in originals.lines() {
            lines += 1;
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, kind, architectures] = fields.as_slice() else { panic!("{line}") };
            if GENERIC.contains(name) {
                assert!(catalogue.find(name).is_err(), "{name}");
                continue;
            }
            let system = catalogue.find(name).unwrap_or_else(|error| panic!("{error}"));
            let windows = system.kind == SystemKind::Windows;
            // Its rule for names (`xenrt.isWindows`): those that begin with w or v.
            assert_eq!(windows, name.starts_with(['w', 'v']), "{name}");
            assert_eq!(windows, *kind == "windows", "{name}");
            known[usize::from(windows)] += 1;
            for architecture in architectures.split(',') {
                let full = format!("{name}_{architecture}");
                let found = catalogue.find(&full).unwrap_or_else(|error| panic!("{full}: {error}"));
                assert_eq!(found.name, system.name, "{full}");
            }
        }
        assert_eq!((known, lines), ([128, 54], 186));
    }

    #[test]
    fn every_system_can_be_made_by_what_is_said_of_it() {
        for system in &Catalogue::built_in().unwrap() {
            let name = &system.name;
            assert_eq!(
                system.objection(system.default_memory, system.default_vcpus),
                None,
                "{name}"
            );
            assert!(system.root_disk >= Memory::mib(512), "{name}");
            let windows = system.kind == SystemKind::Windows;
            assert_eq!(windows, system.install == Install::Autounattend, "{name}");
            assert_eq!(windows, system.shutdown == Shutdown::ShutdownExe, "{name}");
            assert_eq!(system.commands == Commands::Ssh, !windows, "{name}");
            // Who cannot be logged into cannot be asked from inside, nor checked so.
            let inside = system.commands != Commands::LegacyAgent;
            assert_eq!(inside, system.addresses.command().is_some(), "{name}");
            assert_eq!(inside, system.checks.contains(&SystemCheck::Login), "{name}");
            // The model looks into Linux alone.
            let linux = system.kind == SystemKind::Linux;
            assert_eq!(linux, system.checks.contains(&SystemCheck::Vcpus), "{name}");
            // Only ready images and templates need no installer.
            assert!(system.installer != Some(Install::CloudInit), "{name}");
        }
    }

    /// The figures that the vendors publish, where a test of theirs depends on them.
    #[test]
    fn minimums_are_the_vendors() {
        let catalogue = Catalogue::built_in().unwrap();
        let of = |name: &str| {
            let system = catalogue.find(name).unwrap();
            let disk = system.minimum_disk.unwrap().as_mib();
            (system.minimum_memory.as_mib(), disk, system.minimum_vcpus)
        };
        assert_eq!(of("debian12"), (512, 4096, 1));
        assert_eq!(of("noble"), (1536, 5120, 1));
        assert_eq!(of("alma9"), (1536, 10_240, 1));
        assert_eq!(of("fedora"), (2048, 15_360, 1));
        assert_eq!(of("ws2025"), (2048, 32_768, 1));
        assert_eq!(of("win11"), (4096, 65_536, 2));
        let eleven = catalogue.find("win11").unwrap();
        assert_eq!((eleven.boot, eleven.needs.len()), (BootMethod::Uefi, 2));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = Catalogue::read(&text);
        }
    }
}
