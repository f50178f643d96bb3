//! What an expression is, and which tests it selects.

use super::Subject;
use super::matcher::{Matcher, Text};

/// An expression. `All` and `Any` lists have at least two parts, none of which is such a list again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    All,
    None,
    Not(Box<Self>),
    Every(Vec<Self>),
    Any(Vec<Self>),
    Field(Field, Text),
    Priority(Relation, i32),
    Argument(String, Option<Text>),
}

/// What of a test a text is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Test,
    Group,
    Tag,
    Tc,
    Sku,
    Ttype,
    Host,
    Guest,
}

/// How a priority is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
}

impl Field {
    pub(super) const ALL: [(&'static str, Self); 10] = [
        ("id", Self::Id),
        ("test", Self::Test),
        ("name", Self::Test),
        ("group", Self::Group),
        ("tag", Self::Tag),
        ("tc", Self::Tc),
        ("sku", Self::Sku),
        ("ttype", Self::Ttype),
        ("host", Self::Host),
        ("guest", Self::Guest),
    ];

    /// What bare text means.
    pub(super) fn bare(self) -> Matcher {
        match self {
            Self::Id | Self::Test => Matcher::Contains,
            _ => Matcher::Equal,
        }
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }
}

impl Relation {
    /// Longer ones first, as a parser has to try them.
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("<", Self::Less),
        (">", Self::Greater),
        ("=", Self::Equal),
    ];

    fn holds(self, left: i32, right: i32) -> bool {
        match self {
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Equal => left == right,
            Self::AtLeast => left >= right,
            Self::Greater => left > right,
        }
    }
}

impl Expr {
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let parts = parts.into_iter().flat_map(|part| match part {
            Self::Any(inner) => inner,
            other => vec![other],
        });
        let mut parts: Vec<_> = parts.collect();
        match parts.len() {
            0 => Self::None,
            1 => parts.remove(0),
            _ => Self::Any(parts),
        }
    }

    /// All of these; those that say nothing are left out.
    pub(super) fn every(parts: impl IntoIterator<Item = Self>) -> Self {
        let parts = parts.into_iter().flat_map(|part| match part {
            Self::Every(inner) => inner,
            Self::All => Vec::new(),
            other => vec![other],
        });
        let mut parts: Vec<_> = parts.collect();
        match parts.len() {
            0 => Self::All,
            1 => parts.remove(0),
            _ => Self::Every(parts),
        }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            Self::All => Self::None,
            Self::None => Self::All,
            other => Self::Not(Box::new(other)),
        }
    }

    pub(super) fn word(word: &str) -> Self {
        let contains = |field| Self::Field(field, Text::plain(Matcher::Contains, word));
        Self::any([
            contains(Field::Id),
            contains(Field::Test),
            contains(Field::Tc),
            Self::Field(Field::Tag, Text::plain(Matcher::Equal, word)),
        ])
    }

    pub(super) fn admits(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Not(inner) => !inner.admits(subject),
            Self::Every(parts) => parts.iter().all(|part| part.admits(subject)),
            Self::Any(parts) => parts.iter().any(|part| part.admits(subject)),
            Self::Field(field, text) => field.admits(subject, text),
            Self::Priority(relation, number) => {
                subject.test.priority.is_some_and(|own| relation.holds(own, *number))
            }
            Self::Argument(name, value) => subject.test.arguments.iter().any(|argument| {
                let (own, own_value) = argument.split_once('=').unwrap_or((argument, ""));
                own == name && value.as_ref().is_none_or(|value| value.matches(own_value))
            }),
        }
    }
}

impl Field {
    fn admits(self, subject: &Subject<'_>, text: &Text) -> bool {
        let test = subject.test;
        let some = |value: Option<&str>| value.is_some_and(|value| text.matches(value));
        match self {
            Self::Id => text.matches(&test.id),
            Self::Test => {
                text.matches(&test.name) || text.matches(&format!("{}/{}", test.group, test.name))
            }
            Self::Group => text.matches(&test.group),
            Self::Tag => test.tags.iter().any(|tag| text.matches(tag)),
            Self::Tc => some(test.tc.as_deref()),
            Self::Sku => some(test.sku.as_deref()),
            Self::Ttype => some(test.ttype.as_deref()),
            Self::Host => some(subject.host),
            Self::Guest => some(subject.guest),
        }
    }
}
