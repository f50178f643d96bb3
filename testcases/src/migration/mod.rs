//! Tests of live migration.

mod interrupted;

use xenrt::prelude::*;

use crate::support::{
    Subject, Timings, Witness, bring_up, count, guest_spec, in_round, outage_during, several_up,
    skew, up, within,
};

/// Both hosts of a test.
fn both(cx: &TestContext) -> Result<(Arc<dyn Host>, Arc<dyn Host>)> {
    let hosts = cx.claimed_hosts()?;
    match hosts.as_slice() {
        [first, second, ..] => Ok((Arc::clone(first), Arc::clone(second))),
        _ => Err(TestError::infrastructure("a migration needs two hosts")),
    }
}

/// The one of two hosts that a guest is not on.
fn other(guest: &dyn Guest, hosts: &(Arc<dyn Host>, Arc<dyn Host>)) -> Arc<dyn Host> {
    let (first, second) = hosts;
    Arc::clone(if guest.host().name() == first.name() { second } else { first })
}

/// A guest is moved to another host and back while it runs, over and over. Each time it goes on from
/// where it was, is where it should be and nowhere else, has all that it had, and its clock is right.
/// How long nobody answered is measured from outside.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (4), `max_outage` (60s),
/// `max_skew` in seconds (5).
#[testcase(
    id = "migration.migrate",
    legacy = "testcases.guestops.srm.TCMigrate",
    timeout = "4h",
    requires(hosts = 2, live_migration),
    claims(guest = "exclusive"),
    tags("migration")
)]
struct Migrate {
    subject: Subject,
    hosts: (Arc<dyn Host>, Arc<dyn Host>),
    loops: u32,
    max_outage: Duration,
    max_skew: i64,
}

#[async_trait]
impl TestCase for Migrate {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let (loops, max_skew) = (count(cx, "loops", 4)?, args.get_or("max_skew", 5)?);
        let max_outage = args.get_or("max_outage", Duration::from_secs(60))?;
        Ok(Self {
            subject: Subject::take(cx).await?,
            hosts: both(cx)?,
            loops,
            max_outage,
            max_skew,
        })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let began_on = guest.host();
        let mut times = Timings::default();
        let result = async {
            for round in 1..=self.loops {
                let target = other(guest, &self.hosts);
                cx.step(format!("Migrate to {}, round {round} of {}", target.name(), self.loops));
                self.once(&target, &mut times).await.map_err(in_round(round, self.loops))?;
            }
            Ok(())
        };
        let result = result.await;
        times.tell(cx);
        if result.is_ok() && guest.host().name() != began_on.name() {
            cx.step("Bring it back to where it was found");
            guest.migrate(&other(guest, &self.hosts)).await?;
        }
        result
    }
}

impl Migrate {
    async fn once(&self, target: &Arc<dyn Host>, times: &mut Timings) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        let skew_before = skew(guest).await?;
        let (moved, outage) =
            outage_during(guest, times.of("migration", guest.migrate(target))).await?;
        moved?;
        times.note("outage", outage.longest);
        witness.went_on(guest).await?;
        if guest.host().name() != target.name() {
            let message = format!("guest {} is on {}", guest.name(), guest.host().name());
            return Err(TestError::product(format!("{message}, not on {}", target.name())));
        }
        let listed = target.guests().await?.iter().filter(|own| own.uuid() == guest.uuid()).count();
        if listed != 1 {
            let message = format!("{} lists guest {} {listed} times", target.name(), guest.name());
            return Err(TestError::product(message));
        }
        guest.check().await?;
        let skewed = skew(guest).await? - skew_before;
        if skewed.abs() > self.max_skew {
            let message = format!("the clock of guest {} jumped by {skewed} s", guest.name());
            return Err(TestError::product(message));
        }
        if outage.longest > self.max_outage {
            return Err(TestError::product(format!(
                "nobody answered for {:.1} s during the migration ({} answers); {:.1} s are allowed",
                outage.longest.as_secs_f64(),
                outage.answers,
                self.max_outage.as_secs_f64()
            )));
        }
        Ok(())
    }
}

