//! Suspend and resume.

use xenrt::prelude::*;

use crate::support::{Subject, Timings, Witness, count, in_round, skew};

/// A guest is suspended and resumed, over and over; each time it goes on from where it was, with
/// its memory, and its clock is right.
///
/// The original compared clocks too, and failed only above 2,000,000 s (srm.py); a guest whose clock
/// stood while it was suspended went unnoticed.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (5), `max_skew` in seconds
/// (5), `away`: how long it stays suspended (0s).
#[testcase(
    id = "lifecycle.suspend_resume",
    legacy = "testcases.guestops.srm.TCSuspendResume",
    timeout = "2h",
    requires(suspend),
    claims(guest = "exclusive"),
    tags("lifecycle", "suspend")
)]
struct SuspendResume {
    subject: Subject,
    loops: u32,
    max_skew: i64,
    away: Duration,
}

#[async_trait]
impl TestCase for SuspendResume {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let (loops, max_skew) = (count(cx, "loops", 5)?, args.get_or("max_skew", 5)?);
        let away = args.get_or("away", Duration::ZERO)?;
        Ok(Self { subject: Subject::take(cx).await?, loops, max_skew, away })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut times = Timings::default();
        let mut worst = 0;
        let skew_before = skew(self.subject.guest.as_ref()).await?;
        for round in 1..=self.loops {
            cx.step(format!("Suspend and resume, round {round} of {}", self.loops));
            let skewed = self.once(&mut times).await.map_err(in_round(round, self.loops))?;
            worst = std::cmp::max_by_key(worst, skewed, |skew: &i64| skew.abs());
        }
        times.tell(cx);
        cx.value("clock skew, worst", worst as f64, "s");
        // A guest whose clock was wrong from the beginning is another test's business.
        if (worst - skew_before).abs() > self.max_skew {
            return Err(TestError::product(format!(
                "the clock of guest {} is {worst} s off after a resume ({skew_before} s before); \
                 {} s are allowed",
                self.subject.guest.name(),
                self.max_skew
            )));
        }
        Ok(())
    }
}

impl SuspendResume {
    async fn once(&self, times: &mut Timings) -> Result<i64> {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        times.of("suspend", guest.suspend()).await?;
        if guest.is_reachable().await {
            let message = format!("guest {} answers while it is Suspended", guest.name());
            return Err(TestError::product(message));
        }
        if !self.away.is_zero() {
            let wait = Command::new("sleep").arg(self.away.as_secs().to_string());
            let wait = wait.deadline(self.away + Duration::from_secs(60));
            guest.host().dom0().run(&wait).await?;
        }
        times.of("resume", guest.resume()).await?;
        witness.went_on(guest).await?;
        guest.check().await?;
        skew(guest).await
    }
}
