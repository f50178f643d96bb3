//! Tests of virtual processors.

mod scheduler;
mod share;
mod xen;

use tokio::time::Instant;
use xenrt::prelude::*;

use crate::support::{Subject, Timings, Witness, count, guest_spec, in_round, keep_busy, up};

/// A guest is started with 1, 2, 3, ... vCPUs; each time toolstack, hypervisor and the guest itself
/// agree on the number. It has the number that it had, in the end.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `max` (4; no more than the host has
/// processors).
#[testcase(
    id = "cpu.walk",
    legacy = "testcases.guestops.cpu.TCCPUWalk",
    timeout = "2h",
    claims(guest = "exclusive"),
    tags("cpu")
)]
struct Walk {
    subject: Subject,
    max: u32,
}

#[async_trait]
impl TestCase for Walk {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let asked: u32 = cx.args().get_or("max", 4)?;
        let subject = Subject::take(cx).await?;
        let cpus = subject.guest.host().info().await?.cpus;
        if cpus < asked {
            cx.info(format!("the host has {cpus} processors; the walk ends there, not at {asked}"));
        }
        Ok(Self { subject, max: asked.min(cpus).max(1) })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let before = guest.view().await?.vcpus;
        for vcpus in (1..=self.max).chain([before]) {
            cx.step(format!("Start the guest with {vcpus} vCPUs"));
            let once = async {
                guest.shutdown(ShutdownMode::Clean).await?;
                guest.set_vcpus(vcpus).await?;
                guest.start().await?;
                guest.wait_until_reachable().await?;
                Ok(guest.check().await?)
            };
            once.await.map_err(|error: TestError| error.context(format!("with {vcpus} vCPUs")))?;
        }
        Ok(())
    }
}

/// vCPUs are given to and taken from a running guest, over and over: hypervisor and guest see each
/// change, and the guest goes on meanwhile.
///
/// Arguments: `distro` (generic-linux), `max` (4), `loops` (3).
#[testcase(id = "cpu.hotplug", timeout = "1h", requires(vcpu_hotplug), tags("cpu", "hotplug"))]
struct Hotplug {
    guest: Arc<dyn Guest>,
    max: u32,
    loops: u32,
}

#[async_trait]
impl TestCase for Hotplug {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (max, loops) = (cx.args().get_or("max", 4)?, count(cx, "loops", 3)?);
        if max < 2 {
            return Err(TestError::test(format!("`max` is {max}; it must be 2 at least")));
        }
        let guest = up(&cx.default_host()?, &guest_spec(cx)?.max_vcpus(max)).await?;
        Ok(Self { guest, max, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        let mut times = Timings::default();
        for round in 1..=self.loops {
            cx.step(format!("Up to {} vCPUs and down again, round {round}", self.max));
            let once = async {
                for vcpus in (2..=self.max).chain((1..self.max).rev()) {
                    times.of("vCPU change", guest.set_vcpus(vcpus)).await?;
                }
                witness.went_on(guest).await
            };
            once.await.map_err(in_round(round, self.loops))?;
        }
        times.tell(cx);
        Ok(())
    }
}

/// The number of vCPUs that a running guest was given is still there after a reboot, and after a
/// suspend where the toolstack can.
///
/// Arguments: `distro` (generic-linux).
#[testcase(
    id = "cpu.kept_over_reboot",
    timeout = "1h",
    requires(vcpu_hotplug),
    tags("cpu", "hotplug")
)]
struct KeptOverReboot {
    guest: Arc<dyn Guest>,
}

#[async_trait]
impl TestCase for KeptOverReboot {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { guest: up(&cx.default_host()?, &guest_spec(cx)?.max_vcpus(2)).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        guest.set_vcpus(2).await?;
        cx.step("Reboot the guest");
        guest.reboot(ShutdownMode::Clean).await?;
        guest.wait_until_reachable().await?;
        guest.check().await?;
        if guest.host().abilities().has(Ability::Suspend) {
            cx.step("Suspend and resume it");
            guest.suspend().await?;
            guest.resume().await?;
            guest.check().await?;
        }
        Ok(())
    }
}

/// Each vCPU of a guest is kept busy at the same time: the hypervisor counts the processor time that
/// they use, no less than is due to a guest that is alone and no more than there is.
///
/// Arguments: `distro` (generic-linux), `vcpus` (2; no more than the host has processors less one for
/// dom0), `seconds` (4), `least`: the share of a processor that each must get (0.5).
#[testcase(
    id = "cpu.time_accounting",
    timeout = "30m",
    claims(host = "exclusive"),
    tags("cpu", "scheduler")
)]
struct TimeAccounting {
    guest: Arc<dyn Guest>,
    vcpus: u32,
    seconds: u32,
    least: f64,
}

#[async_trait]
impl TestCase for TimeAccounting {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let host = cx.default_host()?;
        let most = host.info().await?.cpus.saturating_sub(1).max(1);
        let vcpus = count(cx, "vcpus", 2)?.min(most);
        let guest = up(&host, &guest_spec(cx)?.vcpus(vcpus)).await?;
        let (seconds, least) = (count(cx, "seconds", 4)?, args.get_or("least", 0.5)?);
        Ok(Self { guest, vcpus, seconds, least })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        let (shell, seconds) = (guest.shell().await?, self.seconds);
        let used = async || -> Result<f64> {
            let domain = guest.domain().await?;
            let missing = || TestError::product("the hypervisor has no domain of the guest");
            Ok(domain.ok_or_else(missing)?.cpu_seconds)
        };
        cx.step(format!("Keep {} vCPUs busy for {seconds} s", self.vcpus));
        let (before, began) = (used().await?, Instant::now());
        keep_busy(shell.as_ref(), self.vcpus, seconds).await?;
        let took = began.elapsed().as_secs_f64();
        let used = used().await? - before;
        let due = f64::from(self.vcpus) * f64::from(self.seconds);
        cx.value("processor time used", used, "s");
        cx.value("share of a processor for each vCPU", used / due, "");
        if used < due * self.least {
            return Err(TestError::product(format!(
                "{} busy vCPUs used {used:.1} s of processor time in {seconds} s; {:.1} s are the \
                 least that is due to a guest that is alone",
                self.vcpus,
                due * self.least
            )));
        }
        // A fifth more: the guest is looked at before and after, and boots on.
        let most = f64::from(self.vcpus) * took * 1.2 + 0.5;
        if used > most {
            return Err(TestError::product(format!(
                "{} vCPUs cannot have used {used:.1} s of processor time in {took:.1} s",
                self.vcpus
            )));
        }
        Ok(())
    }
}
