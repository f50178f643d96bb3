//! Whether one series of measurements is worse than another.

use std::fmt;

use super::median;
use super::resample::interval_of_ratio;

/// Which values are the better ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Times.
    Lower,
    /// Throughputs.
    Higher,
}

/// What is said of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It got worse: the whole interval is on the wrong side, and the change is above the noise.
    Regressed,
    /// It got better, as surely.
    Improved,
    /// Neither can be said.
    Unchanged,
}

/// Two series of measurements, held against each other.
///
/// ```
/// use xenrt_testcases::measure::{Better, Comparison, Verdict};
///
/// let base = [10.0, 10.1, 9.9, 10.2, 10.0, 9.8, 10.1, 10.0];
/// let slow = base.map(|seconds| seconds * 1.12);
/// let told = Comparison::of(&base, &slow, Better::Lower)?;
/// assert_eq!(told.verdict(), Verdict::Regressed);
/// assert!(told.to_string().starts_with("regressed by 12 % (95 %: "), "{told}");
/// # Ok::<(), xenrt::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    better: Better,
    /// The medians, before and now.
    medians: (f64, f64),
    /// By how much it is worse, as a share: 0.12 is 12 % worse whichever way is better.
    worse: f64,
    interval: (f64, f64),
    noise: f64,
}

/// Fewer measurements on one side say nothing about their own spread.
const LEAST: usize = 8;

impl Comparison {
    /// Holds `now` against `base`. The noise floor comes from `base` itself: its even and its odd
    /// measurements are compared as if they were two series, and what that comparison cannot tell
    /// from no change is the floor. Interleaved measurements make the floor an honest one.
    ///
    /// # Errors
    /// [`xenrt::Error::Invalid`] for fewer than 8 values on a side, and for values that are not
    /// positive numbers.
    pub fn of(base: &[f64], now: &[f64], better: Better) -> Result<Self, xenrt::Error> {
        for (name, values) in [("the baseline", base), ("the measurements", now)] {
            if values.len() < LEAST {
                let problem = format!("{} values; at least {LEAST} are needed", values.len());
                return Err(xenrt::Error::invalid(name, problem));
            }
            if let Some(wrong) = values.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
                let problem = format!("{wrong} is among them; expected positive numbers");
                return Err(xenrt::Error::invalid(name, problem));
            }
        }
        let missing = || xenrt::Error::invalid("the measurements", "there are none");
        let medians = (median(base).ok_or_else(missing)?, median(now).ok_or_else(missing)?);
        let even: Vec<f64> = base.iter().copied().step_by(2).collect();
        let odd: Vec<f64> = base.iter().copied().skip(1).step_by(2).collect();
        let (low, high) = interval_of_ratio(&even, &odd, NOISE_SEED);
        // Halves have twice the variance of the whole.
        let noise = (high - low) / 2.0 / std::f64::consts::SQRT_2;
        let (low, high) = interval_of_ratio(base, now, SEED);
        let ratio = medians.1 / medians.0;
        let (worse, interval) = match better {
            Better::Lower => (ratio - 1.0, (low - 1.0, high - 1.0)),
            Better::Higher => (1.0 - ratio, (1.0 - high, 1.0 - low)),
        };
        Ok(Self { better, medians, worse, interval, noise })
    }

    /// What is said of it.
    pub fn verdict(&self) -> Verdict {
        let (low, high) = self.interval;
        if low > 0.0 && self.worse > self.noise {
            Verdict::Regressed
        } else if high < 0.0 && -self.worse > self.noise {
            Verdict::Improved
        } else {
            Verdict::Unchanged
        }
    }

    /// By how much it is worse, as a share of the baseline; negative where it is better.
    pub fn worse_by(&self) -> f64 {
        self.worse
    }

    /// The 95 % interval of [`worse_by`](Self::worse_by).
    pub fn interval(&self) -> (f64, f64) {
        self.interval
    }

    /// A change of this share or less cannot be told from none on this host.
    pub fn noise_floor(&self) -> f64 {
        self.noise
    }

    /// The medians of the baseline and of what was measured now.
    pub fn medians(&self) -> (f64, f64) {
        self.medians
    }

    /// Which values are the better ones.
    pub fn better(&self) -> Better {
        self.better
    }
}

