//! What guests do by themselves, and the toolstack must notice.

use xenrt::prelude::*;

use crate::support::{Subject, Witness, boot_id, count};

/// Runs a command of which the guest may not live to see the end.
async fn last_words(guest: &dyn Guest, program: &str) -> Result {
    let command = Command::new(program).deadline(Duration::from_secs(60));
    match guest.shell().await?.execute(&command).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_connection() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A guest that shuts itself down is Halted to the toolstack and has no domain, and can be started.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux).
#[testcase(
    id = "lifecycle.shutdown_by_itself",
    timeout = "30m",
    claims(guest = "exclusive"),
    tags("lifecycle")
)]
struct ShutdownByItself {
    subject: Subject,
}

#[async_trait]
impl TestCase for ShutdownByItself {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { subject: Subject::take(cx).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        cx.step("Have the guest shut itself down");
        last_words(guest, "poweroff").await?;
        guest.wait_for_state(PowerState::Halted, guest.deadlines().state).await?;
        guest.expectation().update(|expected| {
            expected.power = PowerState::Halted;
            expected.reachable = false;
        });
        guest.check().await?;
        cx.step("Start it again");
        guest.start().await?;
        guest.wait_until_reachable().await?;
        witness.booted_anew(guest).await?;
        Ok(guest.check().await?)
    }
}

/// A guest that reboots itself comes back, booted anew, with all that it had.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (2).
#[testcase(
    id = "lifecycle.reboot_by_itself",
    timeout = "1h",
    claims(guest = "exclusive"),
    tags("lifecycle")
)]
struct RebootByItself {
    subject: Subject,
    loops: u32,
}

#[async_trait]
impl TestCase for RebootByItself {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = count(cx, "loops", 2)?;
        Ok(Self { subject: Subject::take(cx).await?, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        for round in 1..=self.loops {
            cx.step(format!("Have the guest reboot, round {round} of {}", self.loops));
            let before = boot_id(guest).await?;
            last_words(guest, "reboot").await?;
            let shell = guest.shell().await?;
            let look = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
            let look = look.deadline(Duration::from_secs(30));
            wait_until(format!("guest {} to have rebooted", guest.name()), || async {
                let now = shell.text(&look).await?;
                Ok(Wait::on(now != before, "it still runs the boot from before"))
            })
            .within(guest.deadlines().boot)
            .await?;
            guest.check().await?;
        }
        Ok(())
    }
}
