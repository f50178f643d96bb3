//! Variables, and texts in which they stand.
//!
//! `${NAME}` and `%NAME%` both stand for the variable `NAME`; `A:B` names the nested variable
//! `A/B`. (The original resolved `%NAME%` and `${NAME}` from two sets and at two times; here there
//! is one set, the innermost definition first.) A variable may refer to others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::reader::FastMap;
use crate::sequence::syntax::Span;

/// How deep variables may refer to variables.
const DEEPEST: usize = 32;
/// How many references may be followed for one variable: a few lines of variables that double one
/// another must not take for ever.
const MOST_FOLLOWED: usize = 10_000;

/// Why a text cannot be settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unsettled {
    /// No variable has this name.
    Undefined(String),
    /// It leads back to itself: the names on the way.
    Circular(Vec<String>),
    /// It becomes too long, or too many references are followed.
    TooLong,
    /// It depends on a variable that has a problem of its own, which is told there.
    ToldElsewhere,
}

/// A variable of a loop or an inclusion.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub(super) name: Arc<str>,
    /// `None` where it could not be settled, which was told.
    pub(super) value: Option<Arc<str>>,
}

/// A definition of the file.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) raw: String,
    pub(super) unit: usize,
    pub(super) at: Span,
    /// Whether the text is the bytes of the file.
    pub(super) literal: bool,
    /// By `<default>`: it yields to every other.
    pub(super) yields: bool,
}

/// The variables of a file that hold everywhere.
#[derive(Debug, Default)]
pub(super) struct Globals {
    definitions: BTreeMap<String, Definition>,
    settled: FastMap<String, Result<Arc<str>, Unsettled>>,
}

impl Globals {
    /// The variable from outside; nothing in it is replaced.
    pub(super) fn give(&mut self, name: &str, value: &str) {
        self.settled.insert(name.to_owned(), Ok(value.into()));
    }

    pub(super) fn is_given(&self, name: &str) -> bool {
        !self.definitions.contains_key(name) && self.settled.contains_key(name)
    }

    /// Defines one, unless it is given from outside. Gives the definition that there was before.
    pub(super) fn define(&mut self, name: &str, definition: Definition) -> Option<Definition> {
        if self.is_given(name) {
            return None;
        }
        match self.definitions.get_mut(name) {
            // A default is for those that nobody defines, and the first default counts.
            Some(before) if definition.yields => Some(before.clone()),
            Some(before) => Some(std::mem::replace(before, definition)),
            None => {
                self.definitions.insert(name.to_owned(), definition);
                None
            }
        }
    }

    /// The names that there are, for a hint.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let given = self.settled.keys().filter(|name| !self.definitions.contains_key(*name));
        self.definitions.keys().chain(given).map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Result<Arc<str>, Unsettled>> {
        self.settled.get(name)
    }

    /// Settles all definitions; gives those that cannot be, with the bytes within the text.
    /// `longest` is how long each may be, `all` how long all together.
    pub(super) fn settle(
        &mut self,
        longest: usize,
        all: usize,
    ) -> Vec<(String, Unsettled, Range<usize>)> {
        let mut left = all;
        // Most refer to nothing.
        let mut names: Vec<String> = Vec::new();
        for (name, definition) in &self.definitions {
            if next_reference(&definition.raw, 0).is_none()
                && definition.raw.len() <= longest.min(left)
            {
                left -= definition.raw.len();
                self.settled.insert(name.clone(), Ok(definition.raw.as_str().into()));
            } else {
                names.push(name.clone());
            }
        }
        let mut broken = Vec::new();
        for name in names {
            let mut work = Work { longest, left, followed: 0, way: Vec::new() };
            if let Err((problem, within)) = self.settle_one(&name, &mut work) {
                broken.push((name, problem, within));
            }
            left = work.left;
        }
        broken
    }

