//! What measured values say: verdicts with their confidence, and trends.
//!
//! A bare number is no verdict. [`Comparison`] says by how much two series of measurements differ,
//! how sure that is, and what the host's own noise is; [`Trend`] says whether a value drifts.

mod resample;
mod trend;
mod verdict;

pub use trend::{Drift, Trend};
pub use verdict::{Better, Comparison, Verdict};

/// The median; `None` of nothing. Values that are no numbers sort last.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(super::median(&[]), None);
        assert_eq!(super::median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(super::median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
