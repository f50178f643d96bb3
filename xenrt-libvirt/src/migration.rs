//! Live migration: the libvirt of the one host sends the guest to the libvirt of the other.
//!
//! QEMU's asks the other by itself, so that a migration does not end with this program (peer to
//! peer). Xen's cannot log into the other dom0, for which nobody has a key there: this library
//! holds a connection to both and leads it, and only the guest's memory goes from host to host.

use std::any::Any;
use std::sync::Arc;

use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::{Domain, MigrateParameters};
use virt::error::ErrorNumber;
use virt_sys as sys;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{Ability, GuestView, Host, PowerState};
use xenrt_core::remote::{RemoteError, ShellExt as _};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::connection::{Failure, Held};
use crate::driver::Driver;
use crate::error::{TOOLSTACK, refusal, refused};
use crate::guest::GuestShared;
use crate::host::LibvirtHost;
use crate::script::{Script, q};
use crate::{define, disks, observe};

/// The attribute of a host with the URI by which the libvirt of other hosts reaches its own.
const URI: &str = "migration_uri";

/// The attribute of a host with the address that the memory of guests is sent to.
const ADDRESS: &str = "migration_address";

/// The attribute of the *source* with the way that the memory of guests goes.
const TRANSPORT: &str = "migration_transport";

const MIGRATE: &str = "migrate";

fn unsupported(reason: String) -> Error {
    Error::Unsupported {
        toolstack: TOOLSTACK.to_owned(),
        ability: Ability::LiveMigration,
        reason: Some(reason),
    }
}

fn wrong_target(problem: impl Into<String>) -> Error {
    Error::invalid("the target of a migration", problem)
}

/// Moves a running guest to `target`, and its definition with it.
///
/// Its folder is at the target before the guest is, and leaves the source after it has. A migration
/// that takes longer than its deadline is ended.
pub(crate) async fn migrate(
    source: &LibvirtHost,
    guest: &Arc<GuestShared>,
    target: &Arc<dyn Host>,
) -> Result<()> {
    let any: &dyn Any = &**target;
    let Some(target) = any.downcast_ref::<LibvirtHost>() else {
        let problem =
            format!("host {} is managed by {}, not by libvirt", target.name(), target.toolstack());
        return Err(wrong_target(problem));
    };
    if Arc::ptr_eq(&source.shared, &target.shared) || source.name() == target.name() {
        return Err(wrong_target("the guest is on it already"));
    }
    let driver = source.shared.facts.driver;
    if target.shared.facts.driver != driver {
        let problem = format!("host {} is run by another hypervisor", target.name());
        return Err(wrong_target(problem));
    }
    let moves = !source.entry().shares(target.entry(), &source.shared.guests_folder());
    let seen = guest.look(MIGRATE).await?;
    possible(source, guest, &seen.view()?, target, moves).await?;
    let object = guest.object();
    if driver == Driver::Xen {
        require_free(target, seen.name.clone(), &object).await?;
    }
    let way = match driver {
        Driver::Xen => Way::Led(target.shared.held(MIGRATE, &object).await?),
        Driver::Qemu | Driver::Test => {
            Way::PeerToPeer { uri: migration_uri(target)?, transport: Transport::of(source)? }
        }
    };
    if moves {
        let prepared = prepare(target, guest).await;
        if let Err(error) = prepared {
            define::remove_files(target, guest.uuid, &object).await?;
            return Err(error);
        }
    }
    let sent = send(source, guest, way, migration_host(target)).await;
    if let Err(error) = sent {
        // Where the guest is now decides which folder must go; where nobody can say, both stay.
        match arrived(source, target, guest).await {
            Ok(true) => {
                tracing::warn!(%error, object, "it arrived, whatever became of the request")
            }
            Ok(false) if moves => {
                define::remove_files(target, guest.uuid, &object).await?;
                return Err(error);
            }
            Ok(false) => return Err(error),
            Err(unknown) => {
                tracing::warn!(%unknown, object, "nobody says which host a guest is on");
                return Err(error);
            }
        }
    }
    if moves {
        define::remove_files(source, guest.uuid, &object).await?;
    }
    guest.moved_to(Arc::clone(&target.shared));
    source.shared.forget(guest.uuid);
    target.shared.take_in(guest);
    Ok(())
}

