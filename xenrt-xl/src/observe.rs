//! One look at a host: what this library keeps, what the hypervisor has, what the toolstack says.

use std::time::Duration;

use uuid::Uuid;
use xenrt_core::model::{Disk, GuestView, PowerState, Vif};
use xenrt_core::remote::{Shell, shorten_middle};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::definition::Definition;
use crate::error;
use crate::migration;
use crate::parse::{DomainConfig, ListedDomain, SECTION, domain_configs, domain_list, sections};
use crate::script::{Script, q};

/// How long a look may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often a look is begun anew because a domain went away in the middle of it.
const TRIES: usize = 4;

/// What was seen.
#[derive(Debug)]
pub(crate) struct Observation {
    /// The guests that this library keeps, and whether their memory is saved.
    pub(crate) definitions: Vec<(Definition, bool)>,
    /// Identities whose memory is saved.
    saved: Vec<Uuid>,
    /// The hypervisor's domains, dom0 and dying ones included.
    pub(crate) domains: Vec<ListedDomain>,
    /// Whether an `xl` was there for the guest that was looked at, which has no domain.
    kept: bool,
    /// The toolstack's configurations of the domains that were asked for.
    pub(crate) configs: Vec<DomainConfig>,
}

/// How much of a guest is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Its definition and its domain. `xl list -l` costs as much as all the rest.
    Power,
    /// Its configuration too.
    Whole,
}

/// Looks at one guest.
pub(crate) async fn guest(
    shell: &dyn Shell,
    guests: &str,
    uuid: Uuid,
    depth: Depth,
) -> Result<Observation> {
    let folder = q(&format!("{guests}/{uuid}"));
    let make = || {
        let script = Script::new().step(print_definition(&folder)).section("list").list();
        let script = script.find(uuid).step(print_keeper(uuid));
        match depth {
            Depth::Power => script,
            Depth::Whole => script.section("config").step("[ -z \"$id\" ] || xl list -l \"$id\""),
        }
    };
    look(shell, make, &format!("guest {uuid}")).await
}

/// Looks at everything.
pub(crate) async fn host(shell: &dyn Shell, guests: &str) -> Result<Observation> {
    let make = || {
        Script::new()
            .step(format!(
                "for folder in {}/*; do if [ -d \"$folder\" ]; then\n{}\nfi; done",
                q(guests),
                print_definition("\"$folder\"")
            ))
            .section("list")
            .list()
            .section("config")
            .step("xl list -l")
    };
    look(shell, make, "guests").await
}

/// The lines that print the definition in `folder`, where there is one. `folder` is quoted already.
/// One that goes away between two looks at it is not there.
fn print_definition(folder: &str) -> String {
    format!(
        "if [ -e {folder}/definition.json ]; then \
         if text=$(cat {folder}/definition.json 2>&1); then \
         printf '\\n{SECTION}definition\\n%s\\n' \"$text\"; \
         elif [ -e {folder}/definition.json ]; then echo \"$text\" >&2; exit 1; fi; fi\n\
         if [ -e {folder}/saved ]; then path={folder}; \
         printf '\\n{SECTION}saved\\n%s\\n' \"${{path##*/}}\"; fi"
    )
}

/// The lines that say whether there is an `xl` that made the domain of a guest without one, and has
/// not ended: it makes a new one when the guest reboots (xl.cfg(5), on_reboot), and the guest has not
/// ended in between. One that took in a migrated guest has a mark for it; one that restored it from a
/// file elsewhere does not name it and is not found.
///
/// This is part of every look at a halted guest. To search the processes for `xl` first and then those for
/// the guest takes half of what pgrep(1) takes for it.
fn print_keeper(uuid: Uuid) -> String {
    let (folder, mark) = (q(&format!("/{uuid}/")), q(&migration::mark(uuid)));
    format!(
        "if [ -z \"$id\" ]; then lines=; marks=\n\
         for file in $(grep -lsx xl /proc/[0-9]*/comm); do \
         lines=\"$lines ${{file%comm}}cmdline\"; marks=\"$marks ${{file%comm}}environ\"; done\n\
         if [ -n \"$lines\" ]; then kept=\n\
         if grep -qszx -- {mark} $marks; then kept=yes; fi\n\
         for file in $(grep -lszF -- {folder} $lines); do \
         if grep -qszx -e create -e restore -- $file; then kept=yes; fi; done\n\
         [ -z \"$kept\" ] || printf '\\n{SECTION}keeper\\n'\nfi; fi"
    )
}

