//! Disks that fail.

use xenrt::model::Undo;
use xenrt::prelude::*;

use super::SIZE;
use crate::support::{Pattern, Subject, Witness, needs_programs};

/// The storage under a disk fails while the guest runs: the guest is told so, with an error and not with
/// data that is not there; it lives on and so do its other disks; and what was on the disk is there when
/// the storage works again.
///
/// The device mapper of dom0 maps the disk to a file, then to `error`, then to the file again.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux).
#[testcase(
    id = "storage.io_error",
    timeout = "1h",
    requires(disk_hotplug),
    claims(guest = "exclusive"),
    tags("storage", "fault")
)]
struct IoError {
    subject: Subject,
    mapped: Mapped,
}

/// A disk of dom0 that can be made to fail.
#[derive(Debug)]
struct Mapped {
    /// Its name for the device mapper.
    name: String,
    /// The loop device under it.
    below: String,
}

const SECTORS: u64 = SIZE.as_bytes() / 512;

#[async_trait]
impl TestCase for IoError {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let host = cx.default_host()?;
        let dom0 = host.dom0();
        needs_programs(dom0.as_ref(), &["dmsetup", "losetup"], "make a disk fail").await?;
        let subject = Subject::take(cx).await?;
        let mapped = Mapped::make(cx, subject.guest.as_ref()).await?;
        Ok(Self { subject, mapped })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let dom0 = guest.host().dom0();
        let witness = Witness::leave(guest).await?;
        let sound = guest.attach_disk(DiskSpec::new(SIZE)).await?;
        let path = format!("/dev/mapper/{}", self.mapped.name);
        let disk = guest.attach_disk(DiskSpec::existing(&path)).await?;
        let pattern = Pattern::new(0x10e, SIZE);
        cx.step("Write to both disks");
        pattern.write(guest, &disk.device).await?;
        pattern.write(guest, &sound.device).await?;
        cx.step("Have the storage under one of them fail");
        self.mapped.switch(dom0.as_ref(), &failing()).await?;
        let read = Command::shell_line(format!(
            "echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/{} bs=4096 count=4 >/dev/null",
            disk.device
        ));
        let said = guest.shell().await?.execute(&read.deadline(Duration::from_secs(300))).await?;
        if said.status.success() {
            return Err(TestError::product(format!(
                "guest {} read from {} while the storage under it failed",
                guest.name(),
                disk.device
            )));
        }
        pattern.verify(guest, &sound.device).await?;
        witness.went_on(guest).await?;
        cx.step("Let it work again");
        self.mapped.switch(dom0.as_ref(), &self.mapped.linear()).await?;
        pattern.verify(guest, &disk.device).await?;
        guest.detach_disk(&disk.device).await?;
        guest.detach_disk(&sound.device).await?;
        witness.went_on(guest).await?;
        Ok(guest.check().await?)
    }
}

/// The table that fails every request (Linux, drivers/md/dm-target.c).
fn failing() -> String {
    format!("0 {SECTORS} error")
}

impl Mapped {
    async fn make(cx: &TestContext, guest: &dyn Guest) -> Result<Self> {
        let dom0 = guest.host().dom0();
        let name = format!("xenrt-{}", guest.uuid());
        let file = format!("/tmp/{name}");
        dom0.write_file(&file, &vec![0; SIZE.as_bytes() as usize], 0o600).await?;
        let (shell, path) = (Arc::clone(&dom0), file.clone());
        cx.on_cleanup(Undo::new(format!("remove {file}"), move || async move {
            shell.run(&Command::new("rm").args(["-f", &path])).await?;
            Ok(())
        }));
        let attach = Command::new("losetup").args(["--find", "--show", &file]);
        let below = dom0.text(&attach.deadline(Duration::from_secs(60))).await?.trim().to_owned();
        let (shell, device) = (Arc::clone(&dom0), below.clone());
        cx.on_cleanup(Undo::new(format!("detach {below}"), move || async move {
            shell.run(&Command::new("losetup").args(["--detach", &device])).await?;
            Ok(())
        }));
        let own = Self { name, below };
        let create = Command::new("dmsetup").args(["create", &own.name, "--table"]);
        dom0.run(&create.arg(own.linear()).deadline(Duration::from_secs(60))).await?;
        let (shell, name) = (dom0, own.name.clone());
        cx.on_cleanup(Undo::new(format!("remove the mapping {name}"), move || async move {
            // A backend that lets go of it just now is waited for.
            let remove = Command::new("dmsetup").args(["remove", "--retry", &name]);
            shell.run(&remove.deadline(Duration::from_secs(120))).await?;
            Ok(())
        }));
        Ok(own)
    }

    /// The table that leads to the file (Linux, Documentation/admin-guide/device-mapper/linear.rst).
    fn linear(&self) -> String {
        format!("0 {SECTORS} linear {} 0", self.below)
    }

    /// Puts another table in force.
    async fn switch(&self, dom0: &dyn Shell, table: &str) -> Result {
        let minute = Duration::from_secs(60);
        // Requests on their way are not waited for: they are to fail.
        let suspend = Command::new("dmsetup").args(["suspend", "--nolockfs", "--noflush"]);
        dom0.run(&suspend.arg(&self.name).deadline(minute)).await?;
        let load = Command::new("dmsetup").args(["load", &self.name, "--table", table]);
        dom0.run(&load.deadline(minute)).await?;
        dom0.run(&Command::new("dmsetup").args(["resume", &self.name]).deadline(minute)).await?;
        Ok(())
    }
}
