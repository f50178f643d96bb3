//! Durations as they stand in journals and records.

use std::time::Duration;

/// A duration that is written as seconds, a decimal number with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seconds(pub Duration);

/// A duration as a journal keeps it: what is finer than a microsecond is left off, so that an event
/// is the same before it was written and after it was read.
pub(crate) fn micros(duration: Duration) -> Seconds {
    let finer = u64::from(duration.subsec_nanos() % 1000);
    Seconds(duration.saturating_sub(Duration::from_nanos(finer)))
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl serde::Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.0.as_secs_f64() * 1e6).round() / 1e6)
    }
}

impl<'de> serde::Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map(Self).map_err(serde::de::Error::custom)
    }
}
