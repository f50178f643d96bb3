//! How long a guest was away, seen from outside.

use tokio::time::{Instant, MissedTickBehavior};
use xenrt::prelude::*;

/// How often a guest answered while something was done to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outage {
    /// The longest time between two answers.
    pub(crate) longest: Duration,
    /// How often it answered.
    pub(crate) answers: u32,
}

impl Outage {
    /// Keeps it as a value of the test, and holds it against what is allowed; `during` is what was done
    /// meanwhile: `dom0 was busy`.
    ///
    /// # Errors
    /// The product's where the guest was away for longer, or never answered.
    pub(crate) fn judge(
        &self,
        cx: &TestContext,
        guest: &dyn Guest,
        most: Duration,
        during: &str,
    ) -> Result {
        let (name, longest) = (guest.name(), self.longest.as_secs_f64());
        cx.value(format!("longest time without an answer of {name}"), longest, "s");
        if self.answers > 0 && self.longest <= most {
            return Ok(());
        }
        Err(TestError::product(format!(
            "guest {name} did not answer for {longest:.1} s while {during} ({} answers); {:.1} s are allowed",
            self.answers,
            most.as_secs_f64()
        )))
    }
}

/// A try that has had no answer by then has failed.
const TRY: Duration = Duration::from_secs(5);
/// Tries begin this far apart, where each is answered at once.
const PACE: Duration = Duration::from_millis(100);

/// Does `work`, and logs into the guest over and over meanwhile.
///
/// # Errors
/// Where the guest has no address. What becomes of `work` is its own result.
pub(crate) async fn outage_during<T>(
    guest: &dyn Guest,
    work: impl Future<Output = T>,
) -> Result<(T, Outage)> {
    let address = guest.wait_for_address().await?;
    let shell = guest.shell_at(address)?;
    let probe = Command::new("true").deadline(TRY);
    let mut last = Instant::now();
    let mut outage = Outage { longest: Duration::ZERO, answers: 0 };
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = std::pin::pin!(work);
    loop {
        let mut look = std::pin::pin!(async {
            pace.tick().await;
            shell.succeeds(&probe).await.unwrap_or(false)
        });
        let (answered, ended) = tokio::select! {
            biased;
            // Whoever is asked already may answer: nothing is cut off on the way.
            end = &mut work => (look.await, Some(end)),
            answered = &mut look => (answered, None),
        };
        if answered {
            outage.longest = outage.longest.max(last.elapsed());
            outage.answers += 1;
            last = Instant::now();
        }
        if let Some(done) = ended {
            outage.longest = outage.longest.max(last.elapsed());
            return Ok((done, outage));
        }
    }
}
