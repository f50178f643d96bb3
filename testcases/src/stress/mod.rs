//! Tests that do many things in an order that nobody chose.

mod load;
mod workloads;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;
use xenrt::prelude::*;
use xenrt::testcase::FromArg as _;

use crate::support::{Subject, Witness, bring_up, count};

/// One thing that is done to a guest that is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Pause,
    Suspend,
    Reboot,
    Reset,
    Restart,
    PowerCut,
    Migrate,
    VifHotplug,
    DiskHotplug,
}

impl Deed {
    /// What can be done to this guest, on these hosts.
    fn possible(guest: &dyn Guest, hosts: &[Arc<dyn Host>]) -> Vec<Self> {
        let host = guest.host();
        let has = |ability| host.abilities().has(ability);
        let mut deeds = vec![Self::Pause, Self::Reboot, Self::Reset, Self::Restart, Self::PowerCut];
        deeds.extend(has(Ability::Suspend).then_some(Self::Suspend));
        deeds.extend((has(Ability::LiveMigration) && hosts.len() > 1).then_some(Self::Migrate));
        deeds.extend(has(Ability::VifHotplug).then_some(Self::VifHotplug));
        deeds.extend(has(Ability::DiskHotplug).then_some(Self::DiskHotplug));
        deeds
    }

    /// Whether the guest goes on through it.
    fn goes_on(self) -> bool {
        !matches!(self, Self::Reboot | Self::Reset | Self::Restart | Self::PowerCut)
    }

    async fn carry_out(self, guest: &dyn Guest, hosts: &[Arc<dyn Host>]) -> Result {
        match self {
            Self::Pause => {
                guest.pause().await?;
                guest.unpause().await?;
            }
            Self::Suspend => {
                guest.suspend().await?;
                guest.resume().await?;
            }
            Self::Reboot => guest.reboot(ShutdownMode::Clean).await?,
            Self::Reset => guest.reboot(ShutdownMode::Hard).await?,
            Self::Restart => {
                guest.shutdown(ShutdownMode::Clean).await?;
                guest.start().await?;
            }
            Self::PowerCut => {
                guest.shutdown(ShutdownMode::Hard).await?;
                guest.start().await?;
            }
            Self::Migrate => {
                let here = guest.host();
                let target = hosts.iter().find(|host| host.name() != here.name());
                let missing = || TestError::infrastructure("there is no other host");
                guest.migrate(target.ok_or_else(missing)?).await?;
            }
            Self::VifHotplug => {
                let vif = guest.attach_vif(VifSpec::on_default()).await?;
                guest.detach_vif(vif.mac).await?;
            }
            Self::DiskHotplug => {
                let disk = guest.attach_disk(DiskSpec::new(Memory::mib(8))).await?;
                guest.detach_disk(&disk.device).await?;
            }
        }
        Ok(())
    }
}

/// What both tests do: deeds one after the other, with everything looked at after each.
#[derive(Debug)]
struct Mixed {
    subject: Subject,
    hosts: Vec<Arc<dyn Host>>,
    seed: u64,
}

impl Mixed {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let seed = cx.args().get_or("seed", 1)?;
        let peer: Option<String> = cx.args().get("peerhost")?;
        let subject = Subject::take(cx).await?;
        let mut hosts = vec![subject.guest.host()];
        if let Some(peer) = peer {
            let peer = cx.host(&peer)?;
            if hosts.iter().all(|host| host.name() != peer.name()) {
                hosts.push(peer);
            }
        }
        Ok(Self { subject, hosts, seed })
    }

    /// Does deeds until there were `most` of them or the time is over.
    async fn run(&self, cx: &TestContext, most: Option<u32>, duration: Duration) -> Result {
        let guest = self.subject.guest.as_ref();
        let home = guest.host();
        let mut rng = StdRng::seed_from_u64(self.seed);
        let began = Instant::now();
        let mut done: Vec<Deed> = Vec::new();
        while most.map_or(began.elapsed() < duration, |most| (done.len() as u32) < most) {
            let deeds = Deed::possible(guest, &self.hosts);
            let Some(deed) = deeds.choose(&mut rng).copied() else { break };
            let number = done.len() + 1;
            cx.step(format!("{number}: {deed:?}"));
            done.push(deed);
            self.once(deed).await.map_err(|error| {
                let last: Vec<String> =
                    done.iter().rev().take(5).rev().map(|deed| format!("{deed:?}")).collect();
                let history = format!(
                    "operation {number} with seed {} (the last ones: {})",
                    self.seed,
                    last.join(", ")
                );
                error.context(history)
            })?;
        }
        cx.value("operations", done.len() as f64, "");
        bring_up(guest).await?;
        if guest.host().name() != home.name() {
            guest.migrate(&home).await?;
        }
        Ok(guest.check().await?)
    }

    async fn once(&self, deed: Deed) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        deed.carry_out(guest, &self.hosts).await?;
        guest.wait_until_reachable().await?;
        if deed.goes_on() {
            witness.went_on(guest).await?;
        } else {
            witness.booted_anew(guest).await?;
        }
        Ok(guest.check().await?)
    }
}

