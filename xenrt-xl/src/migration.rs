//! Live migration: dom0 of the one host sends the guest to dom0 of the other, through ssh.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{Ability, GuestKind, GuestView, Host};
use xenrt_core::remote::Command;
use xenrt_core::{Error, Result};

use crate::define::{self, Wanted};
use crate::definition::Definition;
use crate::error::{self, TOOLSTACK};
use crate::guest::GuestShared;
use crate::host::XlHost;
use crate::script::{Script, q};

/// The attribute of a host with the address that other hosts migrate to; its address where it is
/// not set. `user@` may stand before it.
const ADDRESS: &str = "migration_address";

/// The attribute of the *source* with the ssh command that dom0 uses, options and all.
const SSH: &str = "migration_ssh";

/// The ssh command where the attribute is not set: nobody is there to be asked for a password.
const DEFAULT_SSH: &str = "ssh -o BatchMode=yes";

fn unsupported(reason: String) -> Error {
    Error::Unsupported {
        toolstack: TOOLSTACK.to_owned(),
        ability: Ability::LiveMigration,
        reason: Some(reason),
    }
}

/// Moves a running guest to `target`, and its definition with it.
///
/// The definition is at the target before the guest is, and leaves the source after it has: at no
/// time is there a guest without one. However it ends, the guest is on one host afterwards, and
/// nothing of it on the other.
pub(crate) async fn migrate(
    source: &XlHost,
    guest: &Arc<GuestShared>,
    definition: &Definition,
    view: &GuestView,
    target: &Arc<dyn Host>,
) -> Result<()> {
    let any: &dyn Any = &**target;
    let Some(target) = any.downcast_ref::<XlHost>() else {
        let problem =
            format!("host {} is managed by {}, not by xl", target.name(), target.toolstack());
        return Err(Error::invalid("the target of a migration", problem));
    };
    if Arc::ptr_eq(&source.shared, &target.shared) || source.name() == target.name() {
        return Err(Error::invalid("the target of a migration", "the guest is on it already"));
    }
    possible(source, definition, view, target)?;
    let (here, there) = (source.dom0(), target.dom0());
    guest.moving_to(Some(Arc::clone(&target.shared)));
    if definition_moves(source, guest, target) {
        let wanted = definition.address.map_or(Wanted::Nothing, Wanted::This);
        let name = &definition.name;
        define::reserve(&target.shared, &there, guest.uuid, name, &wanted).await.inspect_err(
            // What stands there already is not the guest's.
            |_| guest.moving_to(None),
        )?;
        let folder = q(&target.shared.guest_folder(guest.uuid));
        let write = Script::new()
            .step(format!("umask 077; cd -- {folder}"))
            .step("cat >definition.json.new; mv definition.json.new definition.json")
            .command()
            .stdin(definition.to_json()?);
        if let Err(error) = error::run(&there, &write, "define", &guest.object()).await {
            settle(source, guest, target).await?;
            return Err(error);
        }
    }
    // An empty command has xl carry out the next word as a line of shell (xl(1), migrate -s).
    let ssh = source.entry().attributes.get(SSH).map_or(DEFAULT_SSH, String::as_str);
    let address = migration_address(target);
    let receive = format!("env {} xl migrate-receive", mark(guest.uuid));
    let line = format!("exec {ssh} {} {receive}", q(&address));
    let command = Script::new()
        .domain(guest.uuid)
        .require_domain()
        .step(format!("xl migrate -s '' \"$id\" {}", q(&line)))
        .command()
        .deadline(source.entry().deadlines.migrate);
    let Err(error) = error::run(&here, &command, "migrate", &guest.object()).await else {
        return arrived(source, guest, target).await;
    };
    match settle(source, guest, target).await {
        Ok(On::Source) => Err(error),
        Ok(On::Target) => {
            tracing::warn!(%error, "a guest has arrived, and xl says that its migration failed");
            Ok(())
        }
        Err(unsettled) => {
            tracing::warn!(%unsettled, "where a guest is whose migration failed is not known");
            Err(error)
        }
    }
}