async fn look(shell: &dyn Shell, make: impl Fn() -> Script, object: &str) -> Result<Observation> {
    let mut tries = 0;
    loop {
        tries += 1;
        let command = make().command().deadline(DEADLINE);
        match error::text(shell, &command, "look at", object).await {
            Ok(text) => return understand(&text),
            Err(error)
                if error.toolstack_kind() == Some(ToolstackErrorKind::NoSuchObject)
                    && tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

fn understand(text: &str) -> Result<Observation> {
    let mut seen = Observation {
        definitions: Vec::new(),
        saved: Vec::new(),
        kept: false,
        domains: Vec::new(),
        configs: Vec::new(),
    };
    for (name, part) in sections(text)? {
        match name {
            "definition" => seen.definitions.push((Definition::parse(part)?, false)),
            "saved" => {
                seen.saved.push(part.trim().parse().map_err(|_| Error::UnexpectedOutput {
                    what: "the folder of saved memory".to_owned(),
                    expected: "a UUID".to_owned(),
                    found: part.trim().to_owned(),
                })?)
            }
            "keeper" => seen.kept = true,
            "list" => seen.domains = domain_list(part)?,
            "config" if part.trim().is_empty() => {}
            _ => seen.configs = domain_configs(part)?,
        }
    }
    // Where `xl list` answers, the control domain is in it: what has none was cut off, and a guest that
    // is not in it has not ended.
    if seen.domains.iter().all(|domain| domain.domid != 0) {
        return Err(Error::UnexpectedOutput {
            what: "a look at domains".to_owned(),
            expected: "the control domain among them".to_owned(),
            found: shorten_middle(text, 500),
        });
    }
    for (definition, saved) in &mut seen.definitions {
        *saved = seen.saved.contains(&definition.uuid);
    }
    Ok(seen)
}

impl Observation {
    /// The domain of a guest: one that lives before one that is being removed.
    pub(crate) fn domain(&self, uuid: Uuid) -> Option<&ListedDomain> {
        let own = || self.domains.iter().filter(|domain| domain.uuid == uuid);
        own().find(|domain| !domain.flags.dying()).or_else(|| own().next())
    }

    /// Whether the memory of a guest is saved.
    pub(crate) fn saved(&self, uuid: Uuid) -> bool {
        self.saved.contains(&uuid)
    }

    /// The power state of a guest.
    pub(crate) fn power(&self, uuid: Uuid) -> PowerState {
        match self.domain(uuid) {
            Some(domain) => domain.flags.power(),
            None if self.kept => PowerState::Dying,
            None if self.saved(uuid) => PowerState::Suspended,
            None => PowerState::Halted,
        }
    }

    /// A guest as the toolstack would describe it if it kept halted guests: its configuration where
    /// it has a domain, its definition where it has none.
    pub(crate) fn view(&self, definition: &Definition) -> GuestView {
        let uuid = definition.uuid;
        let power = self.power(uuid);
        let Some(domain) = self.domain(uuid) else {
            return definition.view(power);
        };
        match self.configs.iter().find(|config| config.domid == domain.domid) {
            Some(config) if power != PowerState::Dying => config_view(config, power),
            _ => definition.view(power),
        }
    }
}

fn config_view(config: &DomainConfig, power: PowerState) -> GuestView {
    let disks = config.disks.iter().map(|disk| Disk {
        device: disk.device.clone(),
        path: disk.path.clone(),
        read_only: disk.read_only,
    });
    let vifs = config.nics.iter().map(|(index, mac, network)| Vif {
        index: *index,
        mac: *mac,
        network: network.clone(),
    });
    GuestView {
        power,
        vcpus: config.vcpus,
        max_vcpus: config.max_vcpus,
        memory: config.memory,
        disks: disks.collect(),
        vifs: vifs.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Name ID Mem VCPUs State Time(s) UUID Reason-Code Security Label NUMA\n";
    const DOM0: &str =
        "Domain-0 0 1024 2 r----- 99.1 00000000-0000-0000-0000-000000000000   -               -\n";

    #[test]
    fn a_look_that_was_cut_off_is_not_one_at_a_host_without_guests() {
        let whole = format!("\n{SECTION}list\n{HEADER}{DOM0}");
        assert_eq!(understand(&whole).unwrap().power(Uuid::nil()), PowerState::Running);
        assert_eq!(understand(&whole).unwrap().power(Uuid::max()), PowerState::Halted);
        let kept = format!("{whole}\n{SECTION}keeper\n");
        assert_eq!(understand(&kept).unwrap().power(Uuid::max()), PowerState::Dying);
        for cut_off in ["", &whole[..whole.len() - DOM0.len()], "\n"] {
            let error = understand(cut_off).unwrap_err();
            assert!(matches!(error, Error::UnexpectedOutput { .. }), "{cut_off:?}: {error}");
        }
    }

    /// A program called `xl` with these arguments, until it is dropped.
    struct Xl(std::process::Child);

    impl Xl {
        fn start(folder: &std::path::Path, words: &[&str], mark: Option<Uuid>) -> Self {
            let program = folder.join("xl");
            let mut command = std::process::Command::new(&program);
            if let Some(uuid) = mark {
                let mark = migration::mark(uuid);
                let (name, value) = mark.split_once('=').unwrap();
                command.env(name, value);
            }
            let piped = std::process::Stdio::piped;
            let mut child = command.args(words).stdin(piped()).stdout(piped()).spawn().unwrap();
            // The process has its name and its arguments when it says so.
            let mut line = [0; 3];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
            Self(child)
        }
    }

    impl Drop for Xl {
        fn drop(&mut self) {
            drop(self.0.stdin.take());
            let _ = self.0.wait();
        }
    }

    #[test]
    fn the_xl_that_makes_a_domain_again_is_found_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("xl");
        std::fs::write(&program, "#!/bin/sh\necho up\nread -r _\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let (own, other) = (Uuid::new_v4(), Uuid::new_v4());
        let look = || {
            let script = format!("set -e; id=\n{}\necho end", print_keeper(own));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let (text, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && errors.is_empty(), "{errors}");
            let text = String::from_utf8(text).unwrap();
            assert!(text.ends_with("end\n"), "{text}");
            text.contains("keeper")
        };
        let file = |uuid: Uuid| format!("/srv/guests/{uuid}/guest.cfg");
        let (mine, others) = (file(own), file(other));
        assert!(!look());
        for (words, mark, found) in [
            (["create", "-F", mine.as_str()], None, true),
            (["restore", mine.as_str(), "memory"], None, true),
            (["create", "-F", others.as_str()], None, false),
            (["save", "7", mine.as_str()], None, false),
            (["migrate-receive", "-F", "-e"], Some(own), true),
            (["migrate-receive", "-F", "-e"], Some(other), false),
        ] {
            let _bystander = Xl::start(folder.path(), &["create", &others], None);
            let _xl = Xl::start(folder.path(), &words, mark);
            assert_eq!(look(), found, "{words:?} {mark:?}");
        }
        assert!(!look());
    }
}
