//! Many guests on the storage of one host at the same time.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use xenrt::prelude::*;

use super::SIZE;
use crate::support::{Pattern, count, in_round, several_up, within};

/// What each guest does with its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    Write,
}

/// Many guests write to or read from a disk of their own at the same time. Each must read what it wrote
/// itself, and no guest may get less than `least`; what all of them get together is kept as a value.
///
/// The original measured with a program of its own (synexec) and left the verdict to a database; here it
/// is dd, through to the disk.
///
/// Arguments: `distro` (generic-linux), `numvms`: guests (3), `op` (write; also read), `loops` (2),
/// `least` in MiB/s (0.01).
#[testcase(
    id = "storage.concurrent_io",
    legacy = "testcases.xenserver.tc.perf.tc_diskconc.TCDiskConcurrent",
    timeout = "4h",
    requires(disk_hotplug),
    tags("storage", "performance", "concurrency")
)]
struct ConcurrentIo {
    guests: Vec<(Arc<dyn Guest>, String)>,
    operation: Operation,
    loops: u32,
    least: f64,
}

#[async_trait]
impl TestCase for ConcurrentIo {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let (count, loops, least) =
            (count(cx, "numvms", 3)?, count(cx, "loops", 2)?, args.get_or("least", 0.01)?);
        let words = [("write", Operation::Write), ("read", Operation::Read)];
        let operation = args.choice("op", &words)?.unwrap_or(Operation::Write);
        let mut guests = Vec::new();
        for guest in several_up(cx, count).await? {
            let disk = guest.attach_disk(DiskSpec::new(SIZE)).await?;
            guests.push((guest, disk.device));
        }
        Ok(Self { guests, operation, loops, least })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut rates = Vec::new();
        for round in 1..=self.loops {
            cx.step(format!(
                "{:?} on {} guests at once, round {round}",
                self.operation,
                self.guests.len()
            ));
            rates.push(self.once(round).await.map_err(in_round(round, self.loops))?);
        }
        let together = crate::measure::median(&rates).unwrap_or_default();
        cx.value("throughput of all guests, median", together, "MiB/s");
        Ok(())
    }
}

impl ConcurrentIo {
    /// What all guests got together, in MiB/s.
    async fn once(&self, round: u32) -> Result<f64> {
        let pattern = |name: &str| {
            // FNV-1a: another seed for each guest and round.
            let own = name.bytes().fold(u64::from(round), |seed, byte| {
                (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
            Pattern::new(own, SIZE)
        };
        let device = |name: &str| {
            let own = self.guests.iter().find(|(guest, _)| guest.name() == name);
            own.map(|(_, device)| device.clone()).unwrap_or_default()
        };
        let guests: Vec<Arc<dyn Guest>> =
            self.guests.iter().map(|(guest, _)| Arc::clone(guest)).collect();
        let all = guests.len() as u32;
        let mib = Pattern::amount().as_bytes() as f64 / (1 << 20) as f64;
        if self.operation == Operation::Read {
            within(&guests, all, "write", |guest| async move {
                let name = guest.name();
                pattern(&name).write(guest.as_ref(), &device(&name)).await
            })
            .await?;
        }
        let rates = Mutex::new(Vec::new());
        within(&guests, all, "do its I/O", |guest| {
            let rates = &rates;
            async move {
                let (name, began) = (guest.name(), Instant::now());
                let (pattern, device) = (pattern(&name), device(&name));
                match self.operation {
                    Operation::Write => pattern.write(guest.as_ref(), &device).await?,
                    Operation::Read => pattern.verify(guest.as_ref(), &device).await?,
                }
                let rate = mib / began.elapsed().as_secs_f64().max(1e-6);
                if rate < self.least {
                    let message = format!("it gets {rate:.3} MiB/s; {} are the least", self.least);
                    return Err(TestError::product(message));
                }
                rates.lock().unwrap_or_else(PoisonError::into_inner).push(rate);
                Ok(())
            }
        })
        .await?;
        if self.operation == Operation::Write {
            within(&guests, all, "read what it wrote", |guest| async move {
                let name = guest.name();
                pattern(&name).verify(guest.as_ref(), &device(&name)).await
            })
            .await?;
        }
        Ok(rates.into_inner().unwrap_or_else(PoisonError::into_inner).iter().sum())
    }
}
