//! Disks that come and go while a guest runs.

use xenrt::model::Undo;
use xenrt::prelude::*;

use super::{SIZE, can_write};
use crate::support::{Pattern, Subject, Timings, Witness, count, guest_spec, in_round, up};

/// Disks are attached to a running guest, up to `max`, each filled with data of its own, and detached
/// again. After each change every disk that is there holds what was written to it and not what was
/// written to another one, and what was made for a detached disk is gone from the host.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `initial`: disks at first (2), `max`
/// (4), `size` of each in MiB (16).
#[testcase(
    id = "storage.multiple_disks",
    legacy = "testcases.xenserver.storage.TCMultipleVDI",
    timeout = "2h",
    requires(disk_hotplug),
    claims(guest = "exclusive"),
    tags("storage", "hotplug")
)]
struct MultipleDisks {
    subject: Subject,
    initial: usize,
    max: usize,
    size: Memory,
}

#[async_trait]
impl TestCase for MultipleDisks {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let (initial, max) = (args.get_or("initial", 2)?, args.get_or("max", 4)?);
        let size: Memory = args.get_or("size", SIZE)?;
        if max == 0 || initial > max || size < Memory::mib(1) {
            let problem = format!("`initial` is {initial} of at most {max}, `size` {size}");
            return Err(TestError::test(problem + "; sizes begin at 1 MiB"));
        }
        Ok(Self { subject: Subject::take(cx).await?, initial, max, size })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        let mut disks = Vec::new();
        let mut times = Timings::default();
        for number in 1..=self.max {
            cx.step(format!("Attach disk {number} of {}", self.max));
            let disk = times.of("attach", guest.attach_disk(DiskSpec::new(self.size))).await?;
            let pattern = Pattern::new(number as u64, self.size);
            pattern.verify_blank(guest, &disk.device).await?;
            pattern.write(guest, &disk.device).await?;
            disks.push((disk, pattern));
            if number >= self.initial {
                verify_all(guest, &disks).await?;
            }
        }
        // From the middle: what is left must not move up.
        while !disks.is_empty() {
            let (disk, _) = disks.remove(disks.len() / 2);
            cx.step(format!("Detach {}", disk.device));
            times.of("detach", guest.detach_disk(&disk.device)).await?;
            if guest.host().dom0().exists(&disk.path).await? {
                let message =
                    format!("{} is detached and {} is still there", disk.device, disk.path);
                return Err(TestError::product(message));
            }
            verify_all(guest, &disks).await?;
        }
        times.tell(cx);
        witness.went_on(guest).await
    }
}

async fn verify_all(guest: &dyn Guest, disks: &[(xenrt::model::Disk, Pattern)]) -> Result {
    for (disk, pattern) in disks {
        pattern.verify(guest, &disk.device).await?;
    }
    Ok(())
}

/// A disk that belongs to nobody is attached to a guest, written, detached, and attached again, over
/// and over: each time it holds what was written to it the time before.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (4).
#[testcase(
    id = "storage.disk_travels",
    timeout = "1h",
    requires(disk_hotplug),
    claims(guest = "exclusive"),
    tags("storage", "hotplug")
)]
struct DiskTravels {
    subject: Subject,
    path: String,
    loops: u32,
}

#[async_trait]
impl TestCase for DiskTravels {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = count(cx, "loops", 4)?;
        let subject = Subject::take(cx).await?;
        let dom0 = subject.guest.host().dom0();
        let path = format!("/tmp/xenrt-disk-{}", subject.guest.uuid());
        dom0.write_file(&path, &vec![0; SIZE.as_bytes() as usize], 0o600).await?;
        let file = path.clone();
        cx.on_cleanup(Undo::new(format!("remove {path}"), move || async move {
            dom0.run(&Command::new("rm").args(["-f", &file])).await?;
            Ok(())
        }));
        Ok(Self { subject, path, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        for round in 1..=self.loops {
            cx.step(format!("Attach, verify, write and detach, round {round}"));
            self.once(guest, u64::from(round)).await.map_err(in_round(round, self.loops))?;
        }
        if !guest.host().dom0().exists(&self.path).await? {
            let message =
                format!("{} went with its last attachment, and was not its own", self.path);
            return Err(TestError::product(message));
        }
        Ok(())
    }
}

impl DiskTravels {
    async fn once(&self, guest: &dyn Guest, round: u64) -> Result {
        let disk = guest.attach_disk(DiskSpec::existing(&self.path)).await?;
        if round > 1 {
            Pattern::new(round - 1, SIZE).verify(guest, &disk.device).await?;
        }
        Pattern::new(round, SIZE).write(guest, &disk.device).await?;
        Ok(guest.detach_disk(&disk.device).await?)
    }
}

/// A new disk is blank: what a guest wrote to a disk that was removed since is not on the next one,
/// be it of the same guest or of another.
///
/// Arguments: `distro` (generic-linux), `loops` (3).
#[testcase(
    id = "storage.new_disk_is_blank",
    timeout = "1h",
    requires(disk_hotplug),
    tags("storage", "security")
)]
struct NewDiskIsBlank {
    guests: [Arc<dyn Guest>; 2],
    loops: u32,
}

#[async_trait]
impl TestCase for NewDiskIsBlank {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = count(cx, "loops", 3)?;
        let host = cx.default_host()?;
        let guests = [up(&host, &guest_spec(cx)?).await?, up(&host, &guest_spec(cx)?).await?];
        Ok(Self { guests, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        for round in 1..=self.loops {
            cx.step(format!("Write a disk, remove it, and look at a new one, round {round}"));
            for guest in &self.guests {
                let disk = guest.attach_disk(DiskSpec::new(SIZE)).await?;
                let pattern = Pattern::new(u64::from(round), SIZE);
                pattern.verify_blank(guest.as_ref(), &disk.device).await?;
                pattern.write(guest.as_ref(), &disk.device).await?;
                guest.detach_disk(&disk.device).await?;
            }
        }
        Ok(())
    }
}

/// A disk that is attached read-only can be read and not written, from inside and with the best of
/// wills; one that is not can.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux).
#[testcase(
    id = "storage.read_only",
    timeout = "30m",
    requires(disk_hotplug),
    claims(guest = "exclusive"),
    tags("storage", "security")
)]
struct ReadOnly {
    subject: Subject,
}

#[async_trait]
impl TestCase for ReadOnly {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { subject: Subject::take(cx).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let writable = guest.attach_disk(DiskSpec::new(SIZE)).await?;
        let read_only = guest.attach_disk(DiskSpec::new(SIZE).read_only()).await?;
        cx.step("Write to both");
        if !can_write(guest, &writable.device).await? {
            let message = format!("{} is writable and cannot be written", writable.device);
            return Err(TestError::product(message));
        }
        if can_write(guest, &read_only.device).await? {
            let message = format!("{} is read-only and was written", read_only.device);
            return Err(TestError::product(message));
        }
        Pattern::new(0, SIZE).verify_blank(guest, &read_only.device).await?;
        guest.detach_disk(&read_only.device).await?;
        Ok(guest.detach_disk(&writable.device).await?)
    }
}
