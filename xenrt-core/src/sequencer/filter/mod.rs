//! The filter language: which tests are meant, in one language everywhere.
//!
//! ```text
//! group(Basic) & !test(reboot) | prio(<=2)
//! ```
//!
//! # Predicates
//!
//! | predicate | selects tests | bare text means |
//! |---|---|---|
//! | `id(M)` | by their id in the registry, `network.hfx745` | contains |
//! | `test(M)`, `name(M)` | by their name in reports, alone or as `group/name` | contains |
//! | `group(M)` | by their group | equal |
//! | `tag(M)` | that have such a tag | equal |
//! | `tc(M)` | by their number in a test management system, `TC-19178` | equal |
//! | `sku(M)` | by the edition that the number is about | equal |
//! | `ttype(M)` | by the `ttype` of the sequence file | equal |
//! | `prio(N)` | by priority: `prio(1)`, `prio(<=2)`, `prio(<3)`, `prio(>=2)`, `prio(>1)`; a test without one has none of these | |
//! | `host(M)` | that the sequence file gives to such a host | equal |
//! | `guest(M)` | that the sequence file gives to such a guest | equal |
//! | `arg(NAME)` | that have an argument with this name | |
//! | `arg(NAME=M)` | that have it with such a value | equal |
//! | `all()` | all | |
//! | `none()` | none | |
//!
//! # Matchers
//!
//! `M` is a text, with what it must do in front of it: `=reboot` equals, `~boot` is contained,
//! `#lifecycle.*` is a pattern in which `*` stands for anything and `?` for one character, and
//! `/^re(boot|start)/` is a regular expression that matches somewhere. Letters' case does not matter,
//! except in a regular expression that says `(?-i)`. A backslash takes the next character as
//! it is: `test(reboot\(1\))`. Space around a text does not belong to it.
//!
//! # Operators
//!
//! | operator | means | binds |
//! |---|---|---|
//! | `!a`, `not a` | not a | most |
//! | `a & b`, `a and b` | both | |
//! | `a - b` | a and not b | as `&` |
//! | <code>a &#124; b</code>, `a or b` | either | least |
//!
//! Parentheses group.

mod ast;
mod error;
mod matcher;
mod parse;
mod show;
#[cfg(test)]
mod tests;

pub use error::FilterError;

use ast::Expr;

use super::PlannedTest;

/// Which tests are meant: an expression of the [filter language](self#the-filter-language).
///
/// Shown with `{}`, it is an expression that means the same.
///
/// ```
/// use xenrt_core::sequencer::Filter;
///
/// let filter: Filter = "group(Basic) & !test(reboot) | prio(<=2)".parse()?;
/// assert_eq!(filter.to_string(), "group(Basic) & !test(reboot) | prio(<=2)");
/// let error = Filter::parse("grup(Basic)").unwrap_err();
/// assert!(error.to_string().contains("grup"));
/// # Ok::<(), xenrt_core::sequencer::FilterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Expr);

/// What a filter looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) test: &'a PlannedTest,
    pub(super) host: Option<&'a str>,
    pub(super) guest: Option<&'a str>,
}

impl Filter {
    /// What the language offers, for the `--help` of a program.
    pub const HELP: &'static str = "\
Filters: PREDICATE(MATCHER), combined with & | - ! or and, or, not, and parentheses
  id(M)  test(M)  group(M)  tag(M)  tc(M)  sku(M)  ttype(M)  host(M)  guest(M)
  prio(N) prio(<=N) ...   arg(NAME)  arg(NAME=M)   all()  none()
  M: =equal  ~contains  #glob*  /regex/   (bare text: contains in id and test, equal elsewhere)
Examples:
  --filter 'group(Basic) & !test(reboot)'     the group Basic without the reboots
  --filter 'prio(<=2) | tag(smoke)'           what is important, and all smoke tests
  --filter 'id(#network.*) - arg(loops=100)'  all network tests but the long ones";

    /// Understands an expression.
    ///
    /// # Errors
    /// What is wrong and where, with the nearest valid name.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::parse(text).map(Self)
    }

    /// The filter that selects every test.
    pub fn everything() -> Self {
        Self(Expr::All)
    }

    /// Tests that have this word as a part of their id, name, group or number in a test management
    /// system, or as a tag: what `--run WORD` means.
    pub fn word(word: &str) -> Self {
        Self(Expr::word(word))
    }

    /// Tests that at least one of `filters` selects; none where there are none.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Self {
        Self(Expr::any(filters.into_iter().map(|filter| filter.0)))
    }

    /// Tests that this and `other` select.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Expr::every([self.0, other.0]))
    }

    /// Tests that this does not select.
    #[must_use]
    pub fn negated(self) -> Self {
        Self(self.0.negated())
    }

    /// Tests whose priority number is greater than this: 1 is the most important. What `--prio N`
    /// leaves out.
    pub fn priority_above(most: i32) -> Self {
        Self(Expr::Priority(ast::Relation::Greater, most))
    }

    /// Whether it selects this test; as for a test to which the sequence file gives no host or
    /// guest.
    pub fn selects(&self, test: &PlannedTest) -> bool {
        self.admits(Subject { test, host: None, guest: None })
    }

    pub(super) fn admits(&self, subject: Subject<'_>) -> bool {
        self.0.admits(&subject)
    }

    /// Whether it is the one that selects every test.
    pub fn is_everything(&self) -> bool {
        self.0 == Expr::All
    }
}

/// As its text.
impl serde::Serialize for Filter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Filter {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}
