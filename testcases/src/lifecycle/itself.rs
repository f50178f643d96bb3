//! What guests do by themselves, and the toolstack must notice.

use xenrt::prelude::*;

use crate::support::{Subject, Witness, boot_id, count, last_words, shut_itself_down, start_anew};

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
        shut_itself_down(guest).await?;
        guest.check().await?;
        cx.step("Start it again");
        start_anew(guest, &witness).await
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
