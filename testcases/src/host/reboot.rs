//! Hosts that reboot.

use xenrt::prelude::*;

use crate::support::{count, guest_spec, start_all, up};

/// The host is rebooted with guests running. It comes back, has no domain but its own, knows its guests
/// as Halted and as they were made, and they start again.
///
/// Arguments: `distro` (generic-linux), `guests` (2).
#[testcase(
    id = "host.reboot_with_guests",
    timeout = "2h",
    claims(host = "exclusive"),
    tags("host", "reboot")
)]
struct RebootWithGuests {
    host: Arc<dyn Host>,
    guests: Vec<Arc<dyn Guest>>,
}

#[async_trait]
impl TestCase for RebootWithGuests {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let count: u32 = count(cx, "guests", 2)?;
        let host = cx.default_host()?;
        let mut guests = Vec::new();
        for _ in 0..count {
            guests.push(up(&host, &guest_spec(cx)?).await?);
        }
        Ok(Self { host, guests })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        cx.step("Reboot the host under its guests");
        self.host.reboot().await?;
        for guest in &self.guests {
            guest.expectation().update(|expected| {
                expected.power = PowerState::Halted;
                expected.reachable = false;
            });
            guest.wait_for_state(PowerState::Halted, guest.deadlines().state).await?;
            guest.check().await?;
        }
        let domains = self.host.domains().await?;
        let own: Vec<String> = self.guests.iter().map(|guest| guest.name()).collect();
        if let Some(left) = domains.iter().find(|domain| own.contains(&domain.name)) {
            let message =
                format!("domain {} ({}) is there after the reboot", left.domid, left.name);
            return Err(TestError::product(message));
        }
        let listed: Vec<String> =
            self.host.guests().await?.iter().map(|guest| guest.name()).collect();
        if let Some(lost) = own.iter().find(|name| !listed.contains(name)) {
            let message =
                format!("after the reboot the host does not know guest {lost}: {listed:?}");
            return Err(TestError::product(message));
        }
        cx.step("Start the guests again");
        start_all(&self.guests, self.guests.len() as u32).await?;
        for guest in &self.guests {
            guest.check().await?;
        }
        Ok(())
    }
}
