//! Lanes of a chart for tests that run side by side.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Gives each test that runs the lowest number that no other one has.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Those below `used` that are free.
    free: BinaryHeap<Reverse<u32>>,
    used: u32,
}

/// A lane, until it is dropped.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    lanes: &'a Lanes,
    pub(super) number: u32,
}

impl Lanes {
    pub(super) fn take(&self) -> Lane<'_> {
        let mut state = self.lock();
        let number = state.free.pop().map_or(state.used, |Reverse(number)| number);
        state.used = state.used.max(number + 1);
        Lane { lanes: self, number }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.lanes.lock().free.push(Reverse(self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_lane_is_taken() {
        let lanes = Lanes::default();
        let [a, b, c] = [(); 3].map(|()| lanes.take());
        assert_eq!([a.number, b.number, c.number], [0, 1, 2]);
        drop(b);
        drop(a);
        let [a, b, d] = [(); 3].map(|()| lanes.take());
        assert_eq!([a.number, b.number, d.number], [0, 1, 3]);
        drop(c);
    }
}
