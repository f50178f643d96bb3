//! Connecting to a host.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{Abilities, Ability, Host, Scope, Toolstack, XenConsoles};
use xenrt_core::remote::{Shell, SshShell, SshTarget};
use xenrt_core::{Error, Result};

use crate::error::{self, TOOLSTACK};
use crate::host::{HostShared, Reach, XlHost};
use crate::parse::{XlInfo, sections};
use crate::script::Script;

/// The xl toolstack: Xen's own command line in dom0, reached through ssh.
///
/// Nothing is needed on the host but what comes with Xen, a POSIX shell, `awk`, `flock` and `ip`.
#[derive(Clone)]
pub struct XlToolstack {
    reach: Reach,
}

impl fmt::Debug for XlToolstack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XlToolstack").finish_non_exhaustive()
    }
}

impl Default for XlToolstack {
    fn default() -> Self {
        Self::new()
    }
}

impl XlToolstack {
    /// The toolstack, reaching hosts and guests through ssh.
    pub fn new() -> Self {
        Self::reaching_by(|target| Arc::new(SshShell::new(target)))
    }

    /// The toolstack, reaching hosts and guests by shells that `reach` makes. It must not connect
    /// yet.
    pub fn reaching_by(
        reach: impl Fn(SshTarget) -> Arc<dyn Shell> + Send + Sync + 'static,
    ) -> Self {
        Self { reach: Arc::new(reach) }
    }
}

#[async_trait]
impl Toolstack for XlToolstack {
    fn name(&self) -> &'static str {
        TOOLSTACK
    }

    async fn connect(&self, entry: &HostEntry) -> Result<Arc<dyn Host>> {
        let shell = (self.reach)(entry.ssh_target());
        let facts = Facts::read(&shell, entry).await?;
        let consoles = facts.consoles.clone();
        let shadow_paging = facts.info.lists("virt_caps", "shadow");
        let shared = HostShared::new(
            entry.clone(),
            facts.abilities(),
            shadow_paging,
            consoles,
            shell,
            Arc::clone(&self.reach),
        );
        Ok(Arc::new(XlHost { shared: Arc::new(shared), scope: Scope::default() }))
    }
}

/// What is found out about a host once.
struct Facts {
    info: XlInfo,
    /// Where the consoles of guests are recorded, if they are.
    consoles: Option<XenConsoles>,
    /// Whether there is a program that emulates devices.
    device_model: bool,
}

impl Facts {
    async fn read(shell: &dyn Shell, entry: &HostEntry) -> Result<Self> {
        let script = Script::new()
            .section("xen")
            .step("cat /sys/hypervisor/type 2>/dev/null || echo none")
            .section("dom0")
            .step("cat /proc/xen/capabilities 2>/dev/null || true")
            .section("missing")
            .step("for p in xl awk flock ip; do command -v $p >/dev/null || echo $p; done")
            .section("consoled")
            .step(XenConsoles::LOOK)
            .section("models")
            .step(
                "ls /usr/lib/xen*/bin/qemu-system-i386 /usr/lib*/xen*/bin/qemu-dm \
                 /usr/libexec/xen*qemu-system-i386 /usr/libexec/xen*/bin/qemu-system-i386 \
                 /usr/bin/qemu-system-i386 /usr/bin/qemu-system-x86_64 2>/dev/null || true",
            )
            .section("info")
            // Said below, with more to it, when xl is missing or Xen does not run.
            .step("xl info 2>&1 || true");
        let command = script.command().deadline(Duration::from_secs(90));
        let object = format!("host {:?}", entry.name);
        let text = error::text(shell, &command, "describe", &object).await?;
        let parts = sections(&text)?;
        let part = |name: &str| {
            parts.iter().find(|(own, _)| *own == name).map_or("", |(_, part)| part.trim())
        };
        usable(entry, part("xen"), part("dom0"), part("missing"))?;
        let info = part("info");
        if !info.starts_with("host") {
            return Err(Error::lab(format!(
                "host {} runs Xen, but `xl info` does not work there: {}; is the service xen \
                 (xencommons) running, and is {} root?",
                entry.name,
                error::message_of(info),
                entry.user
            )));
        }
        Ok(Self {
            info: XlInfo::parse(info)?,
            consoles: XenConsoles::told_by(part("consoled")),
            device_model: !part("models").is_empty(),
        })
    }

