//! Tests of how much a host takes, and how it bears it.

mod networks;

use tokio::time::Instant;
use xenrt::prelude::*;
use xenrt::{Error, ToolstackErrorKind};

use crate::measure::{Drift, Trend, median};
use crate::support::{Timings, boot_id, count, guest_spec, several, several_up, start_all, within};

/// Nothing where each guest is what it should be, and no two of them are the same machine.
async fn all_themselves(guests: &[Arc<dyn Guest>]) -> Result {
    let mut boots: Vec<(String, String)> = Vec::new();
    for guest in guests {
        guest.check().await?;
        let boot = boot_id(guest.as_ref()).await?;
        if let Some((_, other)) = boots.iter().find(|(known, _)| *known == boot) {
            let message = format!("logins into {} and {other} lead to one machine", guest.name());
            return Err(TestError::product(message));
        }
        boots.push((boot, guest.name()));
    }
    Ok(())
}

/// Many guests are started at the same time: every one comes up, is what it should be, and is a machine
/// of its own. How long each took is kept.
///
/// Arguments: `distro` (generic-linux), `numdesktops`: guests (8), `workers`: starts at once (8), `loops`
/// (1).
#[testcase(
    id = "scalability.parallel_starts",
    legacy(
        "testcases.xenserver.tc.perf.tc_vmstart.TCTimeVMStarts",
        "testcases.xenserver.tc.perf.custom.TCTimeVMStarts"
    ),
    timeout = "4h",
    tags("scalability", "performance", "concurrency")
)]
struct ParallelStarts {
    guests: Vec<Arc<dyn Guest>>,
    workers: u32,
    loops: u32,
}

#[async_trait]
impl TestCase for ParallelStarts {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (workers, loops) = (count(cx, "workers", 8)?, count(cx, "loops", 1)?);
        let guests = several(cx, count(cx, "numdesktops", 8)?).await?;
        Ok(Self { guests, workers, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut times = Timings::default();
        for round in 1..=self.loops {
            cx.step(format!("Start {} guests, {} at once", self.guests.len(), self.workers));
            let each = std::sync::Mutex::new(Vec::new());
            let began = Instant::now();
            within(&self.guests, self.workers, "come up", |guest| {
                let each = &each;
                async move {
                    let began = Instant::now();
                    guest.start().await?;
                    guest.wait_until_reachable().await?;
                    let took = began.elapsed();
                    each.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(took);
                    Ok(())
                }
            })
            .await?;
            times.note("all up", began.elapsed());
            for took in each.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
                times.note("one up", took);
            }
            all_themselves(&self.guests).await?;
            if round < self.loops {
                within(&self.guests, self.workers, "shut down", |guest| async move {
                    Ok(guest.shutdown(ShutdownMode::Clean).await?)
                })
                .await?;
            }
        }
        times.tell(cx);
        Ok(())
    }
}

/// All guests of a host reboot at the same time, as after an update or a power cut: every one comes back,
/// booted anew, is what it should be, and is a machine of its own.
///
/// Arguments: `distro` (generic-linux), `guests` (6), `loops` (2).
#[testcase(
    id = "scalability.boot_storm",
    timeout = "4h",
    tags("scalability", "concurrency", "stress")
)]
struct BootStorm {
    guests: Vec<Arc<dyn Guest>>,
    loops: u32,
}

#[async_trait]
impl TestCase for BootStorm {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (count, loops) = (count(cx, "guests", 6)?, count(cx, "loops", 2)?);
        Ok(Self { guests: several_up(cx, count).await?, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut times = Timings::default();
        for round in 1..=self.loops {
            cx.step(format!("Reboot {} guests at once, round {round}", self.guests.len()));
            let storm =
                within(&self.guests, self.guests.len() as u32, "reboot", |guest| async move {
                    let before = boot_id(guest.as_ref()).await?;
                    guest.reboot(ShutdownMode::Clean).await?;
                    guest.wait_until_reachable().await?;
                    if boot_id(guest.as_ref()).await? == before {
                        return Err(TestError::product("it still runs the boot from before"));
                    }
                    Ok(())
                });
            times.of("all back", storm).await?;
            all_themselves(&self.guests).await?;
        }
        times.tell(cx);
        Ok(())
    }
}

/// Guests are started one after the other, and the time of each start is measured while those before it
/// run. A start must not become slower with every guest that runs: the trend is fitted, and it fails
/// where the time surely grows, by more than `growth` of what the first starts took with each guest.
///
/// Arguments: `distro` (generic-linux), `guests` (10), `growth` as a share (0.2).
#[testcase(
    id = "scalability.start_times",
    timeout = "4h",
    claims(host = "exclusive"),
    tags("scalability", "performance")
)]
struct StartTimes {
    guests: Vec<Arc<dyn Guest>>,
    growth: f64,
}

