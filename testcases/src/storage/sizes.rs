//! Disks of every size.

use xenrt::prelude::*;

use crate::support::{Subject, in_round};

/// A disk has the size that it was given, to the byte, whatever the size: its last sector can be written
/// and read, and nothing can be written or read beyond it.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux).
#[testcase(
    id = "storage.sizes",
    timeout = "1h",
    requires(disk_hotplug),
    claims(guest = "exclusive"),
    tags("storage")
)]
struct Sizes {
    subject: Subject,
}

const SECTOR: u64 = 512;

/// A whole number of each unit, one sector and one page more than that, and one beyond 32 bits of bytes
/// (such disks are sparse files and cost nothing).
const SIZES: [Memory; 5] = [
    Memory::mib(1),
    Memory::bytes((1 << 20) + SECTOR),
    Memory::bytes((8 << 20) + 4096),
    Memory::mib(100),
    Memory::bytes((4 << 30) + (1 << 20)),
];

#[async_trait]
impl TestCase for Sizes {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { subject: Subject::take(cx).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        for (round, size) in (1..).zip(SIZES) {
            cx.step(format!("Attach a disk of {} bytes", size.as_bytes()));
            once(guest, size).await.map_err(in_round(round, SIZES.len() as u32))?;
        }
        Ok(guest.check().await?)
    }
}

async fn once(guest: &dyn Guest, size: Memory) -> Result {
    let disk = guest.attach_disk(DiskSpec::new(size)).await?;
    let path = format!("/dev/{}", disk.device);
    let wrong = |what: String| {
        let (name, bytes) = (guest.name(), size.as_bytes());
        TestError::product(format!("disk {} of guest {name}, {bytes} bytes: {what}", disk.device))
    };
    let read = Command::new("cat").arg(format!("/sys/block/{}/size", disk.device));
    let shell = guest.shell().await?;
    let said = shell.text(&read.deadline(Duration::from_secs(60))).await?;
    // In units of 512 bytes, whatever the sectors of the disk are (Linux, Documentation/ABI/stable).
    let seen = said.trim().parse::<u64>().ok().map(|sectors| sectors * SECTOR);
    if seen != Some(size.as_bytes()) {
        return Err(wrong(format!("the guest sees {said:?} sectors")));
    }
    let last = size.as_bytes() / SECTOR - 1;
    let dd = |end: &str, place: &str, at: u64| {
        let dd = Command::new("dd").args([format!("{end}={path}"), format!("bs={SECTOR}")]);
        let dd = dd.args([format!("{place}={at}"), "count=1".to_owned()]);
        dd.deadline(Duration::from_secs(120))
    };
    let mark = vec![0xa5; SECTOR as usize];
    let write = |at| dd("of", "seek", at).arg("conv=notrunc,fsync").stdin(mark.clone());
    if !shell.succeeds(&write(last)).await? {
        return Err(wrong("its last sector cannot be written".to_owned()));
    }
    if shell.run(&dd("if", "skip", last)).await?.stdout != mark {
        return Err(wrong("its last sector does not hold what was written to it".to_owned()));
    }
    if shell.succeeds(&write(last + 1)).await? {
        return Err(wrong("a sector beyond its end was written".to_owned()));
    }
    Ok(guest.detach_disk(&disk.device).await?)
}
