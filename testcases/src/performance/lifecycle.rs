//! How long the life of a guest takes.

use xenrt::prelude::*;

use super::series::{Series, runs};
use crate::measure::Better;
use crate::support::{Subject, Timings, in_round};

/// What a guest goes through is timed, the steps one after the other in each run, so that what the host
/// does besides falls on all of them alike. The times are kept as `times.json` and `times.csv` in the
/// evidence. With `baseline`, the `times.json` of an earlier run, each step is held against it: the test
/// fails where a step is surely slower, and says by how much, how sure that is, and what the host's own
/// noise is.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `runs` (10), `baseline`: a file on the
/// machine that runs the tests (none).
#[testcase(
    id = "performance.lifecycle",
    timeout = "6h",
    claims(host = "exclusive", guest = "exclusive"),
    tags("performance", "lifecycle")
)]
struct Lifecycle {
    subject: Subject,
    runs: u32,
    baseline: Option<Series>,
}

#[async_trait]
impl TestCase for Lifecycle {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (runs, baseline) = (runs(cx, 10)?, Series::baseline(cx)?);
        Ok(Self { subject: Subject::take(cx).await?, runs, baseline })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut timings = Timings::default();
        for run in 1..=self.runs {
            cx.step(format!("Run {run} of {}", self.runs));
            self.once(&mut timings).await.map_err(in_round(run, self.runs))?;
        }
        timings.tell(cx);
        let steps = ["shutdown", "start", "reboot", "suspend", "resume", "pause"];
        let mut times = Series::default();
        for step in steps {
            for second in timings.seconds(step) {
                times.note(step, *second);
            }
        }
        times.judge(cx, "times", self.baseline.as_ref(), Better::Lower)
    }
}

impl Lifecycle {
    async fn once(&self, timings: &mut Timings) -> Result {
        let guest = self.subject.guest.as_ref();
        timings.of("shutdown", guest.shutdown(ShutdownMode::Clean)).await?;
        let start = async {
            guest.start().await?;
            guest.wait_until_reachable().await
        };
        timings.of("start", start).await?;
        timings.of("reboot", guest.reboot(ShutdownMode::Clean)).await?;
        if guest.host().abilities().has(Ability::Suspend) {
            timings.of("suspend", guest.suspend()).await?;
            timings.of("resume", guest.resume()).await?;
        }
        let pause = async {
            guest.pause().await?;
            guest.unpause().await
        };
        timings.of("pause", pause).await?;
        Ok(guest.wait_until_reachable().await?)
    }
}
