//! Guests of a host whose control domain has no time for them.

use xenrt::prelude::*;

use crate::support::{Subject, Witness, count, keep_busy, outage_during};

/// All processors of dom0 are kept busy while somebody logs into a guest all the time: the guest is never
/// away for longer than `max_outage`, and neither guest nor host is any different afterwards.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `seconds` (15), `max_outage` (20s).
#[testcase(
    id = "host.busy_dom0",
    timeout = "30m",
    claims(guest = "exclusive", host = "exclusive"),
    tags("host", "stress")
)]
struct BusyDom0 {
    subject: Subject,
    seconds: u32,
    max_outage: Duration,
}

#[async_trait]
impl TestCase for BusyDom0 {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let seconds = count(cx, "seconds", 15)?;
        let max_outage = cx.args().get_or("max_outage", Duration::from_secs(20))?;
        Ok(Self { subject: Subject::take(cx).await?, seconds, max_outage })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let host = guest.host();
        let witness = Witness::leave(guest).await?;
        let cpus = host.info().await?.cpus.max(1);
        cx.step(format!("Keep {cpus} processors of dom0 busy for {} s", self.seconds));
        let dom0 = host.dom0();
        let work = keep_busy(dom0.as_ref(), cpus, self.seconds);
        let (done, outage) = outage_during(guest, work).await?;
        done?;
        outage.judge(cx, guest, self.max_outage, "dom0 was busy")?;
        witness.went_on(guest).await?;
        Ok(guest.check().await?)
    }
}
