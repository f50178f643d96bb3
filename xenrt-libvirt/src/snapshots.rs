//! Snapshots of guests.
//!
//! libvirt's own need disks in a format that keeps snapshots, and cannot be reverted to where they are
//! external (before 9.9). The disks here are raw files, so a snapshot is a folder beside them: copies
//! of the disks (which share their blocks with the originals where the file system can), the
//! document of the domain, and the memory as libvirt writes it. While they are copied the guest is
//! paused: QEMU has then written everything that the guest was told is written.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain as VirtDomain;
use virt::domain_snapshot::DomainSnapshot;
use virt_sys as sys;
use xenrt_core::model::{Ability, Guest, Host as _, PowerState, Snapshot, SnapshotKind, Snapshots};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::connection::Failure;
use crate::disks;
use crate::driver::{Driver, NOTHING_RUNS};
use crate::error::{TOOLSTACK, not_understood, refusal};
use crate::guest::LibvirtGuest;
use crate::observe;
use crate::script::{Script, q};
use crate::xml::{Domain, Element};

const TAKE: &str = "take a snapshot of";
const REVERT: &str = "revert";
const REMOVE: &str = "remove a snapshot of";

/// The snapshots of a guest.
#[derive(Debug, Clone)]
pub(crate) struct LibvirtSnapshots(pub(crate) LibvirtGuest);

/// What is on record of a snapshot, in the file `snapshot.json` of its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    id: Uuid,
    name: String,
    kind: SnapshotKind,
    /// When it was taken, in nanoseconds since 1970: they are listed in this order.
    taken: u128,
}

impl Record {
    fn new(name: &str, kind: SnapshotKind) -> Self {
        let taken = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self { id: Uuid::new_v4(), name: name.to_owned(), kind, taken }
    }

    fn parse(line: &str) -> Result<Self> {
        serde_json::from_str(line).map_err(|error| Error::UnexpectedOutput {
            what: "the record of a snapshot".to_owned(),
            expected: format!("one that this library wrote ({error})"),
            found: xenrt_core::remote::shorten_middle(line, 200),
        })
    }

    fn snapshot(self) -> Snapshot {
        let reverts_to = match self.kind {
            SnapshotKind::Memory => PowerState::Suspended,
            SnapshotKind::Disks | SnapshotKind::Quiesced => PowerState::Halted,
        };
        Snapshot { id: self.id.to_string(), name: self.name, kind: self.kind, reverts_to }
    }
}

/// A disk of which a snapshot has a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copied {
    device: String,
    path: String,
}

/// What a guest is made of when a snapshot is taken.
#[derive(Debug)]
struct Found {
    document: String,
    power: PowerState,
    disks: Vec<Copied>,
}

/// The disks in a document that guests can write to. What they cannot write to is not copied.
fn copied(document: &str, object: &str, verb: &'static str) -> Result<Vec<Copied>, Failure> {
    let domain = Domain::parse(document)
        .map_err(|error| not_understood(&format!("the document of {object}"), &error))?;
    let mut copied = Vec::new();
    for disk in domain.devices.disks.iter().filter(|disk| !disk.is_read_only()) {
        if disk.kind != "file" {
            let message = format!("its disk {} is no file", disk.target.dev);
            return Err(refusal(ToolstackErrorKind::NotSupported, verb, object, message).into());
        }
        copied.push(Copied { device: disk.target.dev.clone(), path: disk.path().to_owned() });
    }
    Ok(copied)
}

/// Blocks.
fn find(connect: &Connect, uuid: Uuid, object: &str) -> Result<Found, Failure> {
    let domain = observe::find(connect, uuid)?;
    let flags = sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE;
    let document = domain.get_xml_desc(flags)?;
    let disks = copied(&document, object, TAKE)?;
    Ok(Found { document, power: observe::power(&domain)?, disks })
}

/// Brings a guest to rest: paused where it runs, loaded where its memory is to be written and is not
/// in a domain. Blocks.
fn rest(connect: &Connect, uuid: Uuid, power: PowerState, memory: bool) -> Result<(), Failure> {
    let domain = observe::find(connect, uuid)?;
    match power {
        PowerState::Running => domain.suspend().map(drop)?,
        PowerState::Suspended if memory => {
            domain.create_with_flags(sys::VIR_DOMAIN_START_PAUSED).map(drop)?;
        }
        _ => {}
    }
    Ok(())
}