#[async_trait]
impl TestCase for StartTimes {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (count, growth): (u32, f64) =
            (count(cx, "guests", 10)?, cx.args().get_or("growth", 0.2)?);
        if count < 6 {
            let problem = format!("`guests` is {count}; a trend needs 6 at least");
            return Err(TestError::test(problem));
        }
        Ok(Self { guests: several(cx, count).await?, growth })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut times = Timings::default();
        for (running, guest) in self.guests.iter().enumerate() {
            cx.step(format!("Start a guest beside {running} others"));
            times.of("start", guest.start()).await?;
            guest.wait_until_reachable().await?;
        }
        times.tell(cx);
        let seconds = times.seconds("start");
        let first = &seconds[..seconds.len().min(3)];
        let (Some(trend), Some(first)) = (Trend::of(seconds), median(first)) else {
            return Err(TestError::infrastructure("no time was measured"));
        };
        cx.value("growth of a start with each guest", trend.slope * 1000.0, "ms");
        if trend.drift(first * self.growth) == Drift::Rises {
            return Err(TestError::product(format!(
                "each guest that runs makes the next start slower by {:.2} s (99 %: {:.2}..{:.2}); \
                 the first ones took {first:.2} s",
                trend.slope, trend.interval.0, trend.interval.1
            )));
        }
        all_themselves(&self.guests).await
    }
}

/// Guests are started until the host refuses one or `most` run. A refusal must be for want of memory and
/// leave no domain; all guests that run are undisturbed by it and by each other.
///
/// Arguments: `distro` (generic-linux), `most` (16), `workers`: starts at once (4), `memory` of each in
/// MiB (none: the image's).
#[testcase(
    id = "scalability.many_guests",
    timeout = "6h",
    claims(host = "exclusive"),
    tags("scalability")
)]
struct ManyGuests {
    host: Arc<dyn Host>,
    most: u32,
    workers: u32,
}

#[async_trait]
impl TestCase for ManyGuests {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (most, workers) = (count(cx, "most", 16)?, count(cx, "workers", 4)?);
        Ok(Self { host: cx.default_host()?, most, workers })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let memory: Option<Memory> = cx.args().get("memory")?;
        let mut running: Vec<Arc<dyn Guest>> = Vec::new();
        let before = self.host.domains().await?.len();
        while running.len() < self.most as usize {
            let left = self.most - running.len() as u32;
            let mut batch = Vec::new();
            for _ in 0..left.min(self.workers.max(1)) {
                let spec = guest_spec(cx)?;
                let spec = memory.map_or(spec.clone(), |memory| spec.memory(memory));
                batch.push(self.host.create_guest(&spec).await?);
            }
            cx.step(format!("Start {} guests beside {}", batch.len(), running.len()));
            let started = futures::future::join_all(batch.iter().map(|guest| guest.start())).await;
            let mut refused = false;
            for (guest, result) in batch.into_iter().zip(started) {
                match result {
                    Ok(()) => running.push(guest),
                    Err(Error::Toolstack { kind: ToolstackErrorKind::OutOfMemory, .. }) => {
                        refused = true;
                    }
                    Err(error) => {
                        let beside = running.len();
                        let message = format!("beside {beside} guests {}: {error}", guest.name());
                        return Err(TestError::product(message));
                    }
                }
            }
            for guest in &running {
                guest.wait_until_reachable().await?;
            }
            if refused {
                cx.info(format!("the host has no memory for more than {} guests", running.len()));
                break;
            }
        }
        cx.value("guests that ran at once", running.len() as f64, "");
        if running.is_empty() {
            return Err(TestError::infrastructure("the host has no memory for a single guest"));
        }
        let domains = self.host.domains().await?.len();
        if domains != before + running.len() {
            return Err(TestError::product(format!(
                "the host has {domains} domains, {} of them guests of this test and {before} before",
                running.len()
            )));
        }
        all_themselves(&running).await
    }
}

/// Guests are made, started, stopped and deleted by many at the same time, over and over; at the end none
/// is left, and each was itself all the time.
///
/// Arguments: `distro` (generic-linux), `workers` (4), `loops` (2).
#[testcase(
    id = "scalability.concurrent_lives",
    timeout = "4h",
    claims(host = "exclusive"),
    tags("scalability", "concurrency", "stress")
)]
struct ConcurrentLives {
    host: Arc<dyn Host>,
    workers: u32,
    loops: u32,
}

#[async_trait]
impl TestCase for ConcurrentLives {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (workers, loops) = (count(cx, "workers", 4)?, count(cx, "loops", 2)?);
        Ok(Self { host: cx.default_host()?, workers, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let before = self.host.domains().await?.len();
        for round in 1..=self.loops {
            cx.step(format!("{} lives at once, round {round} of {}", self.workers, self.loops));
            let guests = several(cx, self.workers).await?;
            start_all(&guests, self.workers).await?;
            all_themselves(&guests).await?;
            within(&guests, self.workers, "end", |guest| async move {
                guest.shutdown(ShutdownMode::Clean).await?;
                Ok(guest.delete().await?)
            })
            .await?;
            let left = self.host.domains().await?.len();
            if left != before {
                let message = format!("the host has {left} domains, before {before}");
                return Err(TestError::product(message));
            }
            let names: Vec<String> = guests.iter().map(|guest| guest.name()).collect();
            let listed = self.host.guests().await?;
            if let Some(left) = listed.iter().find(|guest| names.contains(&guest.name())) {
                let message = format!("guest {} is listed and was deleted", left.name());
                return Err(TestError::product(message));
            }
        }
        Ok(())
    }
}