    pub(super) fn definition(&self, name: &str) -> Option<&Definition> {
        self.definitions.get(name)
    }

    fn settle_one(
        &mut self,
        name: &str,
        work: &mut Work,
    ) -> Result<Arc<str>, (Unsettled, Range<usize>)> {
        if let Some(settled) = self.settled.get(name) {
            return match settled {
                Ok(value) => Ok(Arc::clone(value)),
                // Whoever looks at it itself says so; it is looked at here where it is the first.
                Err(problem) if work.way.is_empty() => {
                    let whole = self.definitions.get(name).map_or(0, |known| known.raw.len());
                    Err((problem.clone(), 0..whole))
                }
                Err(_) => Err((Unsettled::ToldElsewhere, 0..0)),
            };
        }
        let Some(definition) = self.definitions.get(name) else {
            return Err((Unsettled::Undefined(name.to_owned()), 0..0));
        };
        let raw = definition.raw.clone();
        work.followed += 1;
        if work.way.len() >= DEEPEST || work.followed > MOST_FOLLOWED {
            return Err((Unsettled::TooLong, 0..raw.len()));
        }
        if let Some(first) = work.way.iter().position(|passed| passed == name) {
            let mut circle = work.way[first..].to_vec();
            circle.push(name.to_owned());
            return Err((Unsettled::Circular(circle), 0..raw.len()));
        }
        work.way.push(name.to_owned());
        let result = self.replace(&raw, work);
        work.way.pop();
        // What is wrong further down is told there.
        let known = match &result {
            Ok(value) => Ok(Arc::clone(value)),
            Err((problem, _)) => Err(problem.clone()),
        };
        if !matches!(known, Err(Unsettled::Circular(_) | Unsettled::TooLong)) || work.way.is_empty()
        {
            self.settled.insert(name.to_owned(), known);
        }
        result
    }

    fn replace(
        &mut self,
        raw: &str,
        work: &mut Work,
    ) -> Result<Arc<str>, (Unsettled, Range<usize>)> {
        let mut out = String::new();
        let mut done = 0;
        while let Some((whole, name)) = next_reference(raw, done) {
            out.push_str(&raw[done..whole.start]);
            let name = path(name);
            let value = self.settle_one(&name, work).map_err(|(problem, _)| {
                // One that is not there is this text's own problem; others have one of their own.
                let own = match problem {
                    Unsettled::Undefined(undefined) if *undefined != *name => {
                        Unsettled::ToldElsewhere
                    }
                    other => other,
                };
                (own, whole.clone())
            })?;
            out.push_str(&value);
            if out.len() > work.longest {
                return Err((Unsettled::TooLong, whole));
            }
            done = whole.end;
        }
        out.push_str(&raw[done..]);
        if out.len() > work.longest || out.len() > work.left {
            return Err((Unsettled::TooLong, 0..raw.len()));
        }
        work.left -= out.len();
        Ok(out.into())
    }
}

struct Work {
    longest: usize,
    left: usize,
    followed: usize,
    way: Vec<String>,
}

/// A name as it is kept: `A:B` is `A/B`.
pub(super) fn path(name: &str) -> Cow<'_, str> {
    if name.contains(':') { Cow::Owned(name.replace(':', "/")) } else { Cow::Borrowed(name) }
}

