//! Hosts that go down without a word.

use xenrt::prelude::*;
use xenrt::remote::{ExitStatus, RemoteError};

use crate::support::{Pattern, count, guest_spec, start_all, up};

/// The host goes down in the middle of its work, with guests running and nothing written back, as when its
/// power is cut. It comes back, has no domain but its own, and knows its guests as Halted and as they were
/// made; they start again, and what they had synced to their disks is there.
///
/// Skipped where dom0 is a part of the machine that runs the test.
///
/// Arguments: `distro` (generic-linux), `guests` (2).
#[testcase(
    id = "host.crash",
    timeout = "2h",
    requires(disk_hotplug),
    claims(host = "exclusive"),
    tags("host", "reboot", "fault")
)]
struct Crash {
    host: Arc<dyn Host>,
    guests: Vec<Arc<dyn Guest>>,
    /// On the disk of each.
    disks: Vec<(String, Pattern)>,
}

const SIZE: Memory = Memory::mib(16);

/// Changes with every boot (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[async_trait]
impl TestCase for Crash {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let count: u32 = count(cx, "guests", 2)?;
        let host = cx.default_host()?;
        // A machine that tests itself must not be taken down, and is not asked to.
        let here = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
        if host.dom0().text(&read_boot_id()).await?.trim() == here.trim() {
            return Err(TestError::skip("dom0 is a part of the machine that runs the test"));
        }
        let (mut guests, mut disks) = (Vec::new(), Vec::new());
        for number in 0..count {
            let guest = up(&host, &guest_spec(cx)?).await?;
            let disk = guest.attach_disk(DiskSpec::new(SIZE)).await?;
            disks.push((disk.device, Pattern::new(0xdead + u64::from(number), SIZE)));
            guests.push(guest);
        }
        Ok(Self { host, guests, disks })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        cx.step("Have the guests write to their disks, and sync");
        for (guest, (device, pattern)) in self.guests.iter().zip(&self.disks) {
            pattern.write(guest.as_ref(), device).await?;
        }
        cx.step("Take the host down");
        take_down(self.host.as_ref()).await?;
        for guest in &self.guests {
            guest.expectation().update(|expected| {
                expected.power = PowerState::Halted;
                expected.reachable = false;
            });
        }
        let listed: Vec<String> =
            self.host.guests().await?.iter().map(|guest| guest.name()).collect();
        for guest in &self.guests {
            if !listed.contains(&guest.name()) {
                let message = format!("after its crash the host does not know {}", guest.name());
                return Err(TestError::product(format!("{message}: {listed:?}")));
            }
            guest.wait_for_state(PowerState::Halted, guest.deadlines().state).await?;
            guest.check().await?;
        }
        cx.step("Start the guests again");
        start_all(&self.guests, self.guests.len() as u32).await?;
        for (guest, (device, pattern)) in self.guests.iter().zip(&self.disks) {
            pattern.verify(guest.as_ref(), device).await?;
            guest.check().await?;
        }
        Ok(())
    }
}

fn read_boot_id() -> Command {
    Command::new("cat").arg(BOOT_ID).deadline(Duration::from_secs(30))
}

/// Ends the kernel of dom0 on the spot, and waits until the host is up again.
async fn take_down(host: &dyn Host) -> Result {
    let dom0 = host.dom0();
    let before = dom0.text(&read_boot_id()).await?;
    // At once, no service is ended and nothing is written back (reboot(8)).
    let down = Command::new("reboot").args(["-f", "-f", "-n"]).deadline(Duration::from_secs(30));
    match dom0.execute(&down).await {
        Ok(said) if matches!(said.status, ExitStatus::Code(code) if code != 0) => {
            said.require_success(&down, dom0.target())?;
        }
        // It went with the host.
        Ok(_) => {}
        Err(RemoteError::Deadline { .. }) => {}
        Err(error) if error.is_connection() => {}
        Err(error) => return Err(error.into()),
    }
    wait_until(format!("host {} to have gone down and come back", host.name()), || async {
        dom0.reset().await;
        let now = dom0.text(&read_boot_id()).await?;
        Ok(Wait::on(now != before, "it still runs the boot from before"))
    })
    .within(host.entry().deadlines.host_boot)
    .await?;
    Ok(host.wait_until_up().await?)
}