/// Makes a guest again what it was before [`rest`]. Once more is no harm. Blocks.
fn go_on(connect: &Connect, uuid: Uuid, power: PowerState, memory: bool) -> Result<(), Failure> {
    let domain = observe::find(connect, uuid)?;
    let paused = observe::power(&domain)? == PowerState::Paused;
    match power {
        PowerState::Running if paused => domain.resume().map(drop)?,
        PowerState::Suspended if memory && paused => {
            domain.managed_save(sys::VIR_DOMAIN_SAVE_RUNNING).map(drop)?;
        }
        _ => {}
    }
    Ok(())
}

/// Writes the memory of a guest that is paused to a file; its disks are not libvirt's matter. Blocks.
fn write_memory(
    connect: &Connect,
    uuid: Uuid,
    file: &str,
    found: &[String],
) -> Result<(), Failure> {
    let domain = observe::find(connect, uuid)?;
    let mut document = Element::new("domainsnapshot");
    let memory = document.child_mut("memory");
    memory.set_attribute("snapshot", "external");
    memory.set_attribute("file", file);
    for device in found {
        let mut disk = Element::new("disk");
        disk.set_attribute("name", device);
        disk.set_attribute("snapshot", "no");
        document.child_mut("disks").push(disk);
    }
    let flags = sys::VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA;
    DomainSnapshot::create_xml(&domain, &document.to_xml(), flags)?;
    Ok(())
}

/// The names of all disks and drives in a document. libvirt has to be told of each.
fn all_devices(document: &str, object: &str) -> Result<Vec<String>> {
    let domain = Domain::parse(document)
        .map_err(|error| not_understood(&format!("the document of {object}"), &error))?;
    Ok(domain.devices.disks.iter().map(|disk| disk.target.dev.clone()).collect())
}

impl LibvirtSnapshots {
    fn folder(&self) -> String {
        format!("{}/snapshots", self.0.libvirt_host().shared.guest_folder(self.0.shared.uuid))
    }

    /// The folder of one; what is no id of this library's is in none.
    fn folder_of(&self, snapshot: &Snapshot, verb: &'static str) -> Result<String> {
        match snapshot.id.parse::<Uuid>() {
            Ok(id) => Ok(format!("{}/{id}", self.folder())),
            Err(_) => Err(self.missing(snapshot, verb)),
        }
    }

    fn missing(&self, snapshot: &Snapshot, verb: &'static str) -> Error {
        let message = format!("it has no snapshot {:?}", snapshot.name);
        refusal(ToolstackErrorKind::NoSuchObject, verb, &self.0.shared.object(), message)
    }

    /// Carries out a script on the host that may copy disks.
    async fn run(&self, script: Script, verb: &'static str) -> Result<String> {
        let host = self.0.libvirt_host();
        let deadline = host.shared.entry.deadlines.suspend;
        script.run(&host.dom0(), deadline, verb, &self.0.shared.object()).await
    }

    /// Fills the folder of a snapshot that is being taken, while the guest is at rest.
    async fn fill(&self, folder: &str, found: &Found, record: &Record) -> Result<()> {
        let (host, uuid) = (self.0.libvirt_host(), self.0.shared.uuid);
        let (shared, object) = (&host.shared, self.0.shared.object());
        let (power, memory) = (found.power, record.kind == SnapshotKind::Memory);
        let deadline = shared.entry.deadlines.suspend;
        let at_rest = move |connect: &Connect| rest(connect, uuid, power, memory);
        shared.call_within(deadline, TAKE, &object, at_rest).await?;
        if memory {
            let file = format!("{folder}/memory");
            let devices = all_devices(&found.document, &object)?;
            let write = move |connect: &Connect| write_memory(connect, uuid, &file, &devices);
            shared.call_within(deadline, TAKE, &object, write).await?;
        }
        let mut script = Script::new();
        for disk in &found.disks {
            let to = format!("{folder}/{}.disk", disk.device);
            script = script.step(copy(&disk.path, &to));
        }
        self.run(script, TAKE).await.map(drop)
    }
}

/// The step that copies a file, sparse and sharing its blocks where that can be.
fn copy(from: &str, to: &str) -> String {
    format!("cp --sparse=always --reflink=auto -- {} {}", q(from), q(to))
}