/// Whether the host that a guest moves to needs a definition of its own.
fn definition_moves(source: &XlHost, guest: &GuestShared, target: &XlHost) -> bool {
    guest.own && !source.entry().shares(target.entry(), &source.shared.guests_folder())
}

/// What the `xl` that takes in a guest has in its environment, and all that it begins.
pub(crate) fn mark(uuid: Uuid) -> String {
    format!("XENRT_MIGRATION={uuid}")
}

/// Where a guest is whose migration has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// Where it was, if it is anywhere.
    Source,
    /// Where it was to be.
    Target,
}

/// Looks where a guest is whose migration has ended, one way or another, and leaves it and its
/// definition on that host alone.
///
/// Until it has told the source that it has all of the guest, `xl migrate-receive` keeps it paused
/// under the name `NAME--incoming`; one that has another name has been let go (xl 4.17,
/// `xl_migrate.c`). A receiver whose connection does not end would wait for hours, and is ended.
///
/// # Errors
/// When that cannot be known: a host that cannot be asked, or a guest that runs on both. It can be
/// asked again.
pub(crate) async fn settle(
    source: &XlHost,
    guest: &Arc<GuestShared>,
    target: &XlHost,
) -> Result<On> {
    let (here, there) = (source.dom0(), target.dom0());
    let name = guest.definition().name;
    let receiver = end_receiver(guest.uuid, &name);
    let text = error::text(&there, &receiver, "migrate", &guest.object()).await?;
    if text.trim() != ARRIVED {
        if definition_moves(source, guest, target) {
            define::release(&target.shared, &there, guest.uuid).await?;
        }
        guest.moving_to(None);
        return Ok(On::Source);
    }
    let clear = Script::new()
        .domain(guest.uuid)
        .step("case \"$id $state\" in ' '*|*d) exit 0;; esac")
        .step(format!("away={}", q(&format!("{name}--migratedaway"))))
        .step("[ \"$(xl domname \"$id\")\" = \"$away\" ] || refuse BadState 'it is on both hosts'")
        .step("xl destroy \"$id\"")
        .command();
    error::run(&here, &clear, "migrate", &guest.object()).await?;
    arrived(source, guest, target).await?;
    Ok(On::Target)
}

/// Leaves nothing at the source of a guest that is on `target`.
async fn arrived(source: &XlHost, guest: &Arc<GuestShared>, target: &XlHost) -> Result<()> {
    if definition_moves(source, guest, target) {
        define::release(&source.shared, &source.dom0(), guest.uuid).await?;
    }
    guest.moved_to(Arc::clone(&target.shared));
    guest.moving_to(None);
    source.shared.forget(guest.uuid);
    target.shared.take_in(guest);
    Ok(())
}

/// What [`end_receiver`] prints of a guest that has arrived.
const ARRIVED: &str = "arrived";

/// The command that ends what takes in a guest, if it has not taken in all of it.
fn end_receiver(uuid: Uuid, name: &str) -> Command {
    let mark = q(&format!("^{}$", mark(uuid)));
    let incoming = q(&format!("{name}--incoming"));
    // One that goes away just now has no name.
    let arrived = format!(
        "case \"$id $state\" in ' '*|*d) ;; *) case $(xl domname \"$id\" 2>/dev/null) in \
         ''|{incoming}) ;; *) echo {ARRIVED}; exit 0 ;; esac ;; esac"
    );
    Script::new()
        .domain(uuid)
        .step(&arrived)
        .step(format!("receivers() {{ grep -lsz -- {mark} /proc/[0-9]*/environ || true; }}"))
        .step("tries=0; while all=$(receivers); [ -n \"$all\" ]; do")
        .step("[ $tries -lt 100 ] || refuse TimedOut 'what takes it in does not end'")
        .step("for one in $all; do one=${one#/proc/}; kill \"${one%/environ}\" 2>/dev/null || true; done")
        .step("tries=$((tries + 1)); sleep 0.1; done")
        // It may have been let go before it was ended.
        .domain(uuid)
        .step(&arrived)
        .step("case \"$id $state\" in ' '*|*d) ;; *) xl destroy \"$id\" ;; esac")
        .command()
        .deadline(Duration::from_secs(120))
}

