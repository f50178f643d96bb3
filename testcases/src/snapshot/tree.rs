//! Snapshots of snapshots, and a guest that is in the middle of writing when it is reverted.

use xenrt::model::SnapshotKind;
use xenrt::prelude::*;

use super::Kept;
use crate::support::bring_up;

/// Snapshots that branch: of a guest that was reverted to its first snapshot, another branch is taken. Each
/// of all branches brings back what its own line had, from whatever branch the guest comes, and still does
/// after the one that all have in common was deleted.
///
/// Arguments: `distro` (generic-linux).
#[testcase(id = "snapshot.tree", timeout = "2h", requires(snapshots), tags("snapshot", "storage"))]
struct Tree(Kept);

#[async_trait]
impl TestCase for Tree {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Kept::prepare(cx).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let Kept { guest, snapshots, .. } = &self.0;
        let take = async |name: &str, seed: u64| -> Result<_> {
            cx.step(format!("Write pattern {seed} and take the snapshot {name}"));
            self.0.write(seed).await?;
            guest.shutdown(ShutdownMode::Clean).await?;
            let taken = snapshots.create(name, SnapshotKind::Disks).await?;
            bring_up(guest.as_ref()).await?;
            Ok((taken, seed))
        };
        let revert = async |to: &(xenrt::model::Snapshot, u64)| -> Result {
            let (snapshot, seed) = to;
            cx.step(format!("Revert to {}", snapshot.name));
            guest.shutdown(ShutdownMode::Clean).await?;
            snapshots.revert(snapshot).await?;
            bring_up(guest.as_ref()).await?;
            let after = format!("after a revert to {}", snapshot.name);
            self.0.holds(*seed).await.map_err(|error| error.context(after))
        };
        let root = take("root", 1).await?;
        let left = take("left", 2).await?;
        let leaf = take("left-left", 3).await?;
        revert(&root).await?;
        let right = take("right", 4).await?;
        for to in [&leaf, &right, &left, &root, &right] {
            revert(to).await?;
        }
        cx.step("Delete what all branches have in common");
        snapshots.delete(&root.0).await?;
        for to in [&left, &right, &leaf] {
            revert(to).await?;
        }
        Ok(guest.check().await?)
    }
}

/// A guest is powered off in the middle of writing to its disk, and reverted: the disk holds what it held
/// when the snapshot was taken, and nothing of what was on its way.
///
/// Arguments: `distro` (generic-linux), `loops` (3).
#[testcase(
    id = "snapshot.revert_under_load",
    timeout = "2h",
    requires(snapshots),
    tags("snapshot", "storage", "stress")
)]
struct RevertUnderLoad {
    kept: Kept,
    loops: u32,
}

#[async_trait]
impl TestCase for RevertUnderLoad {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = crate::support::count(cx, "loops", 3)?;
        Ok(Self { kept: Kept::prepare(cx).await?, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let Kept { guest, snapshots, device } = &self.kept;
        self.kept.write(1).await?;
        guest.shutdown(ShutdownMode::Clean).await?;
        cx.step("Take a snapshot");
        let snapshot = snapshots.create("before", SnapshotKind::Disks).await?;
        for round in 1..=self.loops {
            let once = async {
                bring_up(guest.as_ref()).await?;
                self.kept.holds(1).await?;
                cx.step(format!(
                    "Power off in the middle of writing, and revert: {round} of {}",
                    self.loops
                ));
                let line = format!(
                    "while :; do dd if=/dev/zero of=/dev/{device} bs=65536 conv=notrunc 2>/dev/null; done"
                );
                let writer = Command::new("timeout").args(["600", "sh", "-c", &line]);
                let writer = writer.deadline(Duration::from_secs(900));
                let _writer = guest.shell().await?.start(&writer).await?;
                // What is seen to be written, beside what is on its way.
                self.kept.write(2).await?;
                guest.shutdown(ShutdownMode::Hard).await?;
                snapshots.revert(&snapshot).await?;
                Ok(())
            };
            once.await.map_err(crate::support::in_round(round, self.loops))?;
        }
        bring_up(guest.as_ref()).await?;
        self.kept.holds(1).await?;
        Ok(guest.check().await?)
    }
}