    fn abilities(&self) -> Abilities {
        use Ability::{
            ConsoleLog, DiskHotplug, Hvm, LiveMigration, MemoryHotplug, Networks, Pool, Pv, Pvh,
            RenameRunning, Save, Snapshots, Suspend, VcpuHotplug, VifHotplug,
        };
        let mut abilities = Abilities::of(Ability::ALL);
        let no_hvm = "the processor offers Xen no hardware virtualisation (no `hvm` in virt_caps)";
        let (hvm, shadow) = (self.info.has_hvm(), self.info.lists("virt_caps", "shadow"));
        let hap = self.info.lists("virt_caps", "hap");
        // Before 4.12 or so `virt_caps` does not speak of PV, and PV is always there.
        let tells_pv = self.info.lists("virt_caps", "gnttab-v1");
        if tells_pv && !self.info.lists("virt_caps", "pv") {
            abilities.remove(Pv, "this Xen was built without PV (no `pv` in virt_caps)");
        }
        if !hvm {
            abilities.remove(Pvh, no_hvm);
            abilities.remove(Hvm, no_hvm);
        } else if !self.device_model {
            let package = "dom0 has no device model; on Debian, install qemu-system-xen";
            abilities.remove(Hvm, package);
        }
        if !(shadow || (hvm && hap)) {
            let why = "Xen was built without shadow paging, and the processor offers no hap, so \
                       that no guest's writes can be logged";
            abilities.remove(LiveMigration, why);
        }
        if self.consoles.is_none() {
            abilities.remove(ConsoleLog, XenConsoles::ABSENT);
        }
        abilities.remove(Snapshots, "xl has none");
        abilities.remove(Pool, "xl manages one host");
        abilities.remove(Ability::Storage, "xl keeps disks where it is told, and makes no storage");
        abilities.remove(Ability::Templates, "xl has none");
        let interfaces = "network interfaces are those of dom0's distribution, not xl's";
        abilities.remove(Ability::Interfaces, interfaces);
        debug_assert!(
            [Suspend, Save, VcpuHotplug, MemoryHotplug, DiskHotplug, VifHotplug, RenameRunning]
                .into_iter()
                .chain([Networks])
                .all(|ability| abilities.has(ability))
        );
        abilities
    }
}

/// Refuses a machine that cannot be used as a host, with what to do.
fn usable(entry: &HostEntry, xen: &str, dom0: &str, missing: &str) -> Result<()> {
    let name = &entry.name;
    let missing: Vec<&str> = missing.split_whitespace().collect();
    if missing.contains(&"xl") {
        return Err(Error::lab(format!(
            "host {name} has no `xl`; install Xen's tools (Debian: xen-utils-4.x and \
             xen-system-amd64; Fedora: xen) or correct `toolstack` of the host"
        )));
    }
    if xen != "xen" {
        let under = if xen == "none" { "without a hypervisor" } else { xen };
        return Err(Error::lab(format!(
            "host {name} has `xl` but was not booted under Xen (it runs {under}); choose the Xen \
             entry of its boot loader"
        )));
    }
    if !dom0.split(',').any(|capability| capability.trim() == "control_d") {
        return Err(Error::lab(format!(
            "{name} is a guest of Xen, not a host (/proc/xen/capabilities does not say control_d)"
        )));
    }
    if !missing.is_empty() {
        return Err(Error::lab(format!(
            "host {name} lacks {}; they are in mawk or gawk, util-linux and iproute2",
            missing.join(", ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> HostEntry {
        let text = "[[host]]\nname = \"a\"\naddress = \"h\"\ntoolstack = \"xl\"\n";
        xenrt_core::lab::LabFile::parse(text, "lab.toml").unwrap().hosts.remove(0)
    }

    #[test]
    fn machines_that_are_no_hosts_are_told_apart() {
        let refused = [
            usable(&entry(), "none", "", "xl"),
            usable(&entry(), "none", "", ""),
            usable(&entry(), "kvm", "", ""),
            usable(&entry(), "xen", "", ""),
            usable(&entry(), "xen", "control_d", "flock ip"),
        ];
        let shown: Vec<String> =
            refused.into_iter().map(|result| result.unwrap_err().to_string()).collect();
        insta::assert_snapshot!(shown.join("\n"));
        assert!(usable(&entry(), "xen", "control_d", "").is_ok());
    }

    #[test]
    fn abilities_follow_from_what_xen_says() {
        let facts = |virt_caps: &str| Facts {
            info: XlInfo::parse(&format!("host : a\nvirt_caps : {virt_caps}\n")).unwrap(),
            consoles: None,
            device_model: false,
        };
        let debian = facts("pv hvm hap gnttab-v1 gnttab-v2").abilities();
        assert!(debian.has(Ability::Pv) && debian.has(Ability::Pvh));
        assert!(debian.has(Ability::LiveMigration) && !debian.has(Ability::Hvm));
        let no_svm = facts("pv gnttab-v1 gnttab-v2").abilities();
        assert!(!no_svm.has(Ability::Pvh) && !no_svm.has(Ability::LiveMigration));
        assert!(facts("pv shadow gnttab-v1").abilities().has(Ability::LiveMigration));
        assert!(!facts("hvm hap gnttab-v1").abilities().has(Ability::Pv));
        assert!(no_svm.reason(Ability::ConsoleLog).unwrap().contains("XENCONSOLED_TRACE"));
    }
}
