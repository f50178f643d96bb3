//! Variables, and texts in which they stand.
//!
//! `${NAME}` and `%NAME%` both stand for the variable `NAME`; `A:B` names the nested variable
//! `A/B`. (The original resolved `%NAME%` and `${NAME}` from two sets and at two times; here there
//! is one set, the innermost definition first.) A variable may refer to others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use crate::sequence::model::Word;
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
    pub(super) name: Word,
    /// `None` where it could not be settled, which was told.
    pub(super) value: Option<Word>,
}

/// A definition of the file.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) raw: Word,
    pub(super) unit: usize,
    pub(super) at: Span,
    /// Whether the text is the bytes of the file.
    pub(super) literal: bool,
    /// By `<default>`: it yields to every other.
    pub(super) yields: bool,
}

/// What is known of a name.
#[derive(Debug, Default)]
struct Variable {
    /// `None` where it is given from outside.
    definition: Option<Definition>,
    /// Its value, once it is looked at.
    settled: Option<Result<Word, Unsettled>>,
}

/// The variables of a file that hold everywhere.
#[derive(Debug, Default)]
pub(super) struct Globals {
    variables: BTreeMap<Word, Variable>,
}

impl Globals {
    /// The variable from outside; nothing in it is replaced.
    pub(super) fn give(&mut self, name: &str, value: &str) {
        let settled = Some(Ok(value.into()));
        self.variables.insert(name.into(), Variable { definition: None, settled });
    }

    pub(super) fn is_given(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|variable| variable.definition.is_none())
    }

    /// Defines one, unless it is given from outside. Gives the definition that there was before.
    pub(super) fn define(&mut self, name: Word, definition: Definition) -> Option<Definition> {
        let entry = match self.variables.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(Variable { definition: Some(definition), settled: None });
                return None;
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        // None where it is given.
        let before = entry.definition.as_mut()?;
        // A default is for those that nobody defines, and the first default counts.
        if definition.yields {
            return Some(before.clone());
        }
        Some(std::mem::replace(before, definition))
    }

    /// The names that there are, for a hint.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(Word::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Result<Word, Unsettled>> {
        self.variables.get(name)?.settled.as_ref()
    }

    /// All variables with their values; those that cannot be settled as they stand.
    pub(super) fn into_values(self) -> BTreeMap<Word, Word> {
        let value = |variable: Variable| match (variable.settled, variable.definition) {
            (Some(Ok(value)), _) => value,
            (_, Some(definition)) => definition.raw,
            (_, None) => Word::default(),
        };
        self.variables.into_iter().map(|(name, variable)| (name, value(variable))).collect()
    }

    /// Settles all definitions; gives those that cannot be, with the bytes within the text.
    /// `longest` is how long each may be, `all` how long all together.
    pub(super) fn settle(
        &mut self,
        longest: usize,
        all: usize,
    ) -> Vec<(Word, Unsettled, Range<usize>)> {
        let mut left = all;
        // Most refer to nothing.
        let mut names: Vec<Word> = Vec::new();
        for (name, variable) in &mut self.variables {
            let Some(definition) = &variable.definition else { continue };
            let raw = &definition.raw;
            if next_reference(raw, 0).is_none() && raw.len() <= longest.min(left) {
                left -= raw.len();
                variable.settled = Some(Ok(raw.clone()));
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
        self.variables.get(name)?.definition.as_ref()
    }

    fn settle_one(
        &mut self,
        name: &str,
        work: &mut Work,
    ) -> Result<Word, (Unsettled, Range<usize>)> {
        let Some(variable) = self.variables.get(name) else {
            return Err((Unsettled::Undefined(name.to_owned()), 0..0));
        };
        let raw = variable.definition.as_ref().map(|definition| definition.raw.clone());
        let raw = raw.unwrap_or_default();
        if let Some(settled) = &variable.settled {
            return match settled {
                Ok(value) => Ok(value.clone()),
                // Whoever looks at it itself says so; it is looked at here where it is the first.
                Err(problem) if work.way.is_empty() => Err((problem.clone(), 0..raw.len())),
                Err(_) => Err((Unsettled::ToldElsewhere, 0..0)),
            };
        }
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
            Ok(value) => Ok(value.clone()),
            Err((problem, _)) => Err(problem.clone()),
        };
        if (!matches!(known, Err(Unsettled::Circular(_) | Unsettled::TooLong))
            || work.way.is_empty())
            && let Some(variable) = self.variables.get_mut(name)
        {
            variable.settled = Some(known);
        }
        result
    }

    fn replace(&mut self, raw: &str, work: &mut Work) -> Result<Word, (Unsettled, Range<usize>)> {
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
        let length = name_length(rest, dollar);
        let end = if dollar { b'}' } else { b'%' };
        let begins_well = dollar || rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if length > 0 && begins_well && rest.as_bytes().get(length) == Some(&end) {
            return Some((start..name_at + length + 1, &rest[..length]));
        }
    }
    None
}

/// How many bytes at the beginning of a text can be those of a variable's name.
fn name_length(text: &str, dollar: bool) -> usize {
    let sign =
        |byte: u8| matches!(byte, b'_' | b':' | b'/') || (dollar && matches!(byte, b'.' | b'-'));
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || sign(byte);
    let length = text.bytes().position(|byte| !inner(byte)).unwrap_or(text.len());
    if text.as_bytes().get(length).is_none_or(u8::is_ascii) {
        return length;
    }
    let inner = |c: char| c.is_alphanumeric() || u8::try_from(c).is_ok_and(sign);
    text.find(|c| !inner(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn globals(definitions: &[(&str, &str)]) -> Globals {
        let mut globals = Globals::default();
        for (name, raw) in definitions {
            let definition = Definition {
                raw: (*raw).into(),
                unit: 0,
                at: Span::default(),
                literal: true,
                yields: false,
            };
            globals.define((*name).into(), definition);
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
            raw: raw.into(),
            unit: 0,
            at: Span::default(),
            literal: true,
            yields,
        };
        globals.define("A".into(), definition("file", false));
        globals.define("D".into(), definition("default", true));
        globals.define("D".into(), definition("file", false));
        globals.define("D".into(), definition("default again", true));
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