/// Who leads a migration.
enum Way {
    /// The libvirt of the source, which reaches that of the target at a URI.
    PeerToPeer { uri: String, transport: Transport },
    /// This library, with a connection to the target's.
    Led(Held),
}

/// How the memory of a guest goes to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    /// From QEMU to QEMU.
    Direct,
    /// Through the connection between the two libvirts, encrypted where that is.
    Tunnel,
}

impl Transport {
    /// As the lab says.
    fn of(source: &LibvirtHost) -> Result<Self> {
        match source.entry().attributes.get(TRANSPORT).map(String::as_str) {
            None | Some("direct") => Ok(Self::Direct),
            Some("tunnel") => Ok(Self::Tunnel),
            Some(other) => Err(Error::lab(format!(
                "the attribute `{TRANSPORT}` of host {} is {other:?}; expected direct or tunnel",
                source.name()
            ))),
        }
    }
}

impl Way {
    /// Moves a domain. `to` is where its memory goes, where the lab says it. Blocks.
    fn carry_out(self, domain: &Domain, to: Option<String>) -> Result<(), virt::error::Error> {
        let flags = sys::VIR_MIGRATE_LIVE
            | sys::VIR_MIGRATE_PERSIST_DEST
            | sys::VIR_MIGRATE_UNDEFINE_SOURCE;
        let parameters = MigrateParameters { uri: to, ..MigrateParameters::default() };
        match self {
            Self::Led(target) => domain.migrate3(target.connect(), parameters, flags).map(drop),
            Self::PeerToPeer { uri, transport } => {
                // That disks are in folders which both hosts have was required before; libvirt
                // itself knows some kinds of them only (VIR_MIGRATE_UNSAFE).
                let flags = flags
                    | sys::VIR_MIGRATE_PEER2PEER
                    | sys::VIR_MIGRATE_ABORT_ON_ERROR
                    | sys::VIR_MIGRATE_UNSAFE;
                let (flags, parameters) = match transport {
                    Transport::Direct => (flags, parameters),
                    // It has no address of its own.
                    Transport::Tunnel => {
                        (flags | sys::VIR_MIGRATE_TUNNELLED, MigrateParameters::default())
                    }
                };
                domain.migrate_to_uri3(Some(&uri), parameters, flags)
            }
        }
    }
}

/// Asks the source for it, and ends it when it takes too long.
async fn send(
    source: &LibvirtHost,
    guest: &GuestShared,
    way: Way,
    to: Option<String>,
) -> Result<()> {
    let (uuid, object, shared) = (guest.uuid, guest.object(), &source.shared);
    let own = object.clone();
    let act = move |connect: &Connect| {
        let domain = observe::find(connect, uuid)?;
        way.carry_out(&domain, to).map_err(|error| {
            // The source tells that *its* connection to the target failed or was lost in the same
            // words as this library's own to the source.
            match connect.is_alive() {
                Ok(true) => Failure::Own(refused(&error, MIGRATE, &own)),
                _ => Failure::Libvirt(error),
            }
        })
    };
    let deadline = shared.entry.deadlines.migrate;
    let sent = shared.call_within(deadline, MIGRATE, &object, act).await;
    if matches!(&sent, Err(Error::Remote(RemoteError::Deadline { .. }))) {
        let abort =
            move |connect: &Connect| Ok(crate::sys::abort_job(&observe::find(connect, uuid)?)?);
        if let Err(error) = shared.call("end the migration of", &object, abort).await {
            tracing::warn!(%error, object, "a migration that takes too long cannot be ended");
        }
    }
    sent
}

