//! Variables, and texts in which they stand.
//!
//! `${NAME}` and `%NAME%` both stand for the variable `NAME`; `A:B` names the nested variable
//! `A/B`. (The original resolved `%NAME%` and `${NAME}` from two sets and at two times; here there
//! is one set, the innermost definition first.) A variable may refer to others.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::xml::Element;

/// A name, in one of its two forms. Anything else with `$` or `%` is text: there are arguments
/// such as `50%`.
#[expect(clippy::expect_used, reason = "the pattern is constant and a test uses it")]
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$\{([\w:/.-]+)\}|%([A-Za-z_][\w:/]*)%").expect("the pattern is right")
});

/// How deep variables may refer to variables.
const DEEPEST: usize = 32;
/// How long a text may become, and how many references may be followed for it: a few lines of
/// variables that double one another must not fill the memory.
const LONGEST: usize = 16 * 1024;
const MOST_STEPS: usize = 1000;

/// Why a text cannot be settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unsettled {
    /// No variable has this name.
    Undefined(String),
    /// It leads back to itself: the names on the way.
    Circular(Vec<String>),
    /// It becomes too long, or too many references are followed.
    TooLong,
    /// It depends on a definition that is not carried out yet, which is told elsewhere; or on a
    /// variable that has a problem of its own, which is told there.
    ToldElsewhere,
}

/// The variables of a file.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// As they stand in the file.
    raw: BTreeMap<String, String>,
    /// Given from outside; they win, and nothing in them is resolved.
    given: BTreeMap<String, String>,
    /// Defined by elements that are not carried out yet.
    later: BTreeSet<String>,
    /// With a problem that was told.
    broken: BTreeSet<String>,
}

impl Variables {
    pub(super) fn new(given: &BTreeMap<String, String>, root: &Element<'_>) -> Self {
        let mut later = BTreeSet::new();
        names_defined_later(root, &mut later);
        Self { given: given.clone(), later, ..Self::default() }
    }

    /// Defines one; `false` where the file defined it before.
    pub(super) fn define(&mut self, name: String, value: String) -> bool {
        self.raw.insert(name, value).is_none()
    }

    /// A problem of this variable was told; whoever uses it does not tell it again.
    pub(super) fn mark_broken(&mut self, name: &str) {
        self.broken.insert(name.to_owned());
    }

    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// The names that there are, for a hint.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.raw.keys().chain(self.given.keys()).map(String::as_str)
    }

    /// All with their values, those that cannot be settled as they stand.
    pub(super) fn settled(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = self
            .raw
            .iter()
            .map(|(name, raw)| {
                let value = self.expand(raw).map_err(|_| ());
                (name.clone(), value.map_or_else(|()| raw.clone(), Cow::into_owned))
            })
            .collect();
        all.extend(self.given.clone());
        all
    }

    /// The text with every reference replaced.
    pub(super) fn expand<'a>(
        &self,
        text: &'a str,
    ) -> Result<Cow<'a, str>, (Unsettled, Range<usize>)> {
        // Most texts have no reference, and a search for a byte is cheaper than a pattern.
        if !text.contains(['$', '%']) {
            return Ok(Cow::Borrowed(text));
        }
        let mut steps = 0;
        let mut out = String::new();
        let mut done = 0;
        for found in REFERENCE.captures_iter(text) {
            let Some((whole, name)) = found.get(0).zip(found.get(1).or(found.get(2))) else {
                continue;
            };
            out.push_str(&text[done..whole.start()]);
            self.append(name.as_str(), &mut out, &mut Vec::new(), &mut steps)
                .map_err(|problem| (problem, whole.range()))?;
            done = whole.end();
        }
        if done == 0 {
            return Ok(Cow::Borrowed(text));
        }
        out.push_str(&text[done..]);
        Ok(Cow::Owned(out))
    }

    /// Appends the value of a variable.
    fn append(
        &self,
        name: &str,
        out: &mut String,
        way: &mut Vec<String>,
        steps: &mut usize,
    ) -> Result<(), Unsettled> {
        let name = name.replace(':', "/");
        *steps += 1;
        if let Some(value) = self.given.get(&name) {
            out.push_str(value);
            return if out.len() > LONGEST { Err(Unsettled::TooLong) } else { Ok(()) };
        }
        let Some(raw) = self.raw.get(&name) else {
            return Err(if self.later.contains(&name) {
                Unsettled::ToldElsewhere
            } else {
                Unsettled::Undefined(name)
            });
        };
        if self.broken.contains(&name) || self.later.contains(&name) {
            return Err(Unsettled::ToldElsewhere);
        }
        if let Some(first) = way.iter().position(|passed| *passed == name) {
            let mut circle = way.split_off(first);
            circle.push(name);
            return Err(Unsettled::Circular(circle));
        }
        if way.len() == DEEPEST || *steps > MOST_STEPS {
            return Err(Unsettled::TooLong);
        }
        way.push(name);
        let mut done = 0;
        for found in REFERENCE.captures_iter(raw) {
            let Some((whole, inner)) = found.get(0).zip(found.get(1).or(found.get(2))) else {
                continue;
            };
            out.push_str(&raw[done..whole.start()]);
            self.append(inner.as_str(), out, way, steps).map_err(|problem| match problem {
                // Whoever looks at this variable itself says so.
                Unsettled::Undefined(_) => Unsettled::ToldElsewhere,
                other => other,
            })?;
            done = whole.end();
        }
        out.push_str(&raw[done..]);
        way.pop();
        if out.len() > LONGEST { Err(Unsettled::TooLong) } else { Ok(()) }
    }
}

