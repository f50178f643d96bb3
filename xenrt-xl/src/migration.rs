//! Live migration: dom0 of the one host sends the guest to dom0 of the other, through ssh.

use std::any::Any;
use std::sync::Arc;

use xenrt_core::lab::HostEntry;
use xenrt_core::model::{Ability, GuestKind, GuestView, Host};
use xenrt_core::remote::ShellExt;
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
/// time is there a guest without one.
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
    let moves = guest.own && !source.entry().shares(target.entry(), &source.shared.guests_folder());
    if moves {
        let wanted = definition.address.map_or(Wanted::Nothing, Wanted::This);
        let name = &definition.name;
        define::reserve(&target.shared, &there, guest.uuid, name, &wanted).await?;
        let folder = q(&target.shared.guest_folder(guest.uuid));
        let write = Script::new()
            .step(format!("umask 077; cd -- {folder}"))
            .step("cat >definition.json.new; mv definition.json.new definition.json")
            .command()
            .stdin(definition.to_json()?);
        if let Err(error) = error::run(&there, &write, "define", &guest.object()).await {
            let undone = define::release(&target.shared, &there, guest.uuid).await;
            return Err(undone.err().unwrap_or(error));
        }
    }
    let ssh = source.entry().attributes.get(SSH).map_or(DEFAULT_SSH, String::as_str);
    let address = migration_address(target);
    let command = Script::new()
        .domain(guest.uuid)
        .require_domain()
        .step(format!("xl migrate -s {} \"$id\" {}", q(ssh), q(&address)))
        .command()
        .deadline(source.entry().deadlines.migrate);
    if let Err(error) = error::run(&here, &command, "migrate", &guest.object()).await {
        // Where the guest is now decides which definition must go.
        // Where nobody can say, both stay.
        if moves && matches!(has_domain(target, guest).await, Ok(false)) {
            define::release(&target.shared, &there, guest.uuid).await?;
        }
        return Err(error);
    }
    if moves {
        define::release(&source.shared, &here, guest.uuid).await?;
    }
    guest.moved_to(Arc::clone(&target.shared));
    source.shared.forget(guest.uuid);
    target.shared.take_in(guest);
    Ok(())
}

async fn has_domain(host: &XlHost, guest: &GuestShared) -> Result<bool> {
    let script = Script::new().domain(guest.uuid).step("echo \"$id\"");
    Ok(!host.dom0().text(&script.command()).await?.is_empty())
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
