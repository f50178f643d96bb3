//! What stays behind when guests come and go.

use xenrt::prelude::*;

use crate::support::{Census, count, in_round, several_up, within};

/// Guests are started and stopped over and over, and what stands on the host is counted after each
/// cycle: no domain is left, be it named or not, no file, no process of dom0, and no memory.
///
/// Arguments: `distro` (generic-linux), `guests` (2), `loops` (10).
#[testcase(
    id = "host.domain_leaks",
    timeout = "4h",
    claims(host = "exclusive"),
    tags("host", "leak", "stress")
)]
struct DomainLeaks {
    guests: Vec<Arc<dyn Guest>>,
    loops: u32,
}

#[async_trait]
impl TestCase for DomainLeaks {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (count, loops) = (count(cx, "guests", 2)?, count(cx, "loops", 10)?);
        // Once through, so that what is made at the first start does not count.
        let guests = several_up(cx, count).await?;
        stop_all(&guests).await?;
        Ok(Self { guests, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let host = cx.default_host()?;
        let before = Census::take(host.as_ref()).await?;
        for round in 1..=self.loops {
            cx.step(format!("Start and stop {} guests, cycle {round}", self.guests.len()));
            let once = async {
                crate::support::start_all(&self.guests, self.guests.len() as u32).await?;
                stop_all(&self.guests).await?;
                let patience = host.entry().deadlines.device;
                Census::nothing_left(host.as_ref(), &before, patience).await
            };
            once.await.map_err(in_round(round, self.loops))?;
        }
        cx.value("cycles without a leak", f64::from(self.loops), "");
        Ok(())
    }
}

async fn stop_all(guests: &[Arc<dyn Guest>]) -> Result {
    within(guests, guests.len() as u32, "shut down", |guest| async move {
        Ok(guest.shutdown(ShutdownMode::Clean).await?)
    })
    .await
}
