//! Carrying out requests: each is one shell line in dom0.

use std::time::Duration;

use xenrt_core::model::{DiskSpec, GuestAction, GuestKind};
use xenrt_core::remote::Shell;
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::definition::Definition;
use crate::guest::GuestShared;
use crate::host::HostShared;
use crate::script::{Script, q};
use crate::{config, define, disks, error, networks};

/// One guest, and what a request about it needs.
struct Request<'a> {
    host: &'a HostShared,
    guest: &'a GuestShared,
    /// The definition; what a request changes in it is written when the toolstack has done it.
    definition: Definition,
    /// The guest's folder, quoted.
    folder: String,
}

/// What is to be run for a request.
struct Plan {
    script: Script,
    stdin: Option<String>,
    deadline: Duration,
}

/// Passes `action` to xl and, where it changes what the guest will be at its next start, writes its
/// definition.
pub(crate) async fn carry_out(
    host: &HostShared,
    shell: &dyn Shell,
    guest: &GuestShared,
    action: &GuestAction,
) -> Result<()> {
    let folder = q(&host.guest_folder(guest.uuid));
    let mut request = Request { host, guest, definition: guest.definition(), folder };
    let plan = request.plan(action)?;
    let mut command = plan.script.command().deadline(plan.deadline);
    if let Some(text) = plan.stdin {
        command = command.stdin(text);
    }
    error::run(shell, &command, action.verb(), &guest.object()).await?;
    if *action == GuestAction::Delete {
        guest.deleted();
        host.forget(guest.uuid);
    } else {
        guest.remember(request.definition);
    }
    Ok(())
}

