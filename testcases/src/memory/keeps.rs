//! Memory that outlives what happens to its guest.

use xenrt::model::Undo;
use xenrt::prelude::*;

use crate::support::{Subject, count, in_round, noise};

/// A file in the memory of a guest.
const BALLAST: &str = "/run/xenrt-kept";

/// What a guest holds in memory is, byte for byte, what it held before it was paused, suspended and
/// saved, over and over, with other data in each round.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (2), `amount` in MiB (4).
#[testcase(
    id = "memory.kept_while_suspended",
    timeout = "2h",
    requires(suspend),
    claims(guest = "exclusive"),
    tags("memory", "integrity", "suspend")
)]
struct KeptWhileSuspended {
    subject: Subject,
    loops: u32,
    amount: Memory,
}

#[async_trait]
impl TestCase for KeptWhileSuspended {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (loops, amount) = (count(cx, "loops", 2)?, Memory::mib(count(cx, "amount", 4)?));
        let subject = Subject::take(cx).await?;
        let shell = subject.guest.shell().await?;
        cx.on_cleanup(Undo::new(format!("remove {BALLAST}"), move || async move {
            shell.run(&Command::new("rm").args(["-f", BALLAST])).await?;
            Ok(())
        }));
        Ok(Self { subject, loops, amount })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        for round in 1..=self.loops {
            cx.step(format!("Fill, pause, suspend and compare, round {round} of {}", self.loops));
            self.once(guest, round).await.map_err(in_round(round, self.loops))?;
        }
        Ok(())
    }
}

impl KeptWhileSuspended {
    async fn once(&self, guest: &dyn Guest, round: u32) -> Result {
        let shell = guest.shell().await?;
        let words = (self.amount.as_bytes() / 8) as usize;
        let written: Vec<u8> = noise(u64::from(round)).take(words).flatten().collect();
        shell.write_file(BALLAST, &written, 0o600).await?;
        guest.pause().await?;
        guest.unpause().await?;
        compare(guest, &written, "a pause").await?;
        guest.suspend().await?;
        guest.resume().await?;
        compare(guest, &written, "a suspend").await?;
        Ok(guest.check().await?)
    }
}

/// Nothing where the guest holds what was written.
async fn compare(guest: &dyn Guest, written: &[u8], moment: &str) -> Result {
    const PAGE: usize = 4096;
    let found = guest.shell().await?.read_file(BALLAST).await?;
    let first = written.chunks(PAGE).zip(found.chunks(PAGE)).position(|(a, b)| a != b);
    match first {
        None if found.len() == written.len() => Ok(()),
        None => Err(TestError::product(format!(
            "after {moment} guest {} holds {} bytes of {}",
            guest.name(),
            found.len(),
            written.len()
        ))),
        Some(page) => Err(TestError::product(format!(
            "after {moment} guest {} does not hold what it held in memory: page {page} of {} differs",
            guest.name(),
            written.len() / PAGE
        ))),
    }
}