/// The names that `<default>`, `<for>` and `<param>` define: nothing that is said about them now
/// would help, since the elements themselves are refused.
fn names_defined_later(element: &Element<'_>, names: &mut BTreeSet<String>) {
    for child in element.elements() {
        let attribute = match child.name {
            "default" | "param" => "name",
            "for" => "iter",
            _ => "",
        };
        if let Some(defined) = child.attribute(attribute) {
            names.extend(defined.value.text.split(',').map(|name| name.trim().to_owned()));
        }
        names_defined_later(child, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(definitions: &[(&str, &str)]) -> Variables {
        let mut variables = Variables::default();
        for (name, value) in definitions {
            variables.define((*name).to_owned(), (*value).to_owned());
        }
        variables
    }

    #[test]
    fn both_forms_are_replaced_and_other_signs_are_text() {
        let variables = variables(&[("A", "1"), ("B", "<${A}>"), ("P/HF1", "x")]);
        for (text, expanded) in [
            ("${A}-%B%-${P:HF1}", "1-<1>-x"),
            ("50% of 100%", "50% of 100%"),
            ("$A ${} $ %", "$A ${} $ %"),
            ("plain", "plain"),
        ] {
            assert_eq!(variables.expand(text).unwrap(), expanded, "{text}");
        }
        assert_eq!(
            variables.expand("a ${C}").unwrap_err(),
            (Unsettled::Undefined("C".into()), 2..6)
        );
    }

    #[test]
    fn circles_and_explosions_end() {
        let circle = variables(&[("A", "${B}"), ("B", "${C}"), ("C", "${B}")]);
        let names = ["B", "C", "B"].map(String::from).to_vec();
        assert_eq!(circle.expand("${A}").unwrap_err().0, Unsettled::Circular(names));
        let names: Vec<String> = (0..=30).map(|level| format!("V{level}")).collect();
        for leaf in ["", "ten bytes!"] {
            let mut doubling = variables(&[("V0", leaf)]);
            for level in 1..=30 {
                let twice = format!("${{{0}}}${{{0}}}", names[level - 1]);
                doubling.define(names[level].clone(), twice);
            }
            assert_eq!(doubling.expand("${V30}").unwrap_err().0, Unsettled::TooLong);
        }
    }

    #[test]
    fn what_is_given_from_outside_wins() {
        let mut variables = variables(&[("A", "inside"), ("B", "${A}")]);
        variables.given.insert("A".into(), "outside ${X}".into());
        assert_eq!(variables.expand("${B}").unwrap(), "outside ${X}");
    }
}
