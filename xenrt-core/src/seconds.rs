//! Durations as they stand in journals and records, and as people read them.

use std::fmt;
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

/// A duration as people read it: `250 ms`, `1.5 s`, `10 min`, `1 h 30 min`.
///
/// What is shorter than a minute has up to three digits that count, what is longer is in whole
/// seconds; parts that are zero are left out. It is what every message, plan and report shows,
/// where numbers do not stand in columns.
///
/// ```
/// use std::time::Duration;
/// use xenrt_core::seconds::Readable;
///
/// assert_eq!(Readable(Duration::from_secs(600)).to_string(), "10 min");
/// assert_eq!(Readable(Duration::from_secs(5400)).to_string(), "1 h 30 min");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Readable(pub Duration);

impl Readable {
    /// Of a number of seconds as a report keeps it; what is no duration is none.
    pub(crate) fn seconds(seconds: f64) -> Self {
        Self(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }
}

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.saturating_add(Duration::from_millis(500)).as_secs();
        // What rounds to a minute is one.
        if whole < 60 {
            return short(self.0.as_secs_f64(), f);
        }
        let parts = [(whole / 3600, "h"), (whole / 60 % 60, "min"), (whole % 60, "s")];
        let mut space = "";
        for (number, unit) in parts {
            if number > 0 {
                write!(f, "{space}{number} {unit}")?;
                space = " ";
            }
        }
        Ok(())
    }
}

/// Less than a minute.
fn short(seconds: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let units = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")];
    let round = |number: f64| {
        let digits: u8 = match number {
            ..10.0 => 2,
            ..100.0 => 1,
            _ => 0,
        };
        let factor = 10_f64.powi(digits.into());
        (number * factor).round() / factor
    };
    let unit = units.iter().find(|(unit, _)| seconds >= *unit).or(units.last());
    match unit {
        Some((unit, name)) if seconds > 0.0 => {
            let number = round(seconds / unit);
            // 999.6 ms are a second.
            if number >= 1000.0 { f.write_str("1 s") } else { write!(f, "{number} {name}") }
        }
        _ => f.write_str("0 s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_short_words() {
        let micros = [0, 7, 120, 3400, 250_000, 1_500_000, 42_000_000, 59_400_000, 59_500_000];
        let all = micros.map(|micros| Readable(Duration::from_micros(micros)).to_string());
        let expected =
            ["0 s", "7 µs", "120 µs", "3.4 ms", "250 ms", "1.5 s", "42 s", "59.4 s", "1 min"];
        assert_eq!(all, expected);
        let all = [61, 600, 3599, 3600, 3605, 5400, 43_200, 90_061]
            .map(|seconds| Readable(Duration::from_secs(seconds)).to_string());
        let expected = [
            "1 min 1 s",
            "10 min",
            "59 min 59 s",
            "1 h",
            "1 h 5 s",
            "1 h 30 min",
            "12 h",
            "25 h 1 min 1 s",
        ];
        assert_eq!(all, expected);
        assert_eq!(Readable::seconds(-1.0).to_string(), "0 s");
        assert!(!Readable(Duration::MAX).to_string().is_empty());
    }

    proptest! {
        #[test]
        fn whole_seconds_are_read_back_as_they_were(seconds in 0_u64..1_000_000) {
            let duration = Duration::from_secs(seconds);
            let text = Readable(duration).to_string();
            prop_assert_eq!(crate::lab::deadlines::parse_duration(&text).unwrap(), duration);
        }
    }
}
