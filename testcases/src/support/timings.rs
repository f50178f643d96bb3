//! How long the steps of a test took.

use tokio::time::Instant;
use xenrt::prelude::*;

/// Times by what they are of, in the order in which they were first measured.
#[derive(Debug, Default)]
pub(crate) struct Timings(Vec<(&'static str, Vec<f64>)>);

impl Timings {
    /// Measures one step.
    ///
    /// # Errors
    /// What the step brings; its time does not count then.
    pub(crate) async fn of<T, E>(
        &mut self,
        what: &'static str,
        step: impl Future<Output = std::result::Result<T, E>>,
    ) -> std::result::Result<T, E> {
        let began = Instant::now();
        let value = step.await?;
        self.note(what, began.elapsed());
        Ok(value)
    }

    /// Notes a time that was measured elsewhere.
    pub(crate) fn note(&mut self, what: &'static str, time: Duration) {
        let seconds = time.as_secs_f64();
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            Some((_, times)) => times.push(seconds),
            None => self.0.push((what, vec![seconds])),
        }
    }

    /// The times of one step in seconds.
    pub(crate) fn seconds(&self, what: &str) -> &[f64] {
        self.0.iter().find(|(known, _)| *known == what).map_or(&[], |(_, times)| times)
    }

    /// Keeps the median and the longest of each step as values of the test.
    pub(crate) fn tell(&self, cx: &TestContext) {
        for (what, times) in &self.0 {
            let Some(median) = crate::measure::median(times) else { continue };
            cx.value(format!("{what}, median of {}", times.len()), median, "s");
            let longest = times.iter().copied().fold(f64::MIN, f64::max);
            cx.value(format!("{what}, longest"), longest, "s");
        }
    }
}
