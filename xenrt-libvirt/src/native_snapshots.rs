//! Snapshots and checkpoints that libvirt itself keeps, beyond the object model: those of
//! [`Guest::snapshots`](xenrt_core::model::Guest::snapshots) are copies that every toolstack can
//! revert to; these are what the driver makes of its disk images.

use virt::connect::Connect;
use virt::domain::Domain as VirtDomain;
use virt::domain_snapshot::DomainSnapshot;
use virt::error::ErrorNumber;
use virt_sys as sys;
use xenrt_core::model::Guest;
use xenrt_core::{Result, ToolstackErrorKind};

use crate::connection::Failure;
use crate::error::{not_understood, refusal};
use crate::host::LibvirtHost;
use crate::observe;
use crate::sys::checkpoint;
use crate::xml::{Domain, Element};

const TAKE: &str = "take a snapshot of";
const REVERT: &str = "revert";
const REMOVE: &str = "remove a snapshot of";

/// How libvirt keeps a snapshot (<https://libvirt.org/formatsnapshot.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotForm {
    /// In the images of the disks, with the memory of a guest that runs. All disks that can be
    /// written to must be qcow2.
    Internal,
    /// The images stay as they are now: what is written from now on goes to new files beside them.
    External {
        /// The file of the host that the memory of a running guest is written to; without it only
        /// the disks are kept.
        memory: Option<String>,
    },
}

/// A snapshot that libvirt keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeSnapshot {
    /// Its name, of which a guest has one.
    pub name: String,
    /// The snapshot that was current when it was taken.
    pub parent: Option<String>,
    /// What the guest was: `running`, `paused`, `shutoff`, or `disk-snapshot` where its memory was
    /// not kept.
    pub state: String,
    /// Whether something of it is in a file of its own.
    pub external: bool,
    /// Whether it is the last that was taken or reverted to.
    pub current: bool,
}

/// The document of a snapshot that is to be taken. `disks` are all of the guest's, and whether each
/// can be written to.
fn document(name: &str, form: &SnapshotForm, disks: &[(String, bool)]) -> Element {
    let mut document = Element::new("domainsnapshot");
    document.child_mut("name").set_text(name);
    let SnapshotForm::External { memory } = form else { return document };
    if let Some(file) = memory {
        let own = document.child_mut("memory");
        own.set_attribute("snapshot", "external");
        own.set_attribute("file", file);
    }
    for (device, writable) in disks {
        let mut disk = Element::new("disk");
        disk.set_attribute("name", device);
        disk.set_attribute("snapshot", if *writable { "external" } else { "no" });
        document.child_mut("disks").push(disk);
    }
    document
}

/// Reads what libvirt tells of a snapshot.
fn read(text: &str, current: bool) -> Result<NativeSnapshot, Failure> {
    let tree = Element::parse(text)
        .map_err(|error| not_understood("the document of a snapshot", &error))?;
    let text_of = |name: &str| tree.child(name).map(Element::text);
    let is_external = |own: &Element| own.attribute("snapshot") == Some("external");
    let disks = tree.child("disks");
    Ok(NativeSnapshot {
        name: text_of("name").unwrap_or_default(),
        parent: tree.child("parent").and_then(|own| own.child("name")).map(Element::text),
        state: text_of("state").unwrap_or_default(),
        external: tree.child("memory").is_some_and(is_external)
            || disks.is_some_and(|disks| disks.elements().any(is_external)),
        current,
    })
}

fn seen(snapshot: &DomainSnapshot) -> Result<NativeSnapshot, Failure> {
    read(&snapshot.get_xml_desc(0)?, snapshot.is_current(0)?)
}

fn disks(domain: &VirtDomain) -> Result<Vec<(String, bool)>, Failure> {
    let document = Domain::parse(&domain.get_xml_desc(0)?)
        .map_err(|error| not_understood("the document of a domain", &error))?;
    let all = document.devices.disks.iter();
    Ok(all.map(|disk| (disk.target.dev.clone(), !disk.is_read_only())).collect())
}