impl Request<'_> {
    fn plan(&mut self, action: &GuestAction) -> Result<Plan> {
        let deadlines = &self.host.entry.deadlines;
        let (command, suspend) = (deadlines.command, deadlines.suspend);
        let plain = |script| Plan { script, stdin: None, deadline: command };
        let long = |script| Plan { script, stdin: None, deadline: suspend };
        Ok(match action {
            GuestAction::Start => self.start(Script::new(), "", action)?,
            GuestAction::StartPaused => self.start(Script::new(), "-p ", action)?,
            GuestAction::Reset => {
                let destroyed = self.require_domain().step("xl destroy \"$id\"");
                self.start(destroyed, "", action)?
            }
            GuestAction::Shutdown => plain(self.ask("shutdown")),
            GuestAction::Reboot => plain(self.ask("reboot")),
            GuestAction::PowerOff => plain(self.power_off()),
            GuestAction::Pause => plain(self.silent("pause")),
            GuestAction::Unpause => plain(self.silent("unpause")),
            GuestAction::Suspend => long(self.suspend()),
            GuestAction::Resume => long(self.resume()),
            GuestAction::Save(path) => {
                let path = self.absolute(path)?;
                long(self.require_domain().step(format!("umask 077; xl save \"$id\" {path}")))
            }
            GuestAction::Restore(path) => {
                let path = self.absolute(path)?;
                long(self.restored(Script::new().step(format!("xl restore {path}"))))
            }
            GuestAction::Delete => plain(self.delete()),
            GuestAction::Rename(name) => self.rename(name)?,
            GuestAction::SetVcpus(vcpus) => {
                self.definition.vcpus = *vcpus;
                self.definition.max_vcpus = self.definition.max_vcpus.max(*vcpus);
                // More vCPUs than processors is a test's own decision.
                self.change(format!("xl vcpu-set -i \"$id\" {vcpus}"))?
            }
            GuestAction::SetMemory(memory) => {
                self.definition.memory = *memory;
                self.definition.max_memory = self.definition.max_memory.max(*memory);
                self.change(format!("xl mem-set \"$id\" {}k", memory.as_kib()))?
            }
            GuestAction::AttachDisk(spec) => self.attach_disk(spec)?,
            GuestAction::DetachDisk(device) => self.detach_disk(device)?,
            GuestAction::AttachVif(spec) => {
                let vif = self.definition.vif_for(spec, &self.host.entry)?;
                let attach =
                    format!("xl network-attach \"$id\" mac={} bridge={}", vif.mac, q(&vif.network));
                let require = networks::require(&vif.network);
                self.definition.vifs.push(vif);
                self.changing(Script::new().step(require), attach, None)?
            }
            GuestAction::DetachVif(mac) => {
                self.definition.vifs.retain(|vif| vif.mac != *mac);
                self.change(format!("xl network-detach \"$id\" {mac}"))?
            }
            other => {
                let message = "this version of the library does not know that request";
                let kind = ToolstackErrorKind::NotSupported;
                return Err(error::refusal(kind, other.verb(), &self.guest.object(), message));
            }
        })
    }

    fn require_domain(&self) -> Script {
        Script::new().domain(self.guest.uuid).require_domain()
    }

    /// `xl shutdown` or `xl reboot`. Guests with emulated devices may have no Xen drivers; they are
    /// sent an ACPI event then.
    fn ask(&self, command: &str) -> Script {
        let fallback = if self.definition.kind == GuestKind::Hvm { "-F " } else { "" };
        self.require_domain().step(format!("xl {command} {fallback}\"$id\""))
    }

    /// `xl pause` and `xl unpause` end with status 0 even when they failed (xl 4.17 for a domain
    /// that is gone); only what they print tells.
    fn silent(&self, command: &str) -> Script {
        self.require_domain()
            .step(format!("said=$(xl {command} \"$id\" 2>&1)"))
            .step("[ -z \"$said\" ] || { printf '%s\\n' \"$said\" >&2; exit 1; }")
    }

    /// The domain may end by itself in the moment before it is destroyed, hence the second look.
    fn destroy(&self, script: Script) -> Script {
        script
            .step("destroyed=; said=$(xl destroy \"$id\" 2>&1) || destroyed=no")
            .step("if [ -n \"$destroyed\" ]; then")
            .domain(self.guest.uuid)
            .step("[ -z \"$id\" ] || { printf '%s\\n' \"$said\" >&2; exit 1; }; fi")
    }

    fn power_off(&self) -> Script {
        let folder = &self.folder;
        let script = Script::new().domain(self.guest.uuid).step("if [ -n \"$id\" ]; then");
        self.destroy(script).step(format!(
            "elif [ -e {folder}/saved ]; then rm -f -- {folder}/saved; \
             else refuse NoSuchObject 'it has no domain'; fi"
        ))
    }

    fn suspend(&self) -> Script {
        let folder = &self.folder;
        self.require_domain()
            .step(format!("umask 077; mkdir -p -- {folder}; cd -- {folder}"))
            .step("xl save \"$id\" saved.new || { rm -f saved.new; exit 1; }")
            .step("mv saved.new saved")
    }

    fn resume(&self) -> Script {
        let folder = &self.folder;
        let script = Script::new()
            .step(format!("[ -e {folder}/saved ] || refuse MissingFile 'its memory is not saved'"))
            .step(format!("xl restore {folder}/saved"))
            .step(format!("rm -f -- {folder}/saved"));
        self.restored(script)
    }

    /// A saved guest keeps the name that it had when it was saved.
    fn restored(&self, script: Script) -> Script {
        let name = q(&self.definition.name);
        script
            .domain(self.guest.uuid)
            .require_domain()
            .step(format!("[ \"$(xl domname \"$id\")\" = {name} ] || xl rename -- \"$id\" {name}"))
    }

    fn delete(&self) -> Script {
        let script =
            Script::new().domain(self.guest.uuid).step("case \"$state\" in ''|*d) ;; *[cw]-)");
        let script = self.destroy(script).step(";; *) refuse BadState 'it has a domain';; esac");
        // A guest that is not ours has at most its memory there.
        script.step(format!("rm -rf -- {}", self.folder))
    }

    fn start(&self, before: Script, options: &str, action: &GuestAction) -> Result<Plan> {
        if !self.guest.own {
            let message = "xl forgets a domain that ends, and this library did not define this one";
            let kind = ToolstackErrorKind::NoSuchObject;
            return Err(error::refusal(kind, action.verb(), &self.guest.object(), message));
        }
        let folder = &self.folder;
        let script = Script::new()
            .step(format!(
                "[ -e {folder}/definition.json ] || refuse NoSuchObject 'it was deleted'"
            ))
            .step(format!(
                "umask 077; cd -- {folder}; cat >guest.cfg.new; mv guest.cfg.new guest.cfg"
            ))
            .then(before)
            .step(format!("xl create {options}{folder}/guest.cfg"));
        Ok(Plan {
            script,
            stdin: Some(config::xl_cfg(&self.definition)),
            deadline: self.host.entry.deadlines.command,
        })
    }

    fn rename(&mut self, name: &str) -> Result<Plan> {
        define::check_name(name)?;
        let old = std::mem::replace(&mut self.definition.name, name.to_owned());
        self.definition.former_names.retain(|former| former != name && *former != old);
        self.definition.former_names.push(old);
        let (guests, quoted, uuid) = (q(&self.host.guests_folder()), q(name), self.guest.uuid);
        let taken = q(&format!("there is a guest named {name:?} already"));
        let mut script = Script::new()
            .step("exec 8<&0 </dev/null")
            .step(format!("mkdir -p -- {guests}; cd -- {guests}; exec 9>.lock"))
            .step("flock -w 60 9 || refuse TimedOut 'another process keeps the lock'")
            .step(format!(
                "for other in $(grep -lsFx -e {quoted} -- */name || true); do \
                 [ \"$other\" = {uuid}/name ] || refuse AlreadyExists {taken}; done"
            ))
            .domain(uuid)
            .step(format!(
                "other=$(xl domid -- {quoted} 2>/dev/null || true); \
                 [ -z \"$other\" ] || [ \"$other\" = \"$id\" ] || refuse AlreadyExists {taken}"
            ))
            // The process that watches over the domain must not keep the lock.
            .step(format!("[ -z \"$id\" ] || xl rename -- \"$id\" {quoted} 9>&-"));
        if self.guest.own {
            script = script.step(format!("printf '%s\\n' {quoted} >{uuid}/name"));
        }
        self.finish(script, None)
    }

    fn attach_disk(&mut self, spec: &DiskSpec) -> Result<Plan> {
        let folder = self.host.guest_folder(self.guest.uuid);
        let disk = self.definition.disk_for(spec, &folder)?;
        let before = Script::new().step(format!("umask 077; mkdir -p -- {}", self.folder));
        let before = disks::make(before, spec, &disk);
        let attach = format!("xl block-attach \"$id\" {}", disks::attachment(&disk));
        let undo = disks::unmake(&disk);
        self.definition.disks.push(disk);
        self.changing(before, format!("{attach} || {{ {undo}; exit 1; }}"), None)
    }

    fn detach_disk(&mut self, device: &str) -> Result<Plan> {
        let (gone, left) = std::mem::take(&mut self.definition.disks)
            .into_iter()
            .partition(|disk| disk.device == device);
        self.definition.disks = left;
        let Some(disk): Option<crate::definition::DefinedDisk> = Vec::into_iter(gone).next() else {
            let known = self.definition.disks.iter().map(|disk| disk.device.clone()).collect();
            return Err(Error::NotFound { kind: "disk", name: device.to_owned(), known });
        };
        let detach = format!("xl block-detach \"$id\" {}", q(device));
        self.changing(Script::new(), detach, Some(disks::unmake(&disk)))
    }

    fn change(&self, line: String) -> Result<Plan> {
        self.changing(Script::new(), line, None)
    }

    /// Runs `line` where there is a domain, then writes the definition, then does what is left.
    fn changing(&self, before: Script, line: String, after: Option<String>) -> Result<Plan> {
        let script = before
            .step("exec 8<&0 </dev/null")
            .domain(self.guest.uuid)
            .step(format!("if [ -n \"$id\" ]; then {line}\nfi"));
        self.finish(script, after)
    }

    fn finish(&self, mut script: Script, after: Option<String>) -> Result<Plan> {
        let stdin = if self.guest.own {
            let folder = &self.folder;
            script = script.step(format!(
                "umask 077; cat <&8 >{folder}/definition.json.new; \
                 mv {folder}/definition.json.new {folder}/definition.json"
            ));
            Some(self.definition.to_json()?)
        } else {
            None
        };
        if let Some(after) = after {
            script = script.step(after);
        }
        Ok(Plan { script, stdin, deadline: self.host.entry.deadlines.command })
    }

    fn absolute(&self, path: &str) -> Result<String> {
        if path.starts_with('/') && !path.contains(char::is_control) {
            return Ok(q(path));
        }
        Err(Error::invalid(format!("file {path:?}"), "expected an absolute path on the host"))
    }
}
