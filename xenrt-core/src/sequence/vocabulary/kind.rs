//! What a value looks like.

use super::super::values;
use crate::lab::deadlines::parse_duration;
use crate::model::Ability;
use crate::sequence::{ProductType, StorageType};

/// The type of an attribute or of the text of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sequence) enum Kind {
    /// Anything, also nothing.
    Free,
    /// Anything but nothing.
    Text,
    /// A truth value.
    Flag,
    /// A whole number in a range.
    Number(i64, i64),
    /// A number.
    Decimal,
    /// A duration: `90s`, `1h 30m`.
    Duration,
    /// One of these words.
    Words(&'static [&'static str]),
    /// The type of a storage.
    Storage,
    /// A hypervisor.
    Product,
    /// Names of abilities.
    Abilities,
    /// An address with the length of its prefix.
    Address,
    /// The speed of a network interface.
    Speed,
}

impl Kind {
    /// Whether a text that refers to no variable can be one.
    pub(in crate::sequence) fn fits(self, text: &str) -> bool {
        let text = text.trim();
        match self {
            Self::Free => true,
            Self::Text => !text.is_empty(),
            Self::Flag => values::parse_bool(text).is_some(),
            Self::Number(least, most) => {
                text.parse().is_ok_and(|number: i64| (least..=most).contains(&number))
            }
            Self::Decimal => text.parse().is_ok_and(f64::is_finite),
            Self::Duration => parse_duration(text).is_ok(),
            Self::Words(words) => words.contains(&text),
            Self::Storage => StorageType::WORDS.iter().any(|(word, _)| *word == text),
            Self::Product => ProductType::WORDS.iter().any(|(word, _)| *word == text),
            Self::Abilities => values::list(text).all(|name| name.parse::<Ability>().is_ok()),
            Self::Address => values::parse_address(text).is_some(),
            Self::Speed => values::parse_speed(text).is_some(),
        }
    }

    /// What is expected, for a diagnostic.
    pub(in crate::sequence) fn expected(self) -> String {
        let or = |words: &mut dyn Iterator<Item = &'static str>| -> String {
            let words: Vec<_> = words.collect();
            super::super::read::or(words.into_iter().map(str::to_owned))
        };
        match self {
            Self::Free | Self::Text => "a text".into(),
            Self::Flag => "yes or no (also: true, 1; false, 0)".into(),
            Self::Number(least, most) if most >= i64::from(u32::MAX) => {
                format!("a whole number from {least}")
            }
            Self::Number(least, most) => format!("a whole number from {least} to {most}"),
            Self::Decimal => "a number".into(),
            Self::Duration => "a number with a unit, such as \"90s\", \"20m\" or \"1h 30m\"".into(),
            Self::Words(words) => or(&mut words.iter().copied()),
            Self::Storage => or(&mut StorageType::WORDS.iter().map(|(word, _)| *word)),
            Self::Product => or(&mut ProductType::WORDS.iter().map(|(word, _)| *word)),
            Self::Abilities => {
                let names = or(&mut Ability::ALL.iter().map(|ability| ability.name()));
                format!("names of abilities with commas between them: {names}")
            }
            Self::Address => "an address with its prefix, such as \"172.16.0.1/24\"".into(),
            Self::Speed => "a speed such as \"1G\" or \"10G\"".into(),
        }
    }
}