impl LibvirtHost {
    /// Has libvirt take a snapshot of a guest of this host. After: it is listed, and current; the
    /// guest is as it was.
    ///
    /// An external one changes the files that the disks of the guest are in, which
    /// [`check`](xenrt_core::model::Guest::check) tells as a difference.
    ///
    /// # Errors
    /// [`Error::Toolstack`](xenrt_core::Error::Toolstack) of kind `AlreadyExists` for a name that
    /// the guest has a snapshot of, and of the kind that libvirt's refusal has, such as
    /// `NotSupported` for disks that cannot keep one; [`Error::Remote`](xenrt_core::Error::Remote).
    pub async fn take_native_snapshot(
        &self,
        guest: &dyn Guest,
        name: &str,
        form: &SnapshotForm,
    ) -> Result<NativeSnapshot> {
        let (uuid, object) = (guest.uuid(), format!("guest {:?}", guest.name()));
        let (name, form, own) = (name.to_owned(), form.clone(), object.clone());
        let take = move |connect: &Connect| {
            let domain = observe::find(connect, uuid)?;
            if DomainSnapshot::lookup_by_name(&domain, &name, 0).is_ok() {
                let message = format!("it has a snapshot {name:?} already");
                let kind = ToolstackErrorKind::AlreadyExists;
                return Err(refusal(kind, TAKE, &own, message).into());
            }
            let document = document(&name, &form, &disks(&domain)?).to_xml();
            let flags = match form {
                SnapshotForm::External { memory: None } => {
                    sys::VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
                        | sys::VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
                }
                _ => sys::VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC,
            };
            seen(&DomainSnapshot::create_xml(&domain, &document, flags)?)
        };
        let deadline = self.shared.entry.deadlines.suspend;
        self.shared.call_within(deadline, TAKE, &object, take).await
    }

    /// The snapshots that libvirt keeps of a guest of this host, each after its parent.
    ///
    /// # Errors
    /// [`Error::Toolstack`](xenrt_core::Error::Toolstack) of kind `NotSupported` where the driver
    /// keeps none; [`Error::Remote`](xenrt_core::Error::Remote).
    pub async fn native_snapshots(&self, guest: &dyn Guest) -> Result<Vec<NativeSnapshot>> {
        let list = |domain: &VirtDomain| {
            let flags = sys::VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL;
            domain.list_all_snapshots(flags)?.iter().map(seen).collect()
        };
        self.with_domain(guest, "list the snapshots of", list).await
    }

    /// Reverts a guest of this host to a snapshot that libvirt keeps. After: it is what it was
    /// then, running where that is so.
    ///
    /// # Errors
    /// [`Error::Toolstack`](xenrt_core::Error::Toolstack) of kind `NoSuchObject` for one that there
    /// is not, of kind `NotSupported` for an external one where libvirt is older than 9.9;
    /// [`Error::Remote`](xenrt_core::Error::Remote).
    pub async fn revert_to_native_snapshot(&self, guest: &dyn Guest, name: &str) -> Result<()> {
        let deadline = self.shared.entry.deadlines.suspend;
        let revert = |snapshot: &DomainSnapshot, object: &str| match snapshot.revert(0) {
            Err(error) if error.code() == ErrorNumber::ConfigUnsupported => {
                let kind = ToolstackErrorKind::NotSupported;
                Err(refusal(kind, REVERT, object, error.message()).into())
            }
            reverted => Ok(reverted?),
        };
        self.with_snapshot(guest, name, (REVERT, deadline), revert).await?;
        if let Some(address) = guest.expectation().get().address {
            self.shared.drop_connections(address).await;
        }
        Ok(())
    }

    /// Removes a snapshot that libvirt keeps; those that were taken after it stay. What is in files
    /// of its own becomes part of what was written since. After: it is not listed.
    ///
    /// # Errors
    /// [`Error::Toolstack`](xenrt_core::Error::Toolstack) of kind `NoSuchObject` for one that there
    /// is not, and of the kind that libvirt's refusal has;
    /// [`Error::Remote`](xenrt_core::Error::Remote).
    pub async fn remove_native_snapshot(&self, guest: &dyn Guest, name: &str) -> Result<()> {
        let deadline = self.shared.entry.deadlines.suspend;
        let remove = |snapshot: &DomainSnapshot, _: &str| Ok(snapshot.delete(0)?);
        self.with_snapshot(guest, name, (REMOVE, deadline), remove).await
    }

