//! Tests of snapshots.

mod tree;

use xenrt::model::{SnapshotKind, Snapshots};
use xenrt::prelude::*;

use crate::support::{Pattern, Witness, bring_up, guest_spec, up};

/// How large the disk with the data is.
const SIZE: Memory = Memory::mib(16);

/// A guest with a disk that holds data, and its snapshots.
#[derive(Debug)]
struct Kept {
    guest: Arc<dyn Guest>,
    snapshots: Arc<dyn Snapshots>,
    device: String,
}

impl Kept {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let spec = guest_spec(cx)?.disk(DiskSpec::new(SIZE));
        let guest = up(&cx.default_host()?, &spec).await?;
        let missing = || TestError::product("the guest has no disk, and was made with one");
        let device = guest.view().await?.disks.last().ok_or_else(missing)?.device.clone();
        Ok(Self { snapshots: guest.snapshots()?, guest, device })
    }

    async fn write(&self, seed: u64) -> Result {
        Pattern::new(seed, SIZE).write(self.guest.as_ref(), &self.device).await
    }

    async fn holds(&self, seed: u64) -> Result {
        Pattern::new(seed, SIZE).verify(self.guest.as_ref(), &self.device).await
    }
}

/// A guest is reverted to a snapshot of its disks: they hold what they held, not what was written
/// since, and the guest boots from them.
///
/// Arguments: `distro` (generic-linux).
#[testcase(
    id = "snapshot.revert_disks",
    timeout = "1h",
    requires(snapshots),
    tags("snapshot", "storage")
)]
struct RevertDisks(Kept);

#[async_trait]
impl TestCase for RevertDisks {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Kept::prepare(cx).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let Kept { guest, snapshots, .. } = &self.0;
        self.0.write(1).await?;
        guest.shutdown(ShutdownMode::Clean).await?;
        cx.step("Take a snapshot, and write something else");
        let snapshot = snapshots.create("before", SnapshotKind::Disks).await?;
        bring_up(guest.as_ref()).await?;
        self.0.write(2).await?;
        self.0.holds(2).await?;
        guest.shutdown(ShutdownMode::Clean).await?;
        cx.step("Revert");
        snapshots.revert(&snapshot).await?;
        bring_up(guest.as_ref()).await?;
        self.0.holds(1).await?;
        Ok(guest.check().await?)
    }
}

/// A snapshot does not change with its guest, nor with other snapshots: of three, taken one after the
/// other, each brings back what was there when it was taken, in whatever order they are reverted to,
/// and after the one in the middle was deleted.
///
/// Arguments: `distro` (generic-linux).
#[testcase(id = "snapshot.many", timeout = "2h", requires(snapshots), tags("snapshot", "storage"))]
struct Many(Kept);

#[async_trait]
impl TestCase for Many {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Kept::prepare(cx).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let Kept { guest, snapshots, .. } = &self.0;
        let mut taken = Vec::new();
        for seed in 1..=3 {
            cx.step(format!("Write and take snapshot {seed}"));
            self.0.write(seed).await?;
            guest.shutdown(ShutdownMode::Clean).await?;
            taken.push(snapshots.create(&format!("s{seed}"), SnapshotKind::Disks).await?);
            bring_up(guest.as_ref()).await?;
        }
        let revert = async |seed: u64| -> Result {
            cx.step(format!("Revert to snapshot {seed}"));
            guest.shutdown(ShutdownMode::Clean).await?;
            snapshots.revert(&taken[seed as usize - 1]).await?;
            bring_up(guest.as_ref()).await?;
            let after = format!("after a revert to snapshot {seed}");
            self.0.holds(seed).await.map_err(|error| error.context(after))
        };
        for seed in [1, 3, 2] {
            revert(seed).await?;
        }
        cx.step("Delete the one in the middle");
        snapshots.delete(&taken[1]).await?;
        for seed in [3, 1] {
            revert(seed).await?;
        }
        Ok(guest.check().await?)
    }
}

/// A guest is reverted to a snapshot with its memory: it goes on from the moment at which that was
/// taken, and its disks are those of that moment.
///
/// Arguments: `distro` (generic-linux).
#[testcase(
    id = "snapshot.checkpoint",
    timeout = "1h",
    requires(snapshots, suspend),
    tags("snapshot")
)]
struct Checkpoint(Kept);

#[async_trait]
impl TestCase for Checkpoint {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Kept::prepare(cx).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let Kept { guest, snapshots, .. } = &self.0;
        self.0.write(1).await?;
        let then = Witness::leave(guest.as_ref()).await?;
        cx.step("Take a snapshot of the running guest, with its memory");
        let snapshot = match snapshots.create("then", SnapshotKind::Memory).await {
            Err(xenrt::Error::Unsupported { toolstack, .. }) => {
                return Err(TestError::skip(format!("{toolstack} keeps no memory in snapshots")));
            }
            taken => taken?,
        };
        then.went_on(guest.as_ref()).await?;
        guest.reboot(ShutdownMode::Clean).await?;
        guest.wait_until_reachable().await?;
        then.booted_anew(guest.as_ref()).await?;
        self.0.write(2).await?;
        guest.shutdown(ShutdownMode::Hard).await?;
        cx.step("Revert, and go on from there");
        snapshots.revert(&snapshot).await?;
        bring_up(guest.as_ref()).await?;
        then.went_on(guest.as_ref()).await?;
        self.0.holds(1).await?;
        Ok(guest.check().await?)
    }
}
