//! Pause and unpause.

use xenrt::prelude::*;

use crate::support::{Subject, Witness, count, guest_spec, in_round};

/// How long a paused guest is watched.
const WATCHED: &str = "3";

/// A guest is paused and unpaused, over and over. While it is paused nobody answers and it uses no
/// processor time, as the hypervisor counts; afterwards it goes on from where it was.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (5).
#[testcase(
    id = "lifecycle.pause",
    timeout = "1h",
    claims(guest = "exclusive"),
    tags("lifecycle", "smoke")
)]
struct Pause {
    subject: Subject,
    loops: u32,
}

#[async_trait]
impl TestCase for Pause {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = count(cx, "loops", 5)?;
        Ok(Self { subject: Subject::take(cx).await?, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        for round in 1..=self.loops {
            cx.step(format!("Pause and unpause, round {round} of {}", self.loops));
            self.once().await.map_err(in_round(round, self.loops))?;
        }
        Ok(())
    }
}

impl Pause {
    async fn once(&self) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        guest.pause().await?;
        let address = guest.wait_for_address().await?;
        let probe = Command::new("true").deadline(Duration::from_secs(5));
        if guest.shell_at(address)?.succeeds(&probe).await.unwrap_or(false) {
            let message = format!("guest {} answers while it is Paused", guest.name());
            return Err(TestError::product(message));
        }
        let before = cpu_seconds(guest).await?;
        let watch = Command::new("sleep").arg(WATCHED).deadline(Duration::from_secs(60));
        guest.host().dom0().run(&watch).await?;
        let used = cpu_seconds(guest).await? - before;
        if used > 0.1 {
            return Err(TestError::product(format!(
                "guest {} used {used:.2} s of processor time while it was Paused for {WATCHED} s",
                guest.name()
            )));
        }
        guest.unpause().await?;
        guest.wait_until_reachable().await?;
        witness.went_on(guest).await?;
        Ok(guest.check().await?)
    }
}

async fn cpu_seconds(guest: &dyn Guest) -> Result<f64> {
    let domain = guest.domain().await?;
    let domain = domain.ok_or_else(|| {
        TestError::product(format!("the hypervisor has no domain of guest {}", guest.name()))
    })?;
    Ok(domain.cpu_seconds)
}

/// A guest that is started paused executes nothing until it is unpaused: it writes nothing on its
/// console and uses no processor time; then it boots to a login.
///
/// Arguments: `distro` (generic-linux).
#[testcase(id = "lifecycle.start_paused", timeout = "30m", tags("lifecycle"))]
struct StartPaused {
    guest: Arc<dyn Guest>,
}

#[async_trait]
impl TestCase for StartPaused {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let host = cx.default_host()?;
        Ok(Self { guest: host.create_guest(&guest_spec(cx)?).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        cx.step("Start the guest paused");
        guest.start_paused().await?;
        guest.check().await?;
        let before = cpu_seconds(guest).await?;
        let watch = Command::new("sleep").arg(WATCHED).deadline(Duration::from_secs(60));
        guest.host().dom0().run(&watch).await?;
        let used = cpu_seconds(guest).await? - before;
        if used > 0.1 {
            let message =
                format!("guest {} ran for {used:.2} s before it was unpaused", guest.name());
            return Err(TestError::product(message));
        }
        cx.step("Let it run");
        guest.unpause().await?;
        guest.wait_until_reachable().await?;
        Ok(guest.check().await?)
    }
}