/// Whether the guest is at the target, and the source has no domain of it. A source that has one
/// says all: the target, which may be why it failed, is not asked.
async fn arrived(source: &LibvirtHost, target: &LibvirtHost, guest: &GuestShared) -> Result<bool> {
    let (uuid, object) = (guest.uuid, guest.object());
    let look = move |connect: &Connect| power(connect, uuid);
    let is = |power: Option<PowerState>| power.is_some_and(PowerState::has_domain);
    Ok(!is(source.shared.when_back("look at", &object, look).await?)
        && is(target.shared.when_back("look at", &object, look).await?))
}

fn power(connect: &Connect, uuid: Uuid) -> Result<Option<PowerState>, Failure> {
    match observe::find(connect, uuid) {
        Ok(domain) => Ok(Some(observe::power(&domain)?)),
        Err(error) if error.code() == ErrorNumber::NoDomain => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the folder of the guest at the target, with its address and the file for its console.
async fn prepare(target: &LibvirtHost, guest: &GuestShared) -> Result<()> {
    let object = guest.object();
    if let Some(address) = guest.address {
        define::reserve(target, guest.uuid, &[address], &object).await?;
    }
    let folder = target.shared.guest_folder(guest.uuid);
    let script =
        disks::folder(Script::new(), &folder).step(format!(": >> {}/console.log", q(&folder)));
    let deadline = target.shared.entry.deadlines.command;
    script.run(&target.dom0(), deadline, MIGRATE, &object).await.map(drop)
}

/// Refuses, before anything is done, what cannot work. `moves` is whether the guest's folder is to be
/// made at the target.
async fn possible(
    source: &LibvirtHost,
    guest: &GuestShared,
    view: &GuestView,
    target: &LibvirtHost,
    moves: bool,
) -> Result<()> {
    for disk in view.disks.iter().filter(|disk| !disk.path.is_empty()) {
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
    let (here, there) = (source.shared.guests_folder(), target.shared.guests_folder());
    if here != there {
        return Err(unsupported(format!(
            "the console of the guest is recorded in a folder in {here}, and host {} has its guests \
             in {there}; give both hosts the same `work_folder`",
            target.name()
        )));
    }
    if moves {
        let snapshots = format!("{}/snapshots", source.shared.guest_folder(guest.uuid));
        if source.dom0().exists(&snapshots).await? {
            return Err(unsupported(format!(
                "its snapshots are in {snapshots}, which only host {} has; remove them first, or \
                 share the folder",
                source.name()
            )));
        }
    }
    Ok(())
}

/// Refuses a migration to a host that has a guest of this name. libvirt's Xen driver refuses it too,
/// and never lets go of the guest at the source then: "cannot acquire state change lock (held by
/// monitor=remoteDispatchDomainMigrateBegin3Params)" (9.0).
async fn require_free(target: &LibvirtHost, name: String, object: &str) -> Result<()> {
    let own = object.to_owned();
    let look = move |connect: &Connect| match Domain::lookup_by_name(connect, &name) {
        Err(error) if error.code() == ErrorNumber::NoDomain => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => {
            let message = format!("the target has a guest named {name:?} already");
            Err(refusal(ToolstackErrorKind::AlreadyExists, MIGRATE, &own, message).into())
        }
    };
    target.shared.call(MIGRATE, object, look).await
}

/// The URI by which the source's libvirt reaches the target's.
fn migration_uri(target: &LibvirtHost) -> Result<String> {
    let entry = target.entry();
    if let Some(uri) = entry.attributes.get(URI) {
        return Ok(uri.clone());
    }
    if crate::reach::is_local(entry) {
        let problem = format!(
            "other hosts do not know host {} as {:?}; set its attribute `{URI}`",
            entry.name, entry.address
        );
        return Err(wrong_target(problem));
    }
    Ok(format!(
        "qemu+ssh://{}@{}:{}/system?no_tty=1",
        entry.user,
        in_uri(&entry.address),
        entry.port
    ))
}

/// Where the memory goes, where the lab says it.
fn migration_host(target: &LibvirtHost) -> Option<String> {
    target.entry().attributes.get(ADDRESS).map(|address| format!("tcp://{}", in_uri(address)))
}

/// An address as URIs have it: one of IPv6 is put into brackets (RFC 3986, 3.2.2).
fn in_uri(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}