/// A guest is moved with a VIF and vCPUs that were attached while it ran, and has them on the other
/// host, where they can be taken away again.
///
/// Arguments: `distro` (generic-linux).
#[testcase(
    id = "migration.with_hotplugged",
    timeout = "1h",
    requires(hosts = 2, live_migration, vif_hotplug),
    tags("migration", "hotplug")
)]
struct WithHotplugged {
    guest: Arc<dyn Guest>,
    hosts: (Arc<dyn Host>, Arc<dyn Host>),
}

#[async_trait]
impl TestCase for WithHotplugged {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let guest = up(&cx.default_host()?, &guest_spec(cx)?.max_vcpus(2)).await?;
        Ok(Self { guest, hosts: both(cx)? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        cx.step("Attach a VIF to the running guest");
        let vif = guest.attach_vif(VifSpec::on_default()).await?;
        if guest.host().abilities().has(Ability::VcpuHotplug) {
            guest.set_vcpus(2).await?;
        }
        let witness = Witness::leave(guest).await?;
        let target = other(guest, &self.hosts);
        cx.step(format!("Migrate it to {}", target.name()));
        guest.migrate(&target).await?;
        witness.went_on(guest).await?;
        guest.check().await?;
        cx.step("Detach the VIF there");
        guest.detach_vif(vif.mac).await?;
        Ok(guest.check().await?)
    }
}

/// A guest that goes through suspend, resume and reboot on the host to which it was moved does so as on
/// the one that it came from.
///
/// Arguments: `distro` (generic-linux).
#[testcase(
    id = "migration.life_goes_on",
    timeout = "1h",
    requires(hosts = 2, live_migration),
    tags("migration", "lifecycle")
)]
struct LifeGoesOn {
    guest: Arc<dyn Guest>,
    hosts: (Arc<dyn Host>, Arc<dyn Host>),
}

#[async_trait]
impl TestCase for LifeGoesOn {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let guest = up(&cx.default_host()?, &guest_spec(cx)?).await?;
        Ok(Self { guest, hosts: both(cx)? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        let target = other(guest, &self.hosts);
        cx.step(format!("Migrate to {}", target.name()));
        guest.migrate(&target).await?;
        let witness = Witness::leave(guest).await?;
        if guest.host().abilities().has(Ability::Suspend) {
            cx.step("Suspend and resume it there");
            guest.suspend().await?;
            guest.resume().await?;
            witness.went_on(guest).await?;
        }
        cx.step("Reboot it there");
        guest.reboot(ShutdownMode::Clean).await?;
        guest.wait_until_reachable().await?;
        witness.booted_anew(guest).await?;
        guest.check().await?;
        cx.step("Stop and start it there");
        guest.shutdown(ShutdownMode::Clean).await?;
        bring_up(guest).await?;
        Ok(guest.check().await?)
    }
}

/// Many guests are moved at the same time, half of them the other way than the rest; each goes on and
/// is where it should be.
///
/// Arguments: `distro` (generic-linux), `guests` (4), `loops` (2).
#[testcase(
    id = "migration.concurrent",
    timeout = "2h",
    requires(hosts = 2, live_migration),
    tags("migration", "concurrency")
)]
struct Concurrent {
    guests: Vec<Arc<dyn Guest>>,
    hosts: (Arc<dyn Host>, Arc<dyn Host>),
    loops: u32,
}

