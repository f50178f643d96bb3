//! Data that outlives what happens to its guest.

use xenrt::prelude::*;

use super::SIZE;
use crate::support::{Pattern, count, guest_spec, in_round, up};

/// A guest with disks that hold data.
#[derive(Debug)]
struct WithData {
    guest: Arc<dyn Guest>,
    disks: Vec<(String, Pattern)>,
    loops: u32,
}

impl WithData {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (count, loops) = (count(cx, "disks", 2)?, count(cx, "loops", 2)?);
        let spec = (0..count).fold(guest_spec(cx)?, |spec, _: u32| spec.disk(DiskSpec::new(SIZE)));
        let guest = up(&cx.default_host()?, &spec).await?;
        let all = guest.view().await?.disks;
        let mut disks = Vec::new();
        // The image's own disks come first and are not ours to write.
        for (number, disk) in all.iter().skip(all.len().saturating_sub(count as usize)).enumerate()
        {
            let pattern = Pattern::new(100 + number as u64, SIZE);
            pattern.write(guest.as_ref(), &disk.device).await?;
            disks.push((disk.device.clone(), pattern));
        }
        Ok(Self { guest, disks, loops })
    }

    async fn verify(&self) -> Result {
        for (device, pattern) in &self.disks {
            pattern.verify(self.guest.as_ref(), device).await?;
        }
        Ok(self.guest.check().await?)
    }
}

/// What was written to the disks of a guest and synced is there after a reboot, a clean restart, and
/// after its power was cut.
///
/// Arguments: `distro` (generic-linux), `disks` (2), `loops` (2).
#[testcase(id = "storage.data_survives_restart", timeout = "2h", tags("storage", "integrity"))]
struct DataSurvivesRestart(WithData);

#[async_trait]
impl TestCase for DataSurvivesRestart {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        WithData::prepare(cx).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let (guest, loops) = (self.0.guest.as_ref(), self.0.loops);
        for round in 1..=loops {
            cx.step(format!("Reboot, restart and cut the power, round {round} of {loops}"));
            let once = async {
                guest.reboot(ShutdownMode::Clean).await?;
                guest.wait_until_reachable().await?;
                self.0.verify().await.map_err(|error| error.context("after a reboot"))?;
                for mode in [ShutdownMode::Clean, ShutdownMode::Hard] {
                    guest.shutdown(mode).await?;
                    guest.start().await?;
                    guest.wait_until_reachable().await?;
                    let after = format!("after a {mode:?} shutdown");
                    self.0.verify().await.map_err(|error| error.context(after))?;
                }
                Ok(())
            };
            once.await.map_err(in_round(round, loops))?;
        }
        Ok(())
    }
}

/// What was written to the disks of a guest is there after it was suspended and resumed, and can be
/// written anew.
///
/// Arguments: `distro` (generic-linux), `disks` (2), `loops` (2).
#[testcase(
    id = "storage.data_survives_suspend",
    timeout = "2h",
    requires(suspend),
    tags("storage", "integrity", "suspend")
)]
struct DataSurvivesSuspend(WithData);

#[async_trait]
impl TestCase for DataSurvivesSuspend {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        WithData::prepare(cx).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        for round in 1..=self.0.loops {
            cx.step(format!("Suspend, resume and verify, round {round} of {}", self.0.loops));
            let once = async {
                self.0.guest.suspend().await?;
                self.0.guest.resume().await?;
                self.0.verify().await
            };
            once.await.map_err(in_round(round, self.0.loops))?;
            for (device, pattern) in &mut self.0.disks {
                *pattern = Pattern::new(1000 * u64::from(round) + device.len() as u64, SIZE);
                pattern.write(self.0.guest.as_ref(), device).await?;
            }
        }
        self.0.verify().await
    }
}

/// A guest with many disks sees all of them under the names that it was given, each holds what was
/// written to it, and so it is after a reboot.
///
/// Arguments: `distro` (generic-linux), `disks` (8), `loops` (1).
#[testcase(id = "storage.many_disks", timeout = "2h", tags("storage", "scalability"))]
struct ManyDisks {
    guest: Arc<dyn Guest>,
    own: Vec<String>,
    loops: u32,
}

#[async_trait]
impl TestCase for ManyDisks {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (count, loops) = (count(cx, "disks", 8)?, count(cx, "loops", 1)?);
        let spec = (0..count).fold(guest_spec(cx)?, |spec, _: u32| spec.disk(DiskSpec::new(SIZE)));
        let guest = up(&cx.default_host()?, &spec).await?;
        let disks = guest.view().await?.disks;
        let first = disks.len().saturating_sub(count as usize);
        let own = disks[first..].iter().map(|disk| disk.device.clone()).collect();
        Ok(Self { guest, own, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        let pattern = |number: usize| Pattern::new(0xd15c_0000 + number as u64, SIZE);
        cx.step(format!("Write to {} disks", self.own.len()));
        for (number, device) in self.own.iter().enumerate() {
            pattern(number).write(guest, device).await?;
        }
        for round in 0..=self.loops {
            for (number, device) in self.own.iter().enumerate() {
                pattern(number).verify(guest, device).await?;
            }
            guest.check().await?;
            if round < self.loops {
                cx.step("Reboot");
                guest.reboot(ShutdownMode::Clean).await?;
                guest.wait_until_reachable().await?;
            }
        }
        Ok(())
    }
}
