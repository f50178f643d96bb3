//! Going back to what a guest was.

use std::sync::Arc;

use async_trait::async_trait;

use super::{ExpectedGuest, Guest, PowerState, Undo};
use crate::remote::{Wait, wait_until};
use crate::{Error, Result, ToolstackErrorKind};

/// What a snapshot keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotKind {
    /// The disks as they are. From any power state.
    Disks,
    /// The disks, after the guest itself brought them to rest. From Running.
    Quiesced,
    /// The disks and the memory: a checkpoint. From Running, Paused or Suspended.
    Memory,
}

/// A snapshot of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The toolstack's own name for it, unique among the snapshots of the guest.
    pub id: String,
    /// The name that it was given.
    pub name: String,
    /// What it keeps.
    pub kind: SnapshotKind,
    /// The state of the guest after it was reverted: Halted, or Suspended with its memory.
    pub reverts_to: PowerState,
}

/// The snapshots of one guest, where the toolstack has the ability; see
/// [`Guest::snapshots`].
///
/// As with guests, the required methods ask, and the verbs act and verify.
#[async_trait]
pub trait Snapshots: Send + Sync + std::fmt::Debug {
    /// The guest.
    fn guest(&self) -> &dyn Guest;

    /// Another handle to the same, for what is done later.
    fn handle(&self) -> Arc<dyn Snapshots>;

    /// Its snapshots, in the order in which they were made.
    ///
    /// # Errors
    /// When the toolstack cannot be asked.
    async fn list(&self) -> Result<Vec<Snapshot>>;

    /// Asks the toolstack for one and returns it as the toolstack lists it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a kind that the toolstack does not have; what it refuses.
    async fn request_create(&self, name: &str, kind: SnapshotKind) -> Result<Snapshot>;

    /// Asks the toolstack to make the guest what it was.
    ///
    /// # Errors
    /// What it refuses.
    async fn request_revert(&self, snapshot: &Snapshot) -> Result<()>;

    /// Asks the toolstack to remove one with all that it keeps.
    ///
    /// # Errors
    /// [`Error::Toolstack`] of kind [`NoSuchObject`](ToolstackErrorKind::NoSuchObject) for one that
    /// is gone; what it refuses.
    async fn request_delete(&self, snapshot: &Snapshot) -> Result<()>;

    // ---- verbs ----

    /// Makes a snapshot; it is deleted when the scope of the guest's handle ends. After: it is
    /// listed, and the guest is in the power state in which it was.
    ///
    /// # Errors
    /// [`Error::WrongState`] for a kind that the present power state does not allow; as
    /// [`request_create`](Self::request_create).
    async fn create(&self, name: &str, kind: SnapshotKind) -> Result<Snapshot> {
        let guest = self.guest();
        let state = guest.power_state().await?;
        let allowed: &[PowerState] = match kind {
            SnapshotKind::Disks => &[
                PowerState::Halted,
                PowerState::Running,
                PowerState::Paused,
                PowerState::Suspended,
            ],
            SnapshotKind::Quiesced => &[PowerState::Running],
            SnapshotKind::Memory => {
                &[PowerState::Running, PowerState::Paused, PowerState::Suspended]
            }
        };
        if !allowed.contains(&state) {
            return Err(Error::wrong_state(guest.name(), "take a snapshot of", state, allowed));
        }
        let snapshot = self.request_create(name, kind).await?;
        let (handle, doomed) = (self.handle(), snapshot.clone());
        let what = format!("delete snapshot {name:?} of guest {:?}", guest.name());
        guest
            .host()
            .scope()
            .on_cleanup(Undo::new(what, move || async move { handle.delete(&doomed).await }));
        if !self.list().await?.contains(&snapshot) {
            return Err(Error::UnexpectedOutput {
                what: format!("the snapshots of guest {:?}", guest.name()),
                expected: format!("the new snapshot {name:?}"),
                found: "a list without it".to_owned(),
            });
        }
        guest.wait_for_state(state, guest.deadlines().state).await?;
        Ok(snapshot)
    }

    /// Makes the guest what it was. After: it is in the state that the snapshot names, with the
    /// vCPUs, memory, disks and VIFs of then, and the snapshot is still there.
    ///
    /// # Errors
    /// As [`request_revert`](Self::request_revert); [`Error::Timeout`].
    async fn revert(&self, snapshot: &Snapshot) -> Result<()> {
        let guest = self.guest();
        self.request_revert(snapshot).await?;
        guest.wait_for_state(snapshot.reverts_to, guest.deadlines().suspend).await?;
        let view = guest.view().await?;
        guest.expectation().update(|expected| {
            *expected = ExpectedGuest {
                power: view.power,
                vcpus: view.vcpus,
                memory: view.memory,
                disks: view.disks,
                vifs: view.vifs,
                address: expected.address,
                reachable: false,
            };
        });
        Ok(())
    }

    /// Removes a snapshot. After: it is not listed; one that is gone already, or whose guest is, is
    /// a success.
    ///
    /// # Errors
    /// As [`request_delete`](Self::request_delete); [`Error::Timeout`].
    async fn delete(&self, snapshot: &Snapshot) -> Result<()> {
        let gone = |error: &Error| error.toolstack_kind() == Some(ToolstackErrorKind::NoSuchObject);
        match self.request_delete(snapshot).await {
            Err(error) if gone(&error) => return Ok(()),
            result => result?,
        }
        wait_until(format!("snapshot {:?} to be gone", snapshot.name), || async {
            let listed = self.list().await?.iter().any(|own| own.id == snapshot.id);
            Ok(Wait::on(!listed, "it is still listed"))
        })
        .within(self.guest().deadlines().state)
        .await
    }
}