/// The next `${NAME}` or `%NAME%` from this byte on, with its name. Anything else with `$` or `%` is
/// text: there are arguments such as `50%`.
pub(super) fn next_reference(text: &str, from: usize) -> Option<(Range<usize>, &str)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(found) = memchr::memchr2(b'$', b'%', bytes.get(at..)?) {
        let start = at + found;
        let name_at = if bytes[start] == b'%' { start + 1 } else { start + 2 };
        let dollar = bytes[start] == b'$';
        at = start + 1;
        if dollar && bytes.get(start + 1) != Some(&b'{') {
            continue;
        }
        let rest = text.get(name_at..)?;
        let inner = |c: char| {
            c.is_alphanumeric()
                || matches!(c, '_' | ':' | '/')
                || (dollar && matches!(c, '.' | '-'))
        };
        let length = rest.find(|c| !inner(c)).unwrap_or(rest.len());
        let end = if dollar { b'}' } else { b'%' };
        let begins_well = dollar || rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if length > 0 && begins_well && rest.as_bytes().get(length) == Some(&end) {
            return Some((start..name_at + length + 1, &rest[..length]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn globals(definitions: &[(&str, &str)]) -> Globals {
        let mut globals = Globals::default();
        for (name, raw) in definitions {
            let definition = Definition {
                raw: (*raw).to_owned(),
                unit: 0,
                at: Span::default(),
                literal: true,
                yields: false,
            };
            globals.define(name, definition);
        }
        globals
    }

    fn value(globals: &Globals, name: &str) -> String {
        globals.get(name).unwrap().as_ref().unwrap().to_string()
    }

    #[test]
    fn both_forms_are_replaced_and_other_signs_are_text() {
        let mut globals = globals(&[
            ("A", "1"),
            ("B", "<${A}>"),
            ("P/HF1", "x"),
            ("C", "a ${B} %P:HF1% 50% $5 ${ %A 100% $${A}"),
        ]);
        assert_eq!(globals.settle(1000, 100_000), []);
        assert_eq!(value(&globals, "C"), "a <1> x 50% $5 ${ %A 100% $1");
    }

    #[test]
    fn what_is_given_from_outside_wins_and_a_default_yields() {
        let mut globals = Globals::default();
        globals.give("A", "given ${B}");
        let definition = |raw: &str, yields| Definition {
            raw: raw.to_owned(),
            unit: 0,
            at: Span::default(),
            literal: true,
            yields,
        };
        globals.define("A", definition("file", false));
        globals.define("D", definition("default", true));
        globals.define("D", definition("file", false));
        globals.define("D", definition("default again", true));
        assert_eq!(globals.settle(1000, 100_000), []);
        assert_eq!(value(&globals, "A"), "given ${B}");
        assert_eq!(value(&globals, "D"), "file");
    }

    #[test]
    fn circles_and_explosions_end() {
        let mut circle = globals(&[("A", "${B}"), ("B", "${A}"), ("C", "${A}")]);
        let broken = circle.settle(1000, 100_000);
        let circular =
            broken.iter().filter(|(_, problem, _)| matches!(problem, Unsettled::Circular(_)));
        assert!(circular.count() >= 1, "{broken:?}");
        assert_eq!(broken.len(), 3);
        let mut laughs: Vec<(String, String)> = vec![("L0".into(), "ha".repeat(100))];
        for level in 1..40 {
            laughs.push((format!("L{level}"), format!("${{L{}}}", level - 1).repeat(10)));
        }
        let laughs: Vec<_> = laughs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let mut laughs = globals(&laughs);
        let broken = laughs.settle(1 << 20, 1 << 24);
        assert!(broken.iter().any(|(_, problem, _)| *problem == Unsettled::TooLong), "{broken:?}");
    }

    #[test]
    fn what_is_not_there_is_told_where_it_is_used() {
        let mut globals = globals(&[("A", "x ${NO}"), ("B", "${A}")]);
        let broken = globals.settle(1000, 100_000);
        assert_eq!(broken[0], ("A".into(), Unsettled::Undefined("NO".into()), 2..7));
        assert_eq!(broken[1].1, Unsettled::ToldElsewhere);
    }

    proptest! {
        #[test]
        fn a_reference_is_a_part_of_the_text(text in "(?s)[${}%A:/ ä.-]{0,40}", from in 0_usize..10) {
            if text.is_char_boundary(from.min(text.len()))
                && let Some((whole, name)) = next_reference(&text, from)
            {
                prop_assert!(text[whole].contains(name));
            }
        }
    }
}