const SEED: u64 = 0x7865_6e72_7431;
const NOISE_SEED: u64 = 0x7865_6e72_7432;

/// `regressed by 12 % (95 %: 8..15), noise floor 3 %`.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| {
            let text = format!("{:.0}", share * 100.0);
            if text == "-0" { "0".to_owned() } else { text }
        };
        let (low, high) = self.interval;
        let (low, high, worse) = match self.verdict() {
            Verdict::Regressed => {
                write!(f, "regressed by")?;
                (low, high, self.worse)
            }
            Verdict::Improved => {
                write!(f, "improved by")?;
                (-high, -low, -self.worse)
            }
            Verdict::Unchanged => {
                write!(f, "no change that can be told from noise, worse by")?;
                (low, high, self.worse)
            }
        };
        let (worse, low, high) = (percent(worse), percent(low), percent(high));
        let noise = (self.noise * 100.0).ceil();
        write!(f, " {worse} % (95 %: {low}..{high}), noise floor {noise:.0} %")
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    /// Times as hosts have them: a right-skewed spread of about `spread`, and now and then one that
    /// is far out.
    fn times(rng: &mut StdRng, count: usize, median: f64, spread: f64) -> Vec<f64> {
        let mut one = || {
            // The sum of four uniform draws is near enough to a bell.
            let bell: f64 = (0..4).map(|_| rng.random::<f64>() - 0.5).sum::<f64>() * 1.732;
            let outlier = if rng.random::<f64>() < 0.05 { 1.5 } else { 1.0 };
            median * (bell * spread).exp() * outlier
        };
        (0..count).map(|_| one()).collect()
    }

    fn regressions(slow_down: f64, trials: u64) -> u64 {
        let verdict = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            let base = times(&mut rng, 30, 4.0, 0.05);
            let now = times(&mut rng, 30, 4.0 * (1.0 + slow_down), 0.05);
            Comparison::of(&base, &now, Better::Lower).unwrap().verdict()
        };
        (0..trials).filter(|seed| verdict(*seed) == Verdict::Regressed).count() as u64
    }

    #[test]
    fn a_planted_slow_down_of_ten_percent_is_found_in_nineteen_of_twenty_trials() {
        let trials = 100;
        let found = regressions(0.10, trials);
        println!("a slow-down of 10 % was found in {found} of {trials} trials");
        assert!(found * 20 >= trials * 19, "{found} of {trials}");
    }

    #[test]
    fn nothing_is_called_a_regression_in_more_than_one_of_twenty_trials() {
        let trials = 200;
        let wrong = regressions(0.0, trials);
        println!("no slow-down was called one in {wrong} of {trials} trials");
        assert!(wrong * 20 <= trials, "{wrong} of {trials}");
    }

    #[test]
    fn a_verdict_reads_as_a_sentence() {
        let mut rng = StdRng::seed_from_u64(4);
        let base = times(&mut rng, 40, 100.0, 0.03);
        let told = |factor: f64, better| {
            let now: Vec<f64> = base.iter().map(|value| value * factor).collect();
            Comparison::of(&base, &now, better).unwrap().to_string()
        };
        insta::assert_snapshot!(
            [
                told(1.12, Better::Lower),
                told(0.80, Better::Lower),
                told(0.88, Better::Higher),
                told(1.0, Better::Higher),
            ]
            .join("\n"),
        );
    }

    #[test]
    fn what_says_nothing_is_refused() {
        let good = [1.0; 8];
        let few = Comparison::of(&good[..7], &good, Better::Lower).unwrap_err();
        assert_eq!(few.to_string(), "the baseline: 7 values; at least 8 are needed");
        let wrong = [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        assert!(Comparison::of(&good, &wrong, Better::Lower).is_err());
        assert!(Comparison::of(&good, &[f64::NAN; 8], Better::Lower).is_err());
    }
}
