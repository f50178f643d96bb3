//! Guests that crash.

use xenrt::prelude::*;

use crate::support::{boot_id, count, guest_spec, up};

/// Has the kernel of a guest panic (sysrq `c`, Documentation/admin-guide/sysrq.rst). A kernel that is
/// told to reboot after a panic would do so by itself, so that is switched off first.
async fn crash(guest: &dyn Guest) -> Result {
    let crash = "echo 0 > /proc/sys/kernel/panic; echo 1 > /proc/sys/kernel/sysrq; \
                 echo c > /proc/sysrq-trigger";
    let crash = Command::shell_line(crash).deadline(Duration::from_secs(15));
    // It does not live to answer.
    match guest.shell().await?.execute(&crash).await {
        Ok(output) if !output.status.success() => Err(TestError::infrastructure(format!(
            "guest {} could not be crashed: {}",
            guest.name(),
            output.error_text()
        ))),
        _ => Ok(()),
    }
}

/// Crashes a guest whose domain is kept then, and waits until it is Crashed, which is what it should be from
/// now on.
pub(super) async fn crash_and_keep(guest: &dyn Guest) -> Result {
    crash(guest).await?;
    guest.wait_for_state(PowerState::Crashed, guest.deadlines().state).await?;
    guest.expectation().update(|expected| {
        expected.power = PowerState::Crashed;
        expected.reachable = false;
    });
    Ok(())
}

/// A guest whose kernel panics is reported as Crashed by toolstack and hypervisor, not as one that
/// runs or was shut down; its domain is kept for a look, and its console tells of the panic. Then it
/// can be powered off and started again.
///
/// Arguments: `distro` (generic-linux).
#[testcase(
    id = "lifecycle.crash",
    timeout = "30m",
    requires(console_log),
    tags("lifecycle", "crash")
)]
struct Crash {
    guest: Arc<dyn Guest>,
}

#[async_trait]
impl TestCase for Crash {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let spec = guest_spec(cx)?.on_crash(CrashAction::Preserve);
        Ok(Self { guest: up(&cx.default_host()?, &spec).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        cx.step("Crash the guest");
        crash_and_keep(guest).await?;
        match guest.domain().await? {
            Some(domain) if domain.power == PowerState::Crashed => {}
            found => {
                let found = found.map_or("no domain".to_owned(), |found| found.power.to_string());
                let message = format!("guest {} crashed; the hypervisor has {found}", guest.name());
                return Err(TestError::product(message));
            }
        }
        let console = guest.console_text().await?;
        if !console.contains("Kernel panic") {
            let message = "its console does not tell of the panic".to_owned();
            return Err(TestError::product(message).context(guest.name()));
        }
        cx.step("Power it off and start it again");
        guest.shutdown(ShutdownMode::Hard).await?;
        guest.start().await?;
        guest.wait_until_reachable().await?;
        Ok(guest.check().await?)
    }
}

/// A guest that is to be restarted when it crashes comes back by itself, booted anew, without a
/// domain of it left behind.
///
/// Arguments: `distro` (generic-linux), `loops` (2).
#[testcase(id = "lifecycle.crash_restart", timeout = "30m", tags("lifecycle", "crash"))]
struct CrashRestart {
    guest: Arc<dyn Guest>,
    loops: u32,
}

#[async_trait]
impl TestCase for CrashRestart {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = count(cx, "loops", 2)?;
        let spec = guest_spec(cx)?.on_crash(CrashAction::Restart);
        Ok(Self { guest: up(&cx.default_host()?, &spec).await?, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        for round in 1..=self.loops {
            cx.step(format!("Crash the guest, round {round} of {}", self.loops));
            let before = boot_id(guest).await?;
            crash(guest).await?;
            let shell = guest.shell().await?;
            let look = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
            let look = look.deadline(Duration::from_secs(30));
            wait_until(format!("guest {} to come back from its crash", guest.name()), || async {
                let power = guest.power_state().await?;
                let boot = match power {
                    PowerState::Running => shell.text(&look).await?,
                    _ => return Ok(Wait::NotYet(power.to_string())),
                };
                Ok(Wait::on(boot != before, "it still runs the boot from before"))
            })
            .within(guest.deadlines().boot)
            .await?;
            let name = guest.name();
            let domains = guest.host().domains().await?;
            let own: Vec<u32> = domains
                .iter()
                .filter(|domain| domain.name == name)
                .map(|domain| domain.domid)
                .collect();
            if own.len() != 1 {
                let message = format!("guest {name} has the domains {own:?} after its restart");
                return Err(TestError::product(message));
            }
        }
        Ok(guest.check().await?)
    }
}

/// A guest that is to be removed when it crashes is Halted afterwards and has no domain; it can be
/// started again.
///
/// Arguments: `distro` (generic-linux).
#[testcase(id = "lifecycle.crash_destroy", timeout = "30m", tags("lifecycle", "crash"))]
struct CrashDestroy {
    guest: Arc<dyn Guest>,
}

#[async_trait]
impl TestCase for CrashDestroy {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let spec = guest_spec(cx)?.on_crash(CrashAction::Destroy);
        Ok(Self { guest: up(&cx.default_host()?, &spec).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        cx.step("Crash the guest");
        crash(guest).await?;
        guest.wait_for_state(PowerState::Halted, guest.deadlines().state).await?;
        guest.expectation().update(|expected| {
            expected.power = PowerState::Halted;
            expected.reachable = false;
        });
        wait_until(format!("the domain of guest {} to be gone", guest.name()), || async {
            let domain = guest.domain().await?;
            Ok(Wait::on(domain.is_none(), format!("{domain:?}")))
        })
        .within(guest.deadlines().state)
        .await?;
        cx.step("Start it again");
        guest.start().await?;
        guest.wait_until_reachable().await?;
        Ok(guest.check().await?)
    }
}