#[async_trait]
impl TestCase for Concurrent {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (count, loops) = (count(cx, "guests", 4)?, count(cx, "loops", 2)?);
        let hosts = both(cx)?;
        let guests = several_up(cx, count).await?;
        Ok(Self { guests, hosts, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        cx.step("Migrate every second guest");
        for guest in self.guests.iter().skip(1).step_by(2) {
            guest.migrate(&other(guest.as_ref(), &self.hosts)).await?;
        }
        for round in 1..=self.loops {
            cx.step(format!("Migrate {} guests at once, round {round}", self.guests.len()));
            let (all, hosts) = (self.guests.len() as u32, &self.hosts);
            let moved = within(&self.guests, all, "migrate", |guest| async move {
                let witness = Witness::leave(guest.as_ref()).await?;
                let target = other(guest.as_ref(), hosts);
                guest.migrate(&target).await?;
                witness.went_on(guest.as_ref()).await?;
                Ok(guest.check().await?)
            });
            moved.await.map_err(in_round(round, self.loops))?;
        }
        Ok(())
    }
}

/// A guest cannot be moved to a host that has no room for it. It is refused, and goes on where it is,
/// undisturbed; the target is left with nothing of it. When there is room it can be moved after all.
///
/// Arguments: `distro` (generic-linux).
#[testcase(
    id = "migration.no_room",
    timeout = "1h",
    requires(hosts = 2, live_migration),
    claims(host = "exclusive"),
    tags("migration", "refusal")
)]
struct NoRoom {
    guest: Arc<dyn Guest>,
    filler: Arc<dyn Guest>,
    target: Arc<dyn Host>,
}

#[async_trait]
impl TestCase for NoRoom {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (source, target) = both(cx)?;
        let guest = up(&source, &guest_spec(cx)?).await?;
        let needed = guest.view().await?.memory;
        let free = target.info().await?.free_memory;
        // What is left must be too little even for a hypervisor that needs nothing besides.
        let left = Memory::bytes(needed.as_bytes() / 2);
        let Some(taken) = free.as_bytes().checked_sub(left.as_bytes()) else {
            return Err(TestError::skip(format!("{} has no memory to fill", target.name())));
        };
        let spec = guest_spec(cx)?.memory(Memory::mib(taken >> 20));
        let filler = target.create_guest(&spec).await?;
        filler.start_paused().await?;
        Ok(Self { guest, filler, target })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        let source = guest.host();
        let witness = Witness::leave(guest).await?;
        let before = self.target.domains().await?.len();
        cx.step("Migrate to a host without room");
        if guest.migrate(&self.target).await.is_ok() {
            let message = format!("guest {} moved to a host without room for it", guest.name());
            return Err(TestError::product(message));
        }
        guest.wait_until_reachable().await?;
        witness.went_on(guest).await?;
        if guest.host().name() != source.name() {
            let message =
                format!("guest {} is said to be on {}", guest.name(), guest.host().name());
            return Err(TestError::product(message));
        }
        guest.check().await?;
        let domains =
            wait_until(format!("{} to have nothing of it", self.target.name()), || async {
                let now = self.target.domains().await?.len();
                Ok(Wait::on(now == before, format!("{now} domains, before {before}")))
            });
        domains.within(guest.deadlines().state).await?;
        cx.step("Make room, and migrate");
        self.filler.shutdown(ShutdownMode::Hard).await?;
        guest.migrate(&self.target).await?;
        witness.went_on(guest).await?;
        Ok(guest.check().await?)
    }
}

/// A guest cannot be moved to the host that it is on; the try is refused and does it no harm.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux).
#[testcase(
    id = "migration.to_itself",
    timeout = "30m",
    requires(live_migration),
    claims(guest = "exclusive"),
    tags("migration", "refusal")
)]
struct ToItself {
    subject: Subject,
}

#[async_trait]
impl TestCase for ToItself {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { subject: Subject::take(cx).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        cx.step("Migrate the guest to where it is");
        if let Err(error) = guest.migrate(&guest.host()).await {
            cx.info(format!("it was refused: {error}"));
        } else {
            // Toolstacks that can may do it; the guest must not notice.
            cx.info("it was moved to where it was");
        }
        if guest.power_state().await? != PowerState::Running {
            let message = format!("guest {} is {}", guest.name(), guest.power_state().await?);
            return Err(TestError::product(message + " after a migration to its own host"));
        }
        guest.wait_until_reachable().await?;
        witness.went_on(guest).await?;
        Ok(guest.check().await?)
    }
}