/// Refuses, before anything is done, what cannot work.
fn possible(
    source: &XlHost,
    definition: &Definition,
    view: &GuestView,
    target: &XlHost,
) -> Result<()> {
    if definition.kind == GuestKind::Pv && !source.shared.shadow_paging {
        return Err(unsupported(format!(
            "a PV guest needs shadow paging to be moved while it runs, and the Xen of host {} was \
             built without it; PVH and HVM guests can be moved",
            source.name()
        )));
    }
    for disk in &view.disks {
        if !source.entry().shares(target.entry(), &disk.path) {
            return Err(unsupported(format!(
                "disk {} is {}, which only host {} has; put it into a folder that both hosts have, \
                 and name that folder in the attribute `{}` of both",
                disk.device,
                disk.path,
                source.name(),
                HostEntry::SHARED_FOLDERS
            )));
        }
    }
    Ok(())
}

fn migration_address(target: &XlHost) -> String {
    let entry = target.entry();
    let address = entry.attributes.get(ADDRESS).unwrap_or(&entry.address);
    if address.contains('@') { address.clone() } else { format!("{}@{address}", entry.user) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::{Child, Command as Program};

    use super::*;

    /// A program `xl` that has one domain, of this name, until it is told to destroy it.
    fn fake_xl(folder: &Path, uuid: Uuid, name: &str) {
        let script = format!(
            "#!/bin/sh\ncd {folder:?}\ncase $1 in\n\
             list) [ -e destroyed ] || echo 'x 7 64 1 --p--- 0.1 {uuid} - -' ;;\n\
             domname) printf '%s\\n' {} ;;\n\
             destroy) touch destroyed ;;\nesac\n",
            q(name)
        );
        std::fs::write(folder.join("xl"), script).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.join("xl"), mode).unwrap();
    }

    /// What `end_receiver` prints for a guest `it's` whose domain has this name, whether the domain
    /// is destroyed, and whether a receiver lives on.
    fn ended(domain: &str) -> (String, bool, bool) {
        let folder = tempfile::tempdir().unwrap();
        let uuid = Uuid::new_v4();
        fake_xl(folder.path(), uuid, domain);
        let mut receiver: Child = Program::new("sleep")
            .arg("600")
            .env("XENRT_MIGRATION", uuid.to_string())
            .spawn()
            .unwrap();
        let line = end_receiver(uuid, "it's").to_shell_line();
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        // Somebody waits for the receiver: one that is not waited for stays in the list.
        let waiting = std::thread::spawn(move || {
            let output = Program::new("sh").args(["-c", &line]).env("PATH", path).output();
            output.unwrap()
        });
        while !waiting.is_finished() {
            receiver.try_wait().unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = waiting.join().unwrap();
        assert!(output.status.success(), "{output:?}");
        let lives = receiver.try_wait().unwrap().is_none();
        let _ = receiver.kill();
        receiver.wait().unwrap();
        let text = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        (text, folder.path().join("destroyed").exists(), lives)
    }

    #[test]
    fn what_takes_in_a_guest_is_ended_and_a_guest_that_has_arrived_is_not() {
        assert_eq!(ended("it's--incoming"), (String::new(), true, false));
        assert_eq!(ended("it's"), (ARRIVED.to_owned(), false, true));
        // Whoever is called so has arrived all the same.
        assert_eq!(ended("other--incoming"), (ARRIVED.to_owned(), false, true));
    }
}
