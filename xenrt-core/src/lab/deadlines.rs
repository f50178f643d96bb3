//! How long things may take on a host.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// How long the verbs of a host's guests may take before they count as failed.
///
/// In a lab file these are texts such as `"90s"` or `"10m"`, all of them optional. The defaults are
/// generous for real hardware under load; the original's are the basis (guest.py `poll`: 600 s).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deadlines {
    /// A power state to be reached after the toolstack took the request.
    #[serde(deserialize_with = "duration")]
    pub state: Duration,
    /// A guest to boot: from started to a login that works.
    #[serde(deserialize_with = "duration")]
    pub boot: Duration,
    /// A device, vCPU or memory change to be seen everywhere.
    #[serde(deserialize_with = "duration")]
    pub device: Duration,
    /// A guest's memory to be written or read.
    #[serde(deserialize_with = "duration")]
    pub suspend: Duration,
    /// A live migration.
    #[serde(deserialize_with = "duration")]
    pub migrate: Duration,
    /// A host to boot: from a reboot request to a toolstack that answers.
    #[serde(deserialize_with = "duration")]
    pub host_boot: Duration,
    /// One toolstack command that is not one of the above.
    #[serde(deserialize_with = "duration")]
    pub command: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            state: Duration::from_secs(300),
            boot: Duration::from_secs(600),
            device: Duration::from_secs(60),
            suspend: Duration::from_secs(900),
            migrate: Duration::from_secs(1800),
            host_boot: Duration::from_secs(900),
            command: Duration::from_secs(120),
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    crate::lab::deadlines::parse_duration(&text).map_err(serde::de::Error::custom)
}

/// A duration as people write it: `90s`, `10m`, `1h 30m`.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for anything else, a negative one included.
pub(crate) fn parse_duration(text: &str) -> crate::Result<Duration> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| {
            crate::Error::invalid(
                format!("duration {text:?}"),
                "expected a number with a unit, such as \"90s\", \"10m\" or \"1h 30m\"",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(parse_duration("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("1h 30m").unwrap(), Duration::from_secs(5400));
        for wrong in ["", "90", "-5s", "soon", "5 parsecs"] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?} was accepted");
        }
    }
}
