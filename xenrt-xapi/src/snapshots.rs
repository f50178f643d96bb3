//! Snapshots and checkpoints of guests.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::model::{Guest, PowerState, Snapshot, SnapshotKind, Snapshots};
use xenrt_core::{Error, Result};

use crate::guest::XapiGuest;
use crate::observe;
use crate::parse::records;
use crate::xe::{XeCommand, XeError};

/// The snapshots of a guest: each is a VM of its own.
#[derive(Debug, Clone)]
pub(crate) struct XapiSnapshots(pub(crate) XapiGuest);

/// The VM that a snapshot is.
fn uuid_of(snapshot: &Snapshot) -> Result<Uuid> {
    snapshot.id.parse().map_err(|_| {
        Error::invalid(format!("snapshot {:?}", snapshot.name), "its id is no UUID of xapi")
    })
}

#[async_trait]
impl Snapshots for XapiSnapshots {
    fn guest(&self) -> &dyn Guest {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Snapshots> {
        Arc::new(self.clone())
    }

    /// One call. xapi does not keep whether a guest was brought to rest, so a quiesced one is listed
    /// as [`SnapshotKind::Disks`].
    async fn list(&self) -> Result<Vec<Snapshot>> {
        let guest = &self.0;
        let list = XeCommand::new("snapshot-list")
            .param("snapshot-of", guest.uuid().to_string())
            .fields(&["uuid", "name-label", "power-state", "snapshot-time"]);
        let text = guest.xapi_host().xe().run(&list).await;
        let text = text.map_err(guest.during("list the snapshots of"))?;
        let mut found = Vec::new();
        for record in records(&text) {
            let record = record?;
            let reverts_to = observe::power(record.require("power-state")?)?;
            let kind = match reverts_to {
                PowerState::Suspended => SnapshotKind::Memory,
                _ => SnapshotKind::Disks,
            };
            let uuid: Uuid = record.parse("uuid")?;
            let name = record.require("name-label")?.to_owned();
            let time = record.get("snapshot-time").unwrap_or_default().to_owned();
            found.push((time, Snapshot { id: uuid.to_string(), name, kind, reverts_to }));
        }
        // The times are all of one form, `20261123T11:32:58Z`; those of one second stay as listed.
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found.into_iter().map(|(_, snapshot)| snapshot).collect())
    }

    /// Two calls. It is not made twice when the connection breaks.
    async fn request_create(&self, name: &str, kind: SnapshotKind) -> Result<Snapshot> {
        let guest = &self.0;
        let command = match kind {
            SnapshotKind::Disks => "vm-snapshot",
            SnapshotKind::Quiesced => "vm-snapshot-with-quiesce",
            SnapshotKind::Memory => "vm-checkpoint",
        };
        // A name that nobody else has, until it is sure that it was made once.
        let token = crate::tokens::new_token();
        let make = XeCommand::new(command)
            .uuid(guest.uuid())
            .param("new-name-label", token.as_str())
            .deadline(guest.deadlines().suspend);
        let find = XeCommand::new("snapshot-list").param("name-label", token).minimal();
        let during = guest.during("make a snapshot of");
        let xe = guest.xapi_host().xe();
        let uuid = xe.create_once(&make, &find).await.map_err(&during)?;
        let rename = XeCommand::new("snapshot-param-set").uuid(uuid).param("name-label", name);
        xe.repeat(&rename, |_| false).await.map_err(&during)?;
        let id = uuid.to_string();
        let listed = self.list().await?.into_iter().find(|snapshot| snapshot.id == id);
        listed.ok_or_else(|| guest.shared.missing("make a snapshot of"))
    }

    /// The disks of the guest are those of the snapshot afterwards, and new ones.
    async fn request_revert(&self, snapshot: &Snapshot) -> Result<()> {
        let guest = &self.0;
        let revert = XeCommand::new("snapshot-revert")
            .param("snapshot-uuid", uuid_of(snapshot)?.to_string())
            .deadline(guest.deadlines().suspend);
        let xe = guest.xapi_host().xe();
        // The same when it is done twice.
        xe.repeat(&revert, |_| false).await.map_err(guest.during("revert"))
    }

    /// Its disks go with it. One call.
    async fn request_delete(&self, snapshot: &Snapshot) -> Result<()> {
        let guest = &self.0;
        let remove = XeCommand::new("snapshot-uninstall").uuid(uuid_of(snapshot)?);
        let xe = guest.xapi_host().xe();
        // That it is missing then, an earlier try did.
        let removed = xe.repeat(&remove, XeError::is_missing_object).await;
        removed.map_err(guest.during("remove a snapshot of"))
    }
}
