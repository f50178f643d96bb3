//! Whether dom0 grows with what guests do.

use std::collections::BTreeMap;

use tokio::time::Instant;
use xenrt::prelude::*;

use crate::measure::{Drift, Trend};
use crate::support::{Resident, bring_up, count, guest_spec, in_round, up};

/// Guests go through their lives over and over, and after each cycle the memory of each process of dom0
/// is measured. One that grows is named, with how much it keeps of each cycle and how sure that is: the
/// 99 % interval of the slope must be above zero, and the slope above `least`. The first `settle`
/// cycles do not count, since caches fill.
///
/// Arguments: `distro` (generic-linux), `cycles` at least (12), `settle` (3), `duration`: more cycles
/// until so much time has passed (0s), `least` in KiB a cycle (64).
#[testcase(
    id = "host.dom0_drift",
    timeout = "12h",
    claims(host = "exclusive"),
    tags("host", "leak", "soak")
)]
struct Dom0Drift {
    guest: Arc<dyn Guest>,
    cycles: u32,
    settle: u32,
    duration: Duration,
    least: f64,
}

#[async_trait]
impl TestCase for Dom0Drift {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let args = cx.args();
        let (cycles, settle): (u32, u32) = (count(cx, "cycles", 12)?, args.get_or("settle", 3)?);
        if cycles < 6 {
            let problem = format!("`cycles` is {cycles}; a trend needs 6 at least");
            return Err(TestError::test(problem));
        }
        let duration = args.get_or("duration", Duration::ZERO)?;
        let least = args.get_or("least", 64.0)?;
        let guest = up(&cx.default_host()?, &guest_spec(cx)?).await?;
        Ok(Self { guest, cycles, settle, duration, least })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let host = cx.default_host()?;
        let began = Instant::now();
        let mut samples: Vec<Resident> = Vec::new();
        let mut cycle = 0;
        while cycle < self.settle + self.cycles || began.elapsed() < self.duration {
            cycle += 1;
            cx.step(format!("Cycle {cycle}"));
            self.once().await.map_err(in_round(cycle, self.settle + self.cycles))?;
            if cycle > self.settle {
                samples.push(Resident::look(host.as_ref()).await?);
            }
        }
        let growing = growing(&samples, self.least);
        cx.value("cycles", f64::from(cycle), "");
        cx.value("processes of dom0 that grow", growing.len() as f64, "");
        match growing.as_slice() {
            [] => Ok(()),
            several => {
                Err(TestError::product(format!("dom0 leaks memory: {}", several.join("; "))))
            }
        }
    }
}

impl Dom0Drift {
    async fn once(&self) -> Result {
        let guest = self.guest.as_ref();
        guest.pause().await?;
        guest.unpause().await?;
        if guest.host().abilities().has(Ability::Suspend) {
            guest.suspend().await?;
            guest.resume().await?;
        }
        guest.shutdown(ShutdownMode::Clean).await?;
        bring_up(guest).await
    }
}

/// The processes that were there all the time and grow, the largest slope first.
fn growing(samples: &[Resident], least: f64) -> Vec<String> {
    let mut series: BTreeMap<&(u32, String), Vec<f64>> = BTreeMap::new();
    for sample in samples {
        for (process, kib) in &sample.0 {
            series.entry(process).or_default().push(*kib as f64);
        }
    }
    let mut growing: Vec<(f64, String)> = series
        .into_iter()
        .filter(|(_, values)| values.len() == samples.len())
        .filter_map(|((pid, name), values)| {
            let trend = Trend::of(&values)?;
            (trend.drift(least) == Drift::Rises).then(|| {
                let (low, high) = trend.interval;
                let told = format!(
                    "{name} (process {pid}) keeps {:.0} KiB of each cycle (99 %: {low:.0}..{high:.0}, \
                     {} cycles)",
                    trend.slope, trend.samples
                );
                (trend.slope, told)
            })
        })
        .collect();
    growing.sort_by(|a, b| b.0.total_cmp(&a.0));
    growing.into_iter().map(|(_, told)| told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_grows_is_named_and_the_others_are_not() {
        let sample = |cycle: u64| {
            let noise = cycle * 7919 % 13 * 20;
            let processes = [
                ((9, "xenstored"), 4000 + 1024 * cycle + noise),
                ((12, "sshd"), 7000 + noise),
                ((13, "xl"), 3000 + if cycle > 4 { 2000 } else { 0 }),
            ];
            let own = |((pid, name), kib): ((u32, &str), u64)| ((pid, name.to_owned()), kib);
            Resident(processes.into_iter().map(own).collect())
        };
        let samples: Vec<Resident> = (0..12).map(sample).collect();
        let told = growing(&samples, 64.0);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("xenstored (process 9) keeps 10"), "{told:?}");
    }
}
