//! How processors are shared.

use futures::future::join_all;
use tokio::time::Instant;
use xenrt::prelude::*;

use crate::support::{count, guest_spec, keep_busy, start_all};

/// Guests that all want more processor time than there is get the same of it: none gets less than
/// `least` of its equal share. The share of each is kept as a value.
///
/// Every guest has as many vCPUs as it takes for all together to ask for twice what the host has.
///
/// Arguments: `distro` (generic-linux), `guests` (3), `seconds` (10), `least` (0.6).
#[testcase(
    id = "cpu.fair_share",
    timeout = "1h",
    claims(host = "exclusive"),
    tags("cpu", "scheduler")
)]
struct FairShare {
    guests: Vec<Arc<dyn Guest>>,
    vcpus: u32,
    seconds: u32,
    least: f64,
}

#[async_trait]
impl TestCase for FairShare {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (number, seconds) = (count::<u32>(cx, "guests", 3)?.max(2), count(cx, "seconds", 10)?);
        let least = cx.args().get_or("least", 0.6)?;
        let host = cx.default_host()?;
        let vcpus = (2 * host.info().await?.cpus).div_ceil(number).max(1);
        let mut guests = Vec::new();
        for _ in 0..number {
            guests.push(host.create_guest(&guest_spec(cx)?.vcpus(vcpus)).await?);
        }
        start_all(&guests, number).await?;
        Ok(Self { guests, vcpus, seconds, least })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        cx.step(format!("Keep {} guests busy for {} s", self.guests.len(), self.seconds));
        let (before, began) = (self.used().await?, Instant::now());
        let busy = self.guests.iter().map(|guest| self.burn(guest.as_ref()));
        for result in join_all(busy).await {
            result?;
        }
        let took = began.elapsed().as_secs_f64();
        let used: Vec<f64> =
            self.used().await?.iter().zip(&before).map(|(now, then)| now - then).collect();
        let equal = used.iter().sum::<f64>() / used.len() as f64;
        if equal <= 0.0 {
            let message = format!("no guest used any processor time in {took:.1} s of work");
            return Err(TestError::product(message));
        }
        let shares = || used.iter().map(|used| used / equal);
        for (guest, share) in self.guests.iter().zip(shares()) {
            cx.value(format!("share of {}", guest.name()), share, "");
        }
        let starved: Vec<String> = self
            .guests
            .iter()
            .zip(shares())
            .filter(|(_, share)| *share < self.least)
            .map(|(guest, share)| format!("{} got {share:.2} of its share", guest.name()))
            .collect();
        if starved.is_empty() {
            return Ok(());
        }
        Err(TestError::product(format!(
            "processors are not shared equally by {} guests in {took:.1} s: {}",
            self.guests.len(),
            starved.join(", ")
        )))
    }
}

impl FairShare {
    async fn burn(&self, guest: &dyn Guest) -> Result {
        keep_busy(guest.shell().await?.as_ref(), self.vcpus, self.seconds).await
    }

    /// The processor time of each guest until now, in seconds.
    async fn used(&self) -> Result<Vec<f64>> {
        let mut used = Vec::new();
        for guest in &self.guests {
            let domain = guest.domain().await?;
            let missing =
                || TestError::product(format!("the hypervisor has no domain of {}", guest.name()));
            used.push(domain.ok_or_else(missing)?.cpu_seconds);
        }
        Ok(used)
    }
}
