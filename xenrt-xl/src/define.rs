//! Defining a guest: its name and address are reserved, its disks made, its definition written.

use std::net::IpAddr;
use std::time::Duration;

use uuid::Uuid;
use xenrt_core::model::GuestSpec;
use xenrt_core::remote::Shell;
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::definition::{Definition, wants_address};
use crate::disks;
use crate::error;
use crate::host::HostShared;
use crate::networks;
use crate::script::{Script, q};

/// How long a reservation may take, the wait for other processes included.
const RESERVATION: Duration = Duration::from_secs(90);

/// Which address a guest needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None.
    Nothing,
    /// This one.
    This(IpAddr),
    /// The first of these that is free.
    OneOf(Vec<IpAddr>),
}

/// Takes `name`, and an address where one is wanted, for the guest `uuid`, in one step that no
/// other process can come between. Returns the address.
///
/// A reservation without a definition that is older than two hours was left by a process that
/// ended in the middle; it is removed.
pub(crate) async fn reserve(
    host: &HostShared,
    shell: &dyn Shell,
    uuid: Uuid,
    name: &str,
    wanted: &Wanted,
) -> Result<Option<IpAddr>> {
    let object = format!("guest {name:?}");
    let guests = q(&host.guests_folder());
    let taken = q(&format!("there is a guest named {name:?} already"));
    let mut script = Script::new()
        .step(format!("umask 077; mkdir -p -- {guests}; cd -- {guests}"))
        .step("exec 9>.lock; flock -w 60 9 || refuse TimedOut 'another process keeps the lock'")
        .step(
            "find . -mindepth 1 -maxdepth 1 -type d -mmin +120 ! -exec test -e {}/definition.json \
             ';' -exec rm -rf -- {} +",
        )
        .step(format!("! grep -qsFx -e {} -- */name || refuse AlreadyExists {taken}", q(name)))
        .step(format!("! xl domid -- {} >/dev/null 2>&1 || refuse AlreadyExists {taken}", q(name)))
        .step("used=\" $(cat -- */address 2>/dev/null | tr '\\n' ' ') \"");
    let keep = format!("mkdir {uuid}; printf '%s\\n' {} >{uuid}/name", q(name));
    script = match wanted {
        Wanted::Nothing => script.step(keep),
        Wanted::This(address) => script
            .step(format!(
                "case \"$used\" in *' {address} '*) refuse AlreadyExists \
                 'another guest has the address {address}';; esac"
            ))
            .step(keep)
            .step(format!("echo {address} | tee {uuid}/address")),
        Wanted::OneOf(addresses) => script
            .step(format!(
                "for a in {}; do case \"$used\" in *\" $a \"*) ;; *)\n{keep}; \
                 echo $a | tee {uuid}/address; exit 0;; esac; done",
                addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            ))
            .step(
                "refuse AlreadyExists 'all addresses of the pool of the guest network are taken'",
            ),
    };
    let command = script.command().deadline(RESERVATION);
    let text = error::text(shell, &command, "define", &object).await.map_err(as_invalid)?;
    match text.trim() {
        "" => Ok(None),
        address => address.parse().map(Some).map_err(|_| Error::UnexpectedOutput {
            what: "a reservation".to_owned(),
            expected: "an address".to_owned(),
            found: address.to_owned(),
        }),
    }
}

/// A name that is taken is a specification that cannot be carried out, see
/// [`Host::define_guest`](xenrt_core::model::Host::define_guest).
fn as_invalid(error: Error) -> Error {
    match error {
        Error::Toolstack { kind: ToolstackErrorKind::AlreadyExists, object, message, .. } => {
            Error::invalid(object, message)
        }
        error => error,
    }
}

/// Refuses names that xl cannot show: its lists pad names with spaces to 40 bytes (`%-40s` in Xen's
/// tools/xl/xl_list.c), so that a name which ends with one looks like another.
///
/// # Errors
/// [`Error::Invalid`] with the reason.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.ends_with(char::is_whitespace) {
        let problem = "on xl its name must not end with a space, which its lists do not show";
        return Err(Error::invalid(format!("guest {name:?}"), problem));
    }
    Ok(())
}

/// Takes back a reservation.
pub(crate) async fn release(host: &HostShared, shell: &dyn Shell, uuid: Uuid) -> Result<()> {
    let folder = q(&host.guest_folder(uuid));
    let command = Script::new().step(format!("rm -rf -- {folder}")).command();
    error::run(shell, &command, "remove", &format!("guest {uuid}")).await?;
    Ok(())
}

/// Defines a guest. Nothing is left behind by an error.
pub(crate) async fn define(
    host: &HostShared,
    shell: &dyn Shell,
    spec: &GuestSpec,
) -> Result<Definition> {
    spec.validate()?;
    check_name(&spec.name)?;
    let entry = &host.entry;
    let uuid = Uuid::new_v4();
    let folder = host.guest_folder(uuid);
    let make =
        |address| Definition::from_spec(spec, entry, &host.abilities, uuid, &folder, address);
    let pool = entry.guest_network.as_ref().and_then(|network| network.pool.as_ref());
    let wanted = match (spec.address, pool) {
        (Some(address), _) => Wanted::This(address),
        (None, Some(pool)) if wants_address(spec, entry)? => {
            Wanted::OneOf(pool.addresses().take(4096).map(IpAddr::V4).collect())
        }
        _ => Wanted::Nothing,
    };
    // A specification that cannot be carried out is refused before the host is touched.
    let example = match &wanted {
        Wanted::Nothing => None,
        Wanted::This(address) => Some(*address),
        Wanted::OneOf(addresses) => addresses.first().copied(),
    };
    make(example)?;
    let address = reserve(host, shell, uuid, &spec.name, &wanted).await?;
    let definition = make(address)?;
    let quoted = q(&folder);
    let mut script = Script::new()
        .step(format!("umask 077; cd -- {quoted}; trap 'cd /; rm -rf -- '{} EXIT", q(&quoted)));
    for vif in &definition.vifs {
        script = script.step(networks::require(&vif.network));
    }
    let image = spec.image.as_deref().map(|name| entry.image_for(name)).transpose()?;
    let image_disk = spec.image_disk(image);
    for (spec, disk) in image_disk.iter().chain(&spec.disks).zip(&definition.disks) {
        script = disks::make(script, spec, disk);
    }
    let script = script
        .step("cat >definition.json.new; mv definition.json.new definition.json")
        .step("trap - EXIT");
    let command = script.command().stdin(definition.to_json()?).deadline(entry.deadlines.suspend);
    error::run(shell, &command, "define", &format!("guest {:?}", spec.name)).await?;
    Ok(definition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_lists_cannot_show_is_refused() {
        assert!(check_name(" inner space").is_ok());
        let error = check_name("outer ").unwrap_err().to_string();
        assert!(error.contains("must not end with a space"), "{error}");
    }
}