/// What can be done to a guest is done in an order that only the seed knows, for `duration` or
/// `operations` times: after each operation the guest has gone on or booted anew as it should have, and
/// everything about it is checked. A failure names the seed, with which the order is the same again.
///
/// A plain number as `duration` is hours, as in the original.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `duration` (30m), `operations` (none: as
/// many as there is time for), `seed` (1), `peerhost` to migrate to (none).
#[testcase(
    id = "stress.mixed_operations",
    legacy = "testcases.xenserver.guest.TCMixops",
    timeout = "72h",
    claims(guest = "exclusive"),
    tags("stress", "soak", "lifecycle")
)]
struct MixedOperations(Mixed);

#[async_trait]
impl TestCase for MixedOperations {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Mixed::prepare(cx).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let most: Option<u32> = cx.args().get("operations")?;
        let duration = match cx.args().get::<String>("duration")? {
            None => Duration::from_secs(1800),
            // As the original has it; everything else has a unit.
            Some(text) => match text.trim().parse::<u32>() {
                Ok(hours) => Duration::from_secs(3600 * u64::from(hours)),
                Err(_) => Duration::from_arg(&text).map_err(|expected| {
                    TestError::test(format!("`duration` is {text:?}, which is not {expected}"))
                })?,
            },
        };
        self.0.run(cx, most, duration).await
    }
}

/// As stress.mixed_operations, for a number of iterations.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `iterations` (20), `seed` (1),
/// `peerhost` to migrate to (none).
#[testcase(
    id = "stress.lifecycle_loop",
    legacy = "testcases.xenserver.guest.TCLifeCycleLoop",
    timeout = "24h",
    claims(guest = "exclusive"),
    tags("stress", "lifecycle")
)]
struct LifecycleLoop(Mixed);

#[async_trait]
impl TestCase for LifecycleLoop {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Mixed::prepare(cx).await.map(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let iterations = count(cx, "iterations", 20)?;
        self.0.run(cx, Some(iterations), Duration::ZERO).await
    }
}

/// A guest is interrupted at moments that only the seed knows, in the middle of its boot: it is powered
/// off then, and must have no domain; and in the end it boots as ever.
///
/// Arguments: `distro` (generic-linux), `loops` (6), `seed` (1), `longest` until the interruption (10s).
#[testcase(id = "stress.interrupted_boots", timeout = "2h", tags("stress", "lifecycle"))]
struct InterruptedBoots {
    guest: Arc<dyn Guest>,
    loops: u32,
    seed: u64,
    longest: Duration,
}

#[async_trait]
impl TestCase for InterruptedBoots {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let (loops, seed) = (count(cx, "loops", 6)?, args.get_or("seed", 1)?);
        let longest = args.get_or("longest", Duration::from_secs(10))?;
        let guest = cx.default_host()?.create_guest(&crate::support::guest_spec(cx)?).await?;
        Ok(Self { guest, loops, seed, longest })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        let mut rng = StdRng::seed_from_u64(self.seed);
        for round in 1..=self.loops {
            let after = self.longest.mul_f64(rng.random::<f64>());
            cx.step(format!("Cut the power {:.1} s after the start", after.as_secs_f64()));
            let once = async {
                guest.start().await?;
                // The moment itself is what is tried; it is counted where the guest runs.
                let wait = Command::new("sleep").arg(format!("{:.2}", after.as_secs_f64()));
                let wait = wait.deadline(after + Duration::from_secs(60));
                guest.host().dom0().run(&wait).await?;
                guest.shutdown(ShutdownMode::Hard).await?;
                Ok(guest.check().await?)
            };
            once.await.map_err(crate::support::in_round(round, self.loops))?;
        }
        cx.step("Let it boot");
        guest.start().await?;
        guest.wait_until_reachable().await?;
        Ok(guest.check().await?)
    }
}
