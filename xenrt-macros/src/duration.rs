//! Durations in attributes.

use std::time::Duration;

/// A duration such as `90s`, `20m`, `1h 30m` or `500ms`: whole numbers with their units, the
/// largest first, together more than nothing. `None` for anything else.
///
/// It takes a part of what the arguments of tests take, and gives the same value for it; a test of
/// the workspace holds the two together.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut units = UNITS.iter();
    let mut milliseconds = 0_u64;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..unit_at].parse().ok()?;
        let unit_end = rest[unit_at..]
            .find(|c: char| !c.is_ascii_alphabetic())
            .map_or(rest.len(), |end| unit_at + end);
        // A unit that is smaller than those before it.
        let (_, factor) = units.find(|(name, _)| *name == &rest[unit_at..unit_end])?;
        milliseconds = milliseconds.checked_add(number.checked_mul(*factor)?)?;
        rest = rest[unit_end..].trim_start();
    }
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, milliseconds) in [
            ("90s", 90_000),
            ("20m", 1_200_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            (" 500ms ", 500),
            ("1m 1ms", 60_001),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text:?}");
        }
        for wrong in [
            "",
            "20",
            "0s",
            "-5s",
            "5 parsecs",
            "30m 1h",
            "1s 1s",
            "m",
            "1.5h",
            "99999999999999999h",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
