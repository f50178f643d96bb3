//! Whether a value drifts: a slope with its confidence, and not a threshold.

use super::median;

/// The slope of a value over steps, by Theil and Sen: the median of the slopes between all pairs
/// of samples. Up to a quarter of the samples may be far out without effect, so a collection of
/// garbage or a cache that fills once is no leak.
///
/// The interval is Sen's (P. K. Sen, "Estimates of the regression coefficient based on Kendall's
/// tau", 1968, section 5), at 99 %: many values are looked at in one test, and one in a hundred may
/// seem to drift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// The change in one step.
    pub slope: f64,
    /// The 99 % interval of it.
    pub interval: (f64, f64),
    /// How many samples there were.
    pub samples: usize,
}

/// What a trend says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// It rises: the whole interval is above the least that counts.
    Rises,
    /// It falls, as surely.
    Falls,
    /// Neither can be said.
    None,
}

/// The two-sided 99 % quantile of the normal distribution.
const Z: f64 = 2.5758;

impl Trend {
    /// The trend of samples that are one step apart; `None` for fewer than 6, of which nothing can
    /// be said.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let count = samples.len();
        if count < 6 {
            return None;
        }
        let mut slopes = Vec::with_capacity(count * (count - 1) / 2);
        for (at, first) in samples.iter().enumerate() {
            for (distance, later) in samples[at + 1..].iter().enumerate() {
                slopes.push((later - first) / (distance + 1) as f64);
            }
        }
        slopes.sort_unstable_by(f64::total_cmp);
        let n = count as f64;
        let spread = Z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
        let pairs = slopes.len() as f64;
        let low = ((pairs - spread) / 2.0).floor().max(0.0) as usize;
        let high = (((pairs + spread) / 2.0).ceil() as usize).min(slopes.len() - 1);
        let interval = (slopes[low], slopes[high]);
        Some(Self { slope: median(&slopes)?, interval, samples: count })
    }

    /// What it says, where less than `least` a step does not count.
    pub fn drift(&self, least: f64) -> Drift {
        if self.interval.0 > 0.0 && self.slope >= least {
            Drift::Rises
        } else if self.interval.1 < 0.0 && -self.slope >= least {
            Drift::Falls
        } else {
            Drift::None
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    fn samples(seed: u64, count: usize, leak: f64) -> Vec<f64> {
        let mut rng = StdRng::seed_from_u64(seed);
        // A process of 40 MB with a cache that comes and goes, and one large outlier in ten.
        let mut one = |step: usize| {
            let noise = rng.random::<f64>() * 800.0;
            let outlier = if rng.random::<f64>() < 0.1 { 6000.0 } else { 0.0 };
            40_000.0 + noise + outlier + leak * step as f64
        };
        (0..count).map(&mut one).collect()
    }

    #[test]
    fn a_leak_of_a_mebibyte_a_cycle_is_found_with_its_size() {
        for seed in 0..50 {
            let trend = Trend::of(&samples(seed, 12, 1024.0)).unwrap();
            assert_eq!(trend.drift(64.0), Drift::Rises, "{seed}: {trend:?}");
            assert!((700.0..1400.0).contains(&trend.slope), "{seed}: {trend:?}");
        }
    }

    #[test]
    fn noise_is_not_taken_for_a_leak() {
        let wrong = (0..500)
            .filter(|seed| Trend::of(&samples(*seed, 20, 0.0)).unwrap().drift(0.0) != Drift::None);
        let wrong = wrong.count();
        assert!(wrong <= 15, "{wrong} of 500 at 1 %");
    }

    #[test]
    fn a_step_that_comes_once_is_no_drift() {
        let mut samples = vec![100.0; 20];
        samples[..2].fill(50.0);
        assert_eq!(Trend::of(&samples).unwrap().drift(0.0), Drift::None);
        assert_eq!(Trend::of(&[1.0; 5]), None);
    }
}
