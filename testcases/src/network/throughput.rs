//! How much goes through a VIF.

use xenrt::prelude::*;

use super::frontend::dom0_address_towards;
use crate::support::{Subject, count, in_round};
use crate::workload::{Iperf, Workload};

/// TCP throughput between a guest and its host, with one or more connections: the median of several
/// runs is kept as a value, and must not be below `least`. Both ends must agree on what went through.
///
/// The original measured between two endpoints of its sequence (`endpoint0`, `endpoint1`) and left the
/// verdict to a database; here the guest sends to dom0.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `duration` of a run in seconds (5),
/// `threads`: connections at once (1), `runs` (3), `least` in Mbit/s (1).
#[testcase(
    id = "network.throughput",
    legacy(
        "testcases.xenserver.tc.perf.tc_networkthroughput2.TCNetworkThroughputPointToPoint",
        "testcases.xenserver.tc.perf.tc_networkthroughput3.TCNetworkThroughputMultipleVifs"
    ),
    timeout = "2h",
    claims(guest = "exclusive"),
    tags("network", "performance")
)]
struct Throughput {
    subject: Subject,
    iperf: Iperf,
    runs: u32,
    least: f64,
}

#[async_trait]
impl TestCase for Throughput {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let (runs, least): (u32, f64) = (count(cx, "runs", 3)?, args.get_or("least", 1.0)?);
        let (seconds, threads) = (args.get_or("duration", 5)?, args.get_or("threads", 1)?);
        if runs == 0 || threads == 0 {
            return Err(TestError::test("`runs` and `threads` must be 1 at least"));
        }
        let subject = Subject::take(cx).await?;
        let guest = subject.guest.as_ref();
        let host = guest.host();
        let server = dom0_address_towards(host.as_ref(), guest).await?;
        let iperf = Iperf::new(host.dom0(), server).seconds(seconds).connections(threads);
        iperf.install(guest.shell().await?.as_ref()).await?;
        Ok(Self { subject, iperf, runs, least })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let shell = self.subject.guest.shell().await?;
        let mut rates = Vec::new();
        for round in 1..=self.runs {
            cx.step(format!("Send to dom0, run {round} of {}", self.runs));
            let run = async {
                let results = self.iperf.run(shell.as_ref()).await?;
                let rate = results.iter().find(|result| result.name == "throughput");
                let missing = || TestError::product("iperf told of no throughput");
                Ok(rate.ok_or_else(missing)?.value)
            };
            rates.push(run.await.map_err(in_round(round, self.runs))?);
        }
        let median = crate::measure::median(&rates).unwrap_or_default();
        cx.value("throughput, median", median, "Mbit/s");
        if median < self.least {
            return Err(TestError::product(format!(
                "{median:.1} Mbit/s go from guest {} to dom0 (median of {}); {} are the least",
                self.subject.guest.name(),
                rates.len(),
                self.least
            )));
        }
        Ok(())
    }
}