    async fn with_snapshot(
        &self,
        guest: &dyn Guest,
        name: &str,
        (verb, deadline): (&'static str, std::time::Duration),
        act: fn(&DomainSnapshot, &str) -> Result<(), Failure>,
    ) -> Result<()> {
        let (uuid, object) = (guest.uuid(), format!("guest {:?}", guest.name()));
        let (name, own) = (name.to_owned(), object.clone());
        let find = move |connect: &Connect| {
            let domain = observe::find(connect, uuid)?;
            // One that there is not is told as such by libvirt.
            act(&DomainSnapshot::lookup_by_name(&domain, &name, 0)?, &own)
        };
        self.shared.call_within(deadline, verb, &object, find).await
    }

    /// Has libvirt note what the disks of a guest hold now, so that a backup can have what was
    /// written since (<https://libvirt.org/formatcheckpoint.html>). After: it is listed.
    ///
    /// # Errors
    /// [`Error::Toolstack`](xenrt_core::Error::Toolstack) of the kind that libvirt's refusal has:
    /// QEMU's driver needs a guest that runs and disks that are qcow2;
    /// [`Error::Remote`](xenrt_core::Error::Remote).
    pub async fn create_checkpoint(&self, guest: &dyn Guest, name: &str) -> Result<()> {
        let mut document = Element::new("domaincheckpoint");
        document.child_mut("name").set_text(name);
        let document = document.to_xml();
        self.with_domain(guest, "create a checkpoint of", move |domain| {
            Ok(checkpoint::create(domain, &document)?)
        })
        .await
    }

    /// The names of the checkpoints of a guest of this host, each after the one that it follows.
    ///
    /// # Errors
    /// [`Error::Toolstack`](xenrt_core::Error::Toolstack) of kind `NotSupported` where the driver
    /// has none; [`Error::Remote`](xenrt_core::Error::Remote).
    pub async fn checkpoints(&self, guest: &dyn Guest) -> Result<Vec<String>> {
        let list = |domain: &VirtDomain| Ok(checkpoint::names(domain)?);
        self.with_domain(guest, "list the checkpoints of", list).await
    }

    /// Removes a checkpoint; what it noted becomes part of the one that it followed. After: it is
    /// not listed.
    ///
    /// # Errors
    /// [`Error::Toolstack`](xenrt_core::Error::Toolstack) of kind `NoSuchObject` for one that there
    /// is not; [`Error::Remote`](xenrt_core::Error::Remote).
    pub async fn remove_checkpoint(&self, guest: &dyn Guest, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.with_domain(guest, "remove a checkpoint of", move |domain| {
            Ok(checkpoint::delete(domain, &name)?)
        })
        .await
    }

    async fn with_domain<T: Send + 'static>(
        &self,
        guest: &dyn Guest,
        verb: &'static str,
        act: impl FnOnce(&VirtDomain) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (uuid, object) = (guest.uuid(), format!("guest {:?}", guest.name()));
        let work = move |connect: &Connect| act(&observe::find(connect, uuid)?);
        self.shared.call(verb, &object, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_say_what_is_kept_where() {
        let disks = [("vda".to_owned(), true), ("sda".to_owned(), false)];
        let forms = [
            SnapshotForm::Internal,
            SnapshotForm::External { memory: None },
            SnapshotForm::External { memory: Some("/srv/it's.memory".to_owned()) },
        ];
        let texts = forms.iter().map(|form| document("a <name>", form, &disks).to_xml());
        insta::assert_snapshot!(texts.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn what_libvirt_tells_is_read() {
        let text = "<domainsnapshot><name>b</name><state>disk-snapshot</state><parent><name>a\
                    </name></parent><creationTime>1</creationTime><memory snapshot='no'/><disks>\
                    <disk name='vda' snapshot='external' type='file'/></disks><domain><name>g\
                    </name></domain></domainsnapshot>";
        let (name, parent, state) =
            ("b".to_owned(), Some("a".to_owned()), "disk-snapshot".to_owned());
        let expected = NativeSnapshot { name, parent, state, external: true, current: false };
        assert_eq!(read(text, false).ok(), Some(expected));
        assert!(read("no XML", false).is_err());
    }
}
