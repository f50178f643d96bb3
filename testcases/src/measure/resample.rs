//! The bootstrap: what else could have been measured.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::median;

/// So many samples are drawn. The ends of a 95 % interval have an error of a few percent of its
/// width then (Efron and Tibshirani, "An Introduction to the Bootstrap", section 14).
const DRAWS: usize = 1000;

/// The 95 % interval of the ratio of the medians of `changed` and `base`, by the percentile
/// bootstrap: both series are drawn from anew, with replacement. The same input gives the same
/// interval.
pub(super) fn interval_of_ratio(base: &[f64], changed: &[f64], seed: u64) -> (f64, f64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut draw = |values: &[f64]| {
        let drawn: Vec<f64> =
            (0..values.len()).map(|_| values[rng.random_range(0..values.len())]).collect();
        median(&drawn).unwrap_or(f64::NAN)
    };
    let mut ratios: Vec<f64> = (0..DRAWS).map(|_| draw(changed) / draw(base)).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| ratios[((DRAWS - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}
