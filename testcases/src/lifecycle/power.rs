//! Starting, stopping and rebooting, over and over.

use xenrt::prelude::*;

use crate::support::{Subject, Timings, Witness, count, in_round, shut_itself_down, start_anew};

/// How a guest is brought down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Clean,
    Hard,
    Inside,
}

const HOW: [(&str, How); 3] = [("clean", How::Clean), ("hard", How::Hard), ("inside", How::Inside)];

/// Brings a running guest down, and returns when it is Halted and has no domain.
async fn bring_down(guest: &dyn Guest, how: How) -> Result {
    match how {
        How::Clean => guest.shutdown(ShutdownMode::Clean).await?,
        How::Hard => guest.shutdown(ShutdownMode::Hard).await?,
        How::Inside => shut_itself_down(guest).await?,
    }
    if let Some(domain) = guest.domain().await? {
        let message = format!(
            "guest {} is Halted and the hypervisor still has its domain {} ({})",
            guest.name(),
            domain.domid,
            domain.power
        );
        return Err(TestError::product(message));
    }
    Ok(())
}

/// A guest is shut down and started, over and over; each time it has booted anew, and each time it
/// is what it was: disks, network interfaces, vCPUs and memory as seen from inside.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (5), `how` (clean; also
/// hard, inside).
#[testcase(
    id = "lifecycle.start_stop",
    legacy = "testcases.guestops.basic.TCStartStop",
    timeout = "2h",
    claims(guest = "exclusive"),
    tags("lifecycle")
)]
struct StartStop {
    subject: Subject,
    loops: u32,
    how: How,
}

#[async_trait]
impl TestCase for StartStop {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let (loops, how) = (count(cx, "loops", 5)?, args.choice("how", &HOW)?);
        Ok(Self { subject: Subject::take(cx).await?, loops, how: how.unwrap_or(How::Clean) })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut times = Timings::default();
        for round in 1..=self.loops {
            cx.step(format!("Stop and start, round {round} of {}", self.loops));
            self.once(&mut times).await.map_err(in_round(round, self.loops))?;
        }
        times.tell(cx);
        Ok(())
    }
}

impl StartStop {
    async fn once(&self, times: &mut Timings) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        times.of("shutdown", bring_down(guest, self.how)).await?;
        times.of("start", guest.start()).await?;
        times.of("boot", guest.wait_until_reachable()).await?;
        witness.booted_anew(guest).await?;
        Ok(guest.check().await?)
    }
}

/// A guest is rebooted, over and over; each time it has booted anew and is what it was.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (5), `how` (clean; also
/// hard).
#[testcase(
    id = "lifecycle.reboot",
    legacy = "testcases.guestops.basic.TCReboot",
    timeout = "2h",
    claims(guest = "exclusive"),
    tags("lifecycle")
)]
struct Reboot {
    subject: Subject,
    loops: u32,
    mode: ShutdownMode,
}

#[async_trait]
impl TestCase for Reboot {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let loops = count(cx, "loops", 5)?;
        let words = [("clean", ShutdownMode::Clean), ("hard", ShutdownMode::Hard)];
        let mode = args.choice("how", &words)?.unwrap_or(ShutdownMode::Clean);
        Ok(Self { subject: Subject::take(cx).await?, loops, mode })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut times = Timings::default();
        for round in 1..=self.loops {
            cx.step(format!("Reboot, round {round} of {}", self.loops));
            self.once(&mut times).await.map_err(in_round(round, self.loops))?;
        }
        times.tell(cx);
        Ok(())
    }
}

impl Reboot {
    async fn once(&self, times: &mut Timings) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        times.of("reboot", guest.reboot(self.mode)).await?;
        guest.wait_until_reachable().await?;
        witness.booted_anew(guest).await?;
        Ok(guest.check().await?)
    }
}

/// A guest is shut down: it is Halted, the hypervisor has no domain of it, and nobody answers at
/// its address any more. It is started again afterwards, as it was found.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `how` (clean; also hard, inside).
#[testcase(
    id = "lifecycle.shutdown",
    legacy = "testcases.guestops.basic.TCShutdown",
    timeout = "30m",
    claims(guest = "exclusive"),
    tags("lifecycle", "smoke")
)]
struct Shutdown {
    subject: Subject,
    how: How,
}

#[async_trait]
impl TestCase for Shutdown {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let how = cx.args().choice("how", &HOW)?.unwrap_or(How::Clean);
        Ok(Self { subject: Subject::take(cx).await?, how })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        cx.step("Shut the guest down");
        bring_down(guest, self.how).await?;
        if guest.is_reachable().await {
            let message = format!("somebody answers at the address of guest {}", guest.name());
            return Err(TestError::product(message + ", which is Halted"));
        }
        cx.step("Start it again");
        start_anew(guest, &witness).await
    }
}

/// The power of a guest is taken away in the middle of its work, over and over: each time it has no
/// domain afterwards and boots again by itself to a login.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (3).
#[testcase(
    id = "lifecycle.power_cut",
    timeout = "1h",
    claims(guest = "exclusive"),
    tags("lifecycle")
)]
struct PowerCut {
    subject: Subject,
    loops: u32,
}

#[async_trait]
impl TestCase for PowerCut {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = count(cx, "loops", 3)?;
        Ok(Self { subject: Subject::take(cx).await?, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        for round in 1..=self.loops {
            cx.step(format!("Cut the power, round {round} of {}", self.loops));
            let once = async {
                let witness = Witness::leave(guest).await?;
                bring_down(guest, How::Hard).await?;
                start_anew(guest, &witness).await
            };
            once.await.map_err(in_round(round, self.loops))?;
        }
        Ok(())
    }
}
