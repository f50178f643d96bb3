//! Quantities that must not be mistaken for one another.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// An amount of memory or storage. Exact to the byte; shown in the largest unit that divides it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Memory(u64);

impl Memory {
    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many KiB (1024 bytes), as `xl list -l` counts.
    pub const fn kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1 << 10))
    }

    /// So many MiB.
    pub const fn mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// So many GiB.
    pub const fn gib(gib: u64) -> Self {
        Self(gib.saturating_mul(1 << 30))
    }

    /// In bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// In whole KiB, rounded down.
    pub const fn as_kib(self) -> u64 {
        self.0 >> 10
    }

    /// In whole MiB, rounded down.
    pub const fn as_mib(self) -> u64 {
        self.0 >> 20
    }

    /// The distance between two amounts.
    pub const fn abs_diff(self, other: Self) -> Self {
        Self(self.0.abs_diff(other.0))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            bytes if bytes >= 1 << 30 && bytes % (1 << 30) == 0 => (1 << 30, "GiB"),
            bytes if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => (1 << 20, "MiB"),
            bytes if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => (1 << 10, "KiB"),
            _ => (1, "B"),
        };
        write!(f, "{} {name}", self.0 / unit)
    }
}

/// A number with a unit: `512 MiB`, `2G`, `65536`. Without a unit it is bytes.
impl FromStr for Memory {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(
                format!("size {text:?}"),
                "expected a whole number with B, KiB, MiB, GiB or TiB, such as \"512 MiB\"",
            )
        };
        let text_trimmed = text.trim();
        let digits = text_trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(text_trimmed.len());
        let number: u64 = text_trimmed[..digits].parse().map_err(|_| wrong())?;
        let shift = match text_trimmed[digits..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            _ => return Err(wrong()),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(wrong)
    }
}

/// The hardware address of a network interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// From its six bytes.
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Its six bytes.
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// A random address in the range that belongs to Xen guests, `00:16:3e:00:00:00` to
    /// `00:16:3e:7f:ff:ff` (xl-network-configuration(5)).
    pub fn random_xen() -> Self {
        let tail: [u8; 3] = rand::random();
        Self([0x00, 0x16, 0x3e, tail[0] & 0x7f, tail[1], tail[2]])
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(
                format!("MAC address {text:?}"),
                "expected six pairs of hexadecimal digits, such as \"00:16:3e:01:02:03\"",
            )
        };
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        if pairs.next().is_some() { Err(wrong()) } else { Ok(Self(bytes)) }
    }
}

impl serde::Serialize for MacAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for MacAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_read_as_they_are_shown() {
        for (text, bytes) in [("512 MiB", 512 << 20), ("2G", 2 << 30), ("0", 0), ("1 KiB", 1024)] {
            assert_eq!(text.parse::<Memory>().unwrap().as_bytes(), bytes, "{text}");
        }
        for wrong in ["", "MiB", "1.5G", "-1", "12 MB", "99999999999999T"] {
            assert!(wrong.parse::<Memory>().is_err(), "{wrong:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn any_size_survives_being_shown(bytes: u64) {
            let size = Memory::bytes(bytes);
            prop_assert_eq!(size.to_string().parse::<Memory>().unwrap(), size);
        }

        #[test]
        fn any_mac_survives_being_shown(bytes: [u8; 6]) {
            let mac = MacAddress::new(bytes);
            prop_assert_eq!(mac.to_string().parse::<MacAddress>().unwrap(), mac);
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text: String) {
            let _ = text.parse::<Memory>();
            let _ = text.parse::<MacAddress>();
        }
    }
}
