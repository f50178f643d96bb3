//! Storage without room.

use xenrt::model::Undo;
use xenrt::prelude::*;

use super::SIZE;
use crate::support::{Pattern, Subject, Witness, needs_programs, unmount};

/// The storage of the host under a disk is full before the disk is: the guest is told so, or is paused until
/// there is room, and not left to believe that something was written; another disk on that storage keeps
/// what it has; and when there is room, the disk can be written to its end.
///
/// The storage is a file system in the memory of dom0, with a file beside the disks that takes the room.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux).
#[testcase(
    id = "storage.host_full",
    timeout = "1h",
    requires(disk_hotplug),
    claims(guest = "exclusive"),
    tags("storage", "fault")
)]
struct HostFull {
    subject: Subject,
    storage: Storage,
}

/// A file system in the memory of dom0.
#[derive(Debug)]
struct Storage {
    folder: String,
}

/// What it holds, in MiB; the file that takes the room; and the disk that has no room, which says that it is
/// as large as this and has no block at first.
const ROOM: u64 = 96;
const FILLER: u64 = 56;
const DISK: u64 = 64;

const MINUTES: Duration = Duration::from_secs(300);

#[async_trait]
impl TestCase for HostFull {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let host = cx.default_host()?;
        let dom0 = host.dom0();
        let programs = ["fallocate", "truncate", "mountpoint"];
        needs_programs(dom0.as_ref(), &programs, "make a storage of").await?;
        let subject = Subject::take(cx).await?;
        let storage = Storage::make(cx, subject.guest.as_ref()).await?;
        Ok(Self { subject, storage })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let dom0 = guest.host().dom0();
        let witness = Witness::leave(guest).await?;
        let kept = guest.attach_disk(DiskSpec::existing(self.storage.path("kept"))).await?;
        let large = guest.attach_disk(DiskSpec::existing(self.storage.path("large"))).await?;
        let pattern = Pattern::new(0xf011, SIZE);
        pattern.write(guest, &kept.device).await?;
        cx.step("Write more to a disk than its storage has room for");
        let shell = guest.shell().await?;
        let fill = Command::new("dd").args(["if=/dev/zero", "bs=1048576", "conv=fsync"]);
        let fill = fill.arg(format!("of=/dev/{}", large.device)).arg(format!("count={DISK}"));
        let fill = fill.deadline(MINUTES);
        let mut writing = std::pin::pin!(shell.execute(&fill));
        let paused = guest.wait_for_state(PowerState::Paused, MINUTES);
        let said = tokio::select! {
            said = &mut writing => Some(said?),
            paused = paused => {
                paused?;
                None
            }
        };
        if said.as_ref().is_some_and(|said| said.status.success()) {
            return Err(TestError::product(format!(
                "guest {} wrote {DISK} MiB to {}, whose storage has no room for them",
                guest.name(),
                large.device
            )));
        }
        cx.info(match said {
            Some(_) => "the guest was told",
            None => "the guest was paused",
        });
        cx.step("Make room");
        dom0.run(&Command::new("rm").arg(self.storage.path("filler")).deadline(MINUTES)).await?;
        let again = match said {
            Some(_) => shell.execute(&fill).await?,
            None => {
                guest.unpause().await?;
                writing.await?
            }
        };
        if !again.status.success() {
            return Err(TestError::product(format!(
                "guest {} cannot write to {} though there is room: {}",
                guest.name(),
                large.device,
                again.error_text().trim()
            )));
        }
        pattern.verify(guest, &kept.device).await?;
        witness.went_on(guest).await?;
        guest.detach_disk(&large.device).await?;
        guest.detach_disk(&kept.device).await?;
        Ok(guest.check().await?)
    }
}

impl Storage {
    /// Makes it, with two disks in it and the file that takes the room.
    async fn make(cx: &TestContext, guest: &dyn Guest) -> Result<Self> {
        let dom0 = guest.host().dom0();
        let own = Self { folder: format!("/tmp/xenrt-full-{}", guest.uuid()) };
        let (shell, folder) = (Arc::clone(&dom0), own.folder.clone());
        cx.on_cleanup(Undo::new(format!("remove the storage {folder}"), move || async move {
            let unmount = unmount(&folder);
            shell.run(&Command::shell_line(unmount).deadline(MINUTES)).await?;
            shell.run(&Command::new("rm").args(["-rf", &folder]).deadline(MINUTES)).await?;
            Ok(())
        }));
        let folder = &own.folder;
        dom0.run(&Command::new("mkdir").arg(folder).deadline(MINUTES)).await?;
        let size = format!("size={ROOM}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs", folder]);
        dom0.run(&mount.deadline(MINUTES)).await?;
        dom0.write_file(&own.path("kept"), &vec![0; SIZE.as_bytes() as usize], 0o600).await?;
        dom0.write_file(&own.path("large"), &[], 0o600).await?;
        let grow = Command::new("truncate").args(["-s", &format!("{DISK}M"), &own.path("large")]);
        dom0.run(&grow.deadline(MINUTES)).await?;
        let filler = Command::new("fallocate").args(["-l", &format!("{FILLER}M")]);
        dom0.run(&filler.arg(own.path("filler")).deadline(MINUTES)).await?;
        Ok(own)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}
