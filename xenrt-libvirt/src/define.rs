//! Defining a guest: its address is reserved, its disks are made, its domain is defined.

use std::net::IpAddr;
use std::time::Duration;

use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain as VirtDomain;
use xenrt_core::model::{GuestSpec, Host as _, validate_guest_name_on};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::connection::Failure;
use crate::definition::{Definition, wants_address};
use crate::disks;
use crate::host::LibvirtHost;
use crate::observe::{self, Seen};
use crate::script::{Script, q};
use crate::settle::is_interrupted;
use crate::{networks, storage};

/// How long a reservation may take, the wait for other processes included.
const RESERVATION: Duration = Duration::from_secs(90);

/// Defines a guest. Nothing is left behind by an error, but by a connection that was lost and did
/// not come back.
pub(crate) async fn define(host: &LibvirtHost, spec: &GuestSpec) -> Result<Seen> {
    spec.validate()?;
    validate_guest_name_on(host, &spec.name)?;
    let shared = &host.shared;
    let (entry, facts) = (&shared.entry, &shared.facts);
    let uuid = Uuid::new_v4();
    let folder = shared.guest_folder(uuid);
    let object = format!("guest {:?}", spec.name);
    let make = |address| {
        Definition::from_spec(spec, entry, facts, &shared.abilities, uuid, &folder, address)
    };
    let pool = entry.guest_network.as_ref().and_then(|network| network.pool.as_ref());
    let wanted: Vec<IpAddr> = match (spec.address, pool) {
        (Some(address), _) => vec![address],
        (None, Some(pool)) if wants_address(spec, entry)? => {
            pool.addresses().take(4096).map(IpAddr::V4).collect()
        }
        _ => Vec::new(),
    };
    // A specification that cannot be carried out is refused before the host is touched.
    let example = make(wanted.first().copied())?;
    let (name, driver) = (spec.name.clone(), facts.driver);
    let networks: Vec<String> = example.vifs.iter().map(|vif| vif.network.clone()).collect();
    let look = move |connect: &Connect| {
        require_free(connect, &name)?;
        let found = networks.iter().map(|name| networks::source(connect, driver, name));
        found.collect::<Result<Vec<_>, _>>()
    };
    let mut sources = Vec::new();
    for (vif, found) in example.vifs.iter().zip(shared.call("define", &object, look).await?) {
        sources.push(match found {
            Some(source) => source,
            None => shared.bridge(&host.dom0(), &vif.network, "define", &object).await?,
        });
    }
    let mut definition = match wanted.as_slice() {
        [] => example,
        wanted => make(Some(reserve(host, uuid, wanted, &object).await?))?,
    };
    let defined = async {
        storage::set_formats(shared, "define", &object, definition.existing_disks()).await?;
        prepare_files(host, &definition, &object).await?;
        let document = definition.to_element(facts, &sources)?.to_xml();
        let name = definition.name.clone();
        let define = move |connect: &Connect| define_domain(connect, &document, uuid, &name);
        shared.call_surely("define", &object, define).await
    };
    match defined.await {
        Ok(seen) => Ok(seen),
        Err(error) => {
            // Where libvirt is not back, there may be a domain that needs them.
            if definition.has_files() && !is_interrupted(&error) {
                remove_files(host, uuid, &object).await?;
            }
            Err(error)
        }
    }
}

/// That a name is taken is what is wrong with the specification, see
/// [`Host::define_guest`](xenrt_core::model::Host::define_guest).
fn taken(name: &str) -> Error {
    Error::invalid(format!("guest {name:?}"), "there is a guest of that name already")
}

fn require_free(connect: &Connect, name: &str) -> Result<(), Failure> {
    match VirtDomain::lookup_by_name(connect, name) {
        Ok(_) => Err(taken(name).into()),
        Err(error) if error.code() == virt::error::ErrorNumber::NoDomain => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn define_domain(
    connect: &Connect,
    document: &str,
    uuid: Uuid,
    name: &str,
) -> Result<Seen, Failure> {
    match VirtDomain::define_xml(connect, document) {
        Ok(domain) => observe::look(&domain),
        Err(error) => match VirtDomain::lookup_by_name(connect, name) {
            // Somebody was faster.
            Ok(other) if other.get_uuid()? != uuid => Err(taken(name).into()),
            _ => Err(error.into()),
        },
    }
}

/// Takes the first of the addresses that no other guest of this library has on the host, in one
/// step that no other process can come between. A guest keeps its address in its folder.
pub(crate) async fn reserve(
    host: &LibvirtHost,
    uuid: Uuid,
    wanted: &[IpAddr],
    object: &str,
) -> Result<IpAddr> {
    let guests = host.shared.guests_folder();
    let folder = host.shared.guest_folder(uuid);
    let list: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let message = match list.as_slice() {
        [one] => format!("another guest has the address {one}"),
        _ => "all addresses of the pool of the guest network are taken".to_owned(),
    };
    let script = disks::folder(Script::new(), &guests)
        .step(format!("cd -- {}; exec 9>.lock", q(&guests)))
        .step("flock -w 60 9 || refuse TimedOut 'another process keeps the lock'")
        .step("used=\" $(cat -- */address 2>/dev/null | tr '\\n' ' ') \"")
        .step(format!("for a in {}; do case \"$used\" in *\" $a \"*) ;; *)", list.join(" ")));
    let script = disks::folder(script, &folder)
        .step(format!("echo $a | tee {}; exit 0;; esac; done", q(&format!("{folder}/address"))))
        .step(format!("refuse AlreadyExists {}", q(&message)));
    let text = script.run(&host.dom0(), RESERVATION, "define", object).await;
    let text = text.map_err(|error| match error.toolstack_kind() {
        Some(ToolstackErrorKind::AlreadyExists) => Error::invalid(object, message),
        _ => error,
    })?;
    text.trim().parse().map_err(|_| Error::UnexpectedOutput {
        what: "a reservation".to_owned(),
        expected: "an address".to_owned(),
        found: text.trim().to_owned(),
    })
}

/// Makes the folder of a guest and the disks in it, and requires that what is named is there.
async fn prepare_files(host: &LibvirtHost, definition: &Definition, object: &str) -> Result<()> {
    if !definition.has_files() && definition.disks.is_empty() {
        return Ok(());
    }
    let mut script = Script::new();
    if definition.has_files() {
        let folder = host.shared.guest_folder(definition.uuid);
        script = disks::folder(script, &folder);
        if definition.records_console() {
            // It belongs to the guest from its definition on, not from its first start.
            script = script.step(format!(": >> {}/console.log", q(&folder)));
        }
    }
    for (spec, disk) in &definition.disks {
        script = disks::make(script, spec, disk.path());
    }
    let deadline = host.shared.entry.deadlines.suspend;
    script.run(&host.dom0(), deadline, "define", object).await.map(drop)
}

/// Removes the folder of a guest and all that is in it.
pub(crate) async fn remove_files(host: &LibvirtHost, uuid: Uuid, object: &str) -> Result<()> {
    let script = Script::new().step(format!("rm -rf -- {}", q(&host.shared.guest_folder(uuid))));
    let deadline = host.shared.entry.deadlines.command;
    script.run(&host.dom0(), deadline, "remove the files of", object).await.map(drop)
}