#[async_trait]
impl Snapshots for LibvirtSnapshots {
    fn guest(&self) -> &dyn Guest {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Snapshots> {
        Arc::new(self.clone())
    }

    async fn list(&self) -> Result<Vec<Snapshot>> {
        const LIST: &str = "list the snapshots of";
        self.0.shared.look(LIST).await?;
        let script = Script::new().step(format!(
            "for f in {}/*/snapshot.json; do [ ! -e \"$f\" ] || {{ cat -- \"$f\"; echo; }}; done",
            q(&self.folder())
        ));
        let text = self.run(script, LIST).await?;
        let records: Result<Vec<Record>> = text.lines().map(Record::parse).collect();
        let mut records = records?;
        records.sort_by_key(|record| (record.taken, record.id));
        Ok(records.into_iter().map(Record::snapshot).collect())
    }

    /// The guest is paused while its disks are copied and its memory is written.
    async fn request_create(&self, name: &str, kind: SnapshotKind) -> Result<Snapshot> {
        let host = self.0.libvirt_host();
        let unsupported = |reason: &str| Error::Unsupported {
            toolstack: TOOLSTACK.to_owned(),
            ability: Ability::Snapshots,
            reason: Some(reason.to_owned()),
        };
        match kind {
            SnapshotKind::Quiesced => {
                return Err(unsupported(
                    "a guest brings its file systems to rest through QEMU's agent, and guests of \
                     this library have no channel to one",
                ));
            }
            SnapshotKind::Memory if host.shared.facts.driver == Driver::Test => {
                return Err(unsupported(NOTHING_RUNS));
            }
            SnapshotKind::Memory | SnapshotKind::Disks => {}
        }
        let _one = self.0.shared.one_request.lock().await;
        let (shared, uuid, object) = (&host.shared, self.0.shared.uuid, self.0.shared.object());
        let own = object.clone();
        let look = move |connect: &Connect| find(connect, uuid, &own);
        let found = shared.call(TAKE, &object, look).await?;
        let record = Record::new(name, kind);
        let whole = format!("{}/{}", self.folder(), record.id);
        let folder = format!("{whole}.new");
        self.0.shared.takes_snapshots();
        let script = disks::folder(Script::new(), &shared.guest_folder(uuid));
        let script = disks::folder(disks::folder(script, &self.folder()), &folder);
        self.run(script, TAKE).await?;
        let json = serde_json::to_string(&record)
            .map_err(|error| Error::invalid(format!("snapshot {name:?}"), error.to_string()))?;
        let shell = host.dom0();
        let taken = async {
            shell
                .write_file(&format!("{folder}/domain.xml"), found.document.as_bytes(), 0o600)
                .await?;
            shell.write_file(&format!("{folder}/snapshot.json"), json.as_bytes(), 0o600).await?;
            self.fill(&folder, &found, &record).await
        };
        let taken = taken.await;
        let (power, memory) = (found.power, kind == SnapshotKind::Memory);
        let resumed = shared
            .call_surely(TAKE, &object, move |connect| go_on(connect, uuid, power, memory))
            .await;
        if let Err(error) = taken.and(resumed) {
            // Why it was not taken is what is told.
            let remove = Script::new().step(format!("rm -rf -- {}", q(&folder)));
            if let Err(left) = self.run(remove, TAKE).await {
                tracing::warn!(%left, folder, "what was begun of a snapshot is left");
            }
            return Err(error);
        }
        self.run(Script::new().step(format!("mv -- {} {}", q(&folder), q(&whole))), TAKE).await?;
        Ok(record.snapshot())
    }

    /// A guest with a domain loses it first, as when its power is taken away.
    async fn request_revert(&self, snapshot: &Snapshot) -> Result<()> {
        let host = self.0.libvirt_host();
        let _one = self.0.shared.one_request.lock().await;
        let (shared, uuid, object) = (&host.shared, self.0.shared.uuid, self.0.shared.object());
        let folder = self.folder_of(snapshot, REVERT)?;
        let message = q(&format!("it has no snapshot {:?}", snapshot.name));
        let script = Script::new()
            .step(format!("[ -d {} ] || refuse NoSuchObject {message}", q(&folder)))
            .step(format!("cat -- {0}/snapshot.json; echo; cat -- {0}/domain.xml", q(&folder)));
        let text = self.run(script, REVERT).await?;
        let (record, document) = text.split_once('\n').unwrap_or((&text, ""));
        let memory = Record::parse(record)?.kind == SnapshotKind::Memory;
        let then = copied(document, &object, REVERT).map_err(own)?;
        let tree = Element::parse(document)
            .map_err(|error| not_understood("the document of a snapshot", &error))?;
        let end = {
            let object = object.clone();
            move |connect: &Connect| end(connect, uuid, &object, memory.then_some(tree))
        };
        let (name, now) = shared.call_surely(REVERT, &object, end).await?;

        let guest_folder = format!("{}/", shared.guest_folder(uuid));
        let mut script = Script::new();
        for disk in &then {
            let new = format!("{}.new", disk.path);
            script = script
                .step(copy(&format!("{folder}/{}.disk", disk.device), &new))
                .step(format!("mv -- {} {}", q(&new), q(&disk.path)));
        }
        // Disks that came since go, as far as they were made for the guest.
        let came = now.iter().filter(|disk| {
            disk.path.starts_with(&guest_folder) && then.iter().all(|own| own.path != disk.path)
        });
        for disk in came {
            script = script.step(format!("rm -f -- {}", q(&disk.path)));
        }
        self.run(script, REVERT).await?;

        let mut tree = Element::parse(document)
            .map_err(|error| not_understood("the document of a snapshot", &error))?;
        tree.child_mut("name").set_text(name);
        let document = tree.to_xml();
        let define =
            move |connect: &Connect| Ok(VirtDomain::define_xml(connect, &document).map(drop)?);
        shared.call_surely(REVERT, &object, define).await?;
        if memory {
            let file = format!("{folder}/memory");
            // libvirt takes memory into its own keeping from a domain alone.
            let load = move |connect: &Connect| {
                let paused = sys::VIR_DOMAIN_SAVE_PAUSED;
                VirtDomain::domain_restore_flags(connect, &file, None, paused)?;
                let domain = observe::find(connect, uuid)?;
                Ok(domain.managed_save(sys::VIR_DOMAIN_SAVE_RUNNING).map(drop)?)
            };
            let deadline = shared.entry.deadlines.suspend * 2;
            shared.call_within(deadline, REVERT, &object, load).await?;
        }
        if let Some(address) = self.0.expectation().get().address {
            shared.drop_connections(address).await;
        }
        Ok(())
    }

    async fn request_delete(&self, snapshot: &Snapshot) -> Result<()> {
        let folder = q(&self.folder_of(snapshot, REMOVE)?);
        let message = q(&format!("it has no snapshot {:?}", snapshot.name));
        let script = Script::new()
            .step(format!("[ -d {folder} ] || refuse NoSuchObject {message}"))
            // From one moment to the other it is not listed.
            .step(format!("mv -- {folder}/snapshot.json {folder}/removed; rm -rf -- {folder}"));
        self.run(script, REMOVE).await.map(drop)
    }
}

fn own(failure: Failure) -> Error {
    match failure {
        Failure::Own(error) => error,
        Failure::Libvirt(error) => crate::error::refused(&error, REVERT, "a guest"),
    }
}

/// Ends the domain of a guest and what is kept of its memory. Returns its name and its disks now.
/// `memory` is the document of the snapshot where its memory is to be loaded. Once more is no harm.
/// Blocks.
fn end(
    connect: &Connect,
    uuid: Uuid,
    object: &str,
    memory: Option<Element>,
) -> Result<(String, Vec<Copied>), Failure> {
    let domain = observe::find(connect, uuid)?;
    let name = domain.get_name()?;
    let then = memory.and_then(|tree| tree.child("name").map(Element::text));
    if let Some(then) = then.filter(|then| *then != name) {
        // libvirt loads memory under the name that it was written under.
        let message = format!("its memory is that of {then:?}; give it that name again first");
        return Err(refusal(ToolstackErrorKind::BadState, REVERT, object, message).into());
    }
    let document = domain.get_xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)?;
    let disks = copied(&document, object, REVERT)?;
    if domain.is_active()? {
        domain.destroy()?;
    }
    observe::remove_saved_memory(&domain)?;
    Ok((name, disks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_and_others_are_refused() {
        let record = Record::new("it's\n\"so\"", SnapshotKind::Memory);
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(Record::parse(&line).unwrap(), record);
        let snapshot = record.snapshot();
        assert_eq!(snapshot.reverts_to, PowerState::Suspended);
        assert!(Record::parse("{}").is_err());
    }

    #[test]
    fn disks_that_cannot_change_are_not_copied() {
        let document = include_str!("../tests/data/odd-domain.xml");
        let domain = Domain::parse(document).unwrap();
        let writable = domain.devices.disks.iter().filter(|disk| !disk.is_read_only());
        let files = writable.clone().all(|disk| disk.kind == "file");
        match copied(document, "it", TAKE) {
            Ok(copied) => assert_eq!((files, copied.len()), (true, writable.count())),
            Err(_) => assert!(!files, "one of them is no file"),
        }
    }
}
