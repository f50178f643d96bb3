//! Snapshots and checkpoints of guests.

use uuid::Uuid;
use xenrt_core::Result;
use xenrt_core::model::{Ability, Guest as _, Host as _, PowerState};

use crate::guest::XapiGuest;
use crate::observe;
use crate::parse::records;
use crate::xe::XeCommand;

/// What a snapshot keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotKind {
    /// The disks as they are. From any power state.
    Disks,
    /// The disks, after the guest itself brought them to rest (Windows with its VSS provider). From
    /// Running.
    Quiesced,
    /// The disks and the memory. From Running or Suspended.
    Checkpoint,
}

/// A snapshot of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its identity: it is a VM of its own.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// The state that the guest has after it was reverted: Halted, or Suspended for a checkpoint.
    pub state: PowerState,
    /// When it was made, as xapi prints it: `20261123T11:32:58Z`.
    pub time: String,
}

impl XapiGuest {
    /// Makes a snapshot. The guest's state stays. Two calls.
    ///
    /// # Errors
    /// [`Error::Unsupported`](xenrt_core::Error::Unsupported); what xapi refuses, a guest without
    /// the drivers for it included. It is not made twice when the connection breaks.
    pub async fn snapshot(&self, name: &str, kind: SnapshotKind) -> Result<Snapshot> {
        let host = self.xapi_host();
        host.require(Ability::Snapshots)?;
        let command = match kind {
            SnapshotKind::Disks => "vm-snapshot",
            SnapshotKind::Quiesced => "vm-snapshot-with-quiesce",
            SnapshotKind::Checkpoint => "vm-checkpoint",
        };
        // A name that nobody else has, until it is sure that it was made once.
        let token = format!("xenrt-{}", Uuid::new_v4());
        let make = XeCommand::new(command)
            .uuid(self.uuid())
            .param("new-name-label", token.as_str())
            .deadline(self.deadlines().suspend);
        let find = XeCommand::new("snapshot-list").param("name-label", token).minimal();
        let during = self.during("make a snapshot of");
        let xe = host.xe();
        let uuid = xe.create_once(&make, &find).await.map_err(&during)?;
        let rename = XeCommand::new("snapshot-param-set").uuid(uuid).param("name-label", name);
        xe.run_all(&[rename]).await.map_err(&during)?;
        let listed = self.snapshots().await?.into_iter().find(|snapshot| snapshot.uuid == uuid);
        listed.ok_or_else(|| self.shared.missing("make a snapshot of"))
    }

    /// The snapshots of this guest, in xapi's order. One call.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let list = XeCommand::new("snapshot-list")
            .param("snapshot-of", self.uuid().to_string())
            .fields(&["uuid", "name-label", "power-state", "snapshot-time"]);
        let text = self.xapi_host().xe().run(&list).await;
        let text = text.map_err(self.during("list the snapshots of"))?;
        let snapshot = |record: Result<crate::parse::Record<'_>>| {
            let record = record?;
            Ok(Snapshot {
                uuid: record.parse("uuid")?,
                name: record.require("name-label")?.to_owned(),
                state: observe::power(record.require("power-state")?)?,
                time: record.get("snapshot-time").unwrap_or_default().to_owned(),
            })
        };
        records(&text).map(snapshot).collect()
    }

    /// Brings the guest back to what it was. After: Halted, or Suspended for a checkpoint; its
    /// disks are those of the snapshot, and new ones.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn revert(&self, snapshot: &Snapshot) -> Result<()> {
        let host = self.xapi_host();
        let revert = XeCommand::new("snapshot-revert")
            .param("snapshot-uuid", snapshot.uuid.to_string())
            .deadline(self.deadlines().suspend);
        let xe = host.xe();
        let reverted = match xe.run(&revert).await {
            // The same when it is done twice.
            Err(error) if error.is_ambiguous() => xe.run(&revert).await,
            result => result,
        };
        reverted.map_err(self.during("revert"))?;
        self.wait_for_state(snapshot.state, self.deadlines().state).await?;
        let view = self.view().await?;
        self.expectation().update(|expected| {
            expected.power = view.power;
            expected.vcpus = view.vcpus;
            expected.memory = view.memory;
            expected.disks = view.disks;
            expected.vifs = view.vifs;
            expected.reachable = false;
        });
        Ok(())
    }

    /// Removes a snapshot with its disks; one that is gone already is a success. One call.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn delete_snapshot(&self, snapshot: &Snapshot) -> Result<()> {
        let remove = XeCommand::new("snapshot-uninstall").uuid(snapshot.uuid);
        let xe = self.xapi_host().xe();
        let removed = match xe.run(&remove).await {
            Err(error) if error.is_ambiguous() => xe.run(&remove).await,
            result => result,
        };
        match removed {
            Err(error) if error.is_missing_object() => Ok(()),
            result => result.map(drop).map_err(self.during("remove a snapshot of")),
        }
    }
}
