//! How long a host takes to answer.

use tokio::time::Instant;
use xenrt::prelude::*;

/// The longest time that a host took to list its domains.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Patience(Duration);

impl Patience {
    /// Asks once.
    ///
    /// # Errors
    /// Where the host does not answer.
    pub(crate) async fn ask(&mut self, host: &dyn Host) -> Result {
        let asked = Instant::now();
        host.domains().await?;
        self.0 = self.0.max(asked.elapsed());
        Ok(())
    }

    /// Keeps it as a value of the test, and holds it against what is allowed; `during` is what was done
    /// meanwhile: `a guest made events`.
    ///
    /// # Errors
    /// The product's where the host took longer.
    pub(crate) fn judge(self, cx: &TestContext, most: Duration, during: &str) -> Result {
        let slowest = self.0.as_secs_f64();
        cx.value("slowest answer of the host", slowest, "s");
        if self.0 <= most {
            return Ok(());
        }
        Err(TestError::product(format!(
            "the host took {slowest:.1} s to list its domains while {during}; {:.1} s are allowed",
            most.as_secs_f64()
        )))
    }
}
