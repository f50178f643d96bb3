//! What decides which steps there are: loops, conditions, inclusions.

use std::ops::Range;

use super::reader::{FastSet, Reader};
use super::steps::Inherited;
use super::value::{MOST_HINTED, shortened};
use super::variables::Local;
use crate::nearest::hint;
use crate::sequence::Block;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::model::Word as Text;
use crate::sequence::syntax::{NodeId, Span};
use crate::sequence::values::list;
use crate::sequence::vocabulary::{Attr, Kind, Word};

/// What the original put where a tuple has too few elements and there is no default.
const NOTHING: &str = "XXX";

impl Reader<'_> {
    /// Whether an inclusion leaves this element out.
    pub(super) fn filtered(&mut self, node: NodeId) -> bool {
        if self.excludes.is_empty() || !self.has(node, Attr::Filter) {
            return false;
        }
        let Some(tag) = self.attribute(node, Attr::Filter) else { return false };
        self.excludes.iter().any(|excluded| excluded.contains(tag.trimmed()))
    }

    /// `<for>`: the steps in it, once for each value.
    pub(super) fn unroll(&mut self, node: NodeId, around: &Inherited, into: &mut Block) {
        let (Some(names), Some(values)) =
            (self.attribute(node, Attr::Iter), self.free(node, Attr::Values))
        else {
            return;
        };
        let names: Vec<_> = list(&names.text).map(|name| self.part(&names, name)).collect();
        let defaults = self.free(node, Attr::Defaults);
        let defaults: Vec<&str> = match &defaults {
            Some(defaults) => list(&defaults.text).collect(),
            None => Vec::new(),
        };
        let offset = self.bound(node, Attr::Offset).unwrap_or(0);
        let limit = self.bound(node, Attr::Limit).unwrap_or(usize::MAX);
        // Nothing can be said about how often it is; that it cannot was told.
        if !values.settled || !self.take_look(&values.text, values.at) {
            return;
        }
        let at = self.unit().tree.at(node);
        let before = self.locals.len();
        let whole = self.part(&values, &values.text);
        for tuple in tuples(&whole, names.len() > 1).skip(offset).take(limit) {
            if !self.take_step(at) {
                break;
            }
            self.bind(&names, (&whole, values.at), tuple, &defaults);
            self.steps(node, around, into);
            self.locals.truncate(before);
        }
    }

    /// `offset` or `limit`; `-` and nothing are as if it were not given.
    fn bound(&mut self, node: NodeId, name: Attr) -> Option<usize> {
        let value = self.free(node, name)?;
        if !value.settled || matches!(value.trimmed(), "" | "-") {
            return None;
        }
        let kind = Kind::Number(0, i64::from(u32::MAX));
        self.as_number(&value, &format_args!("`{}`", name.name()), kind)
    }

    /// Gives the iterators their values of one round.
    fn bind(&mut self, names: &[Text], (whole, at): (&Text, Span), tuple: &str, defaults: &[&str]) {
        let inside = tuple.strip_prefix('(').and_then(|tuple| tuple.strip_suffix(')'));
        let parts: Vec<&str> = match (names.len(), inside) {
            (1, _) => vec![tuple],
            (_, Some(inside)) => inside.split(',').map(str::trim).collect(),
            (_, None) => vec![tuple],
        };
        if parts.len() > names.len() {
            let message = format!("{:?} has more than {} values", shortened(tuple), names.len());
            let problem = self.problem(DiagnosticKind::InvalidValue, at, message);
            let names: Vec<&str> = names.iter().map(Text::as_str).collect();
            self.push_lenient(
                problem.help(format!("expected one for each of {}", names.join(", "))),
            );
        }
        for (index, name) in names.iter().enumerate() {
            let value = match (parts.get(index), defaults.get(index)) {
                (Some(value), _) if !value.is_empty() || names.len() == 1 => value,
                (_, Some(default)) => default,
                (_, None) => {
                    let message = format!("{:?} has no value for {name}", shortened(tuple));
                    let problem = self.problem(DiagnosticKind::InvalidValue, at, message);
                    self.push_lenient(problem.help("give it one, or `defaults`"));
                    &NOTHING
                }
            };
            let value = if *value == "-" { "" } else { *value };
            // A default is a part of another text.
            let value = whole.inside(value).unwrap_or_else(|| value.into());
            self.locals.push(Local { name: name.clone(), value: Some(value) });
        }
    }

    /// `<ifin>`, `<ifnotin>`, `<ifeq>`, `<ifnoteq>`: the steps in it, if it is so.
    pub(super) fn condition(
        &mut self,
        node: NodeId,
        word: Word,
        around: &Inherited,
        into: &mut Block,
    ) {
        let (left, right) = match word {
            Word::Ifin | Word::Ifnotin => (Attr::Item, Attr::List),
            _ => (Attr::X, Attr::Y),
        };
        let (Some(left), Some(right)) = (self.free(node, left), self.free(node, right)) else {
            return;
        };
        if !self.take_look(&right.text, right.at) {
            return;
        }
        let holds = match word {
            Word::Ifin => list(&right.text).any(|item| item == left.trimmed()),
            Word::Ifnotin => !list(&right.text).any(|item| item == left.trimmed()),
            Word::Ifeq => left.trimmed() == right.trimmed(),
            _ => left.trimmed() != right.trimmed(),
        };
        if holds {
            self.steps(node, around, into);
        }
    }

    /// `<include collection>`: the steps of the collection, with variables of their own.
    pub(super) fn include(&mut self, node: NodeId, around: &Inherited, into: &mut Block) {
        let Some(name) = self.attribute(node, Attr::Collection) else { return };
        if !name.settled {
            return;
        }
        let wanted = self.word(&name);
        let Some((unit, collection)) = self.collections.get(&wanted).copied() else {
            let message = format!("no collection is called {wanted:?}");
            let known = self.collections.keys().map(Text::as_str).take(MOST_HINTED);
            let help = hint(&wanted, known);
            let problem = self.problem(DiagnosticKind::DanglingReference, name.at, message);
            let problem = problem.help("expected the name of a <collection>");
            return self.push(problem.help(help.trim_start_matches("; ").to_owned()));
        };
        if let Some(first) = self.including.iter().position(|passed| *passed == wanted) {
            let mut circle = self.including[first..].to_vec();
            circle.push(wanted.clone());
            let message = format!("the collection {wanted:?} includes itself");
            let problem = self.problem(DiagnosticKind::CannotInclude, name.at, message);
            return self.push(problem.help(format!("break the circle {}", circle.join(" -> "))));
        }
        if !self.take_step(self.unit().tree.at(node)) {
            return;
        }
        let locals = self.parameters(node);
        let excludes = self.free(node, Attr::Exclude);
        let excludes: FastSet<Text> = match &excludes {
            Some(excludes) if self.take_look(&excludes.text, excludes.at) => {
                list(&excludes.text).map(|word| self.part(excludes, word)).collect()
            }
            _ => FastSet::default(),
        };
        let place = self.place(self.unit().tree.at(node));
        let (locals_before, excludes_before) = (self.locals.len(), self.excludes.len());
        let (current, insertion) = (self.current, self.insertion);
        self.locals.extend(locals);
        if !excludes.is_empty() {
            self.excludes.push(excludes);
        }
        self.including.push(wanted);
        if unit != current && insertion.is_none() {
            self.insertion = Some(place);
        }
        self.current = unit;
        if unit == 0 {
            self.insertion = None;
        }
        self.steps(collection, around, into);
        self.current = current;
        self.insertion = insertion;
        self.including.pop();
        self.excludes.truncate(excludes_before);
        self.locals.truncate(locals_before);
    }

    /// The `<param>` of an inclusion. They refer to what holds outside of it.
    fn parameters(&mut self, node: NodeId) -> Vec<Local> {
        let unit = self.unit();
        let mut locals: Vec<Local> = Vec::new();
        let mut names = FastSet::default();
        for child in unit.tree.elements(node) {
            if unit.tree.word(child) != Word::Param {
                continue;
            }
            let Some(name) = self.shared(child, Attr::Name) else { continue };
            let Some(value) = self.free(child, Attr::Value) else { continue };
            if value.settled && value.trimmed().is_empty() {
                // As in the original, which wrote it on a console that nobody saw.
                let message = format!("the parameter {name:?} is empty and left out");
                let problem = self.problem(DiagnosticKind::NoEffect, value.at, message);
                self.push(problem.warning().help("give it a value, or remove it"));
                continue;
            }
            if !names.insert(name.clone()) {
                let message = format!("a second parameter {name:?}");
                let at = unit.tree.at(child);
                let problem = self.problem(DiagnosticKind::Duplicate, at, message);
                self.push_lenient(problem.help("remove one of them"));
            }
            let value = value.settled.then(|| self.word(&value));
            locals.push(Local { name, value });
        }
        locals
    }
}

/// The values between commas; commas between parentheses are part of a value. White space around
/// them does not count, and what is empty is none.
fn tuples(text: &str, with_parentheses: bool) -> impl Iterator<Item = &str> {
    let mut rest: Option<&str> = Some(text);
    std::iter::from_fn(move || {
        loop {
            let text = rest?;
            let part = next_part(text, with_parentheses);
            rest = text.get(part.end + 1..);
            let value = text[part].trim();
            if !value.is_empty() {
                return Some(value);
            }
        }
    })
}

fn next_part(text: &str, with_parentheses: bool) -> Range<usize> {
    let mut inside = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' if with_parentheses => inside = true,
            b')' => inside = false,
            b',' if !inside => return 0..at,
            _ => {}
        }
    }
    0..text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_parentheses_are_part_of_a_value() {
        let all = |text, tuple| tuples(text, tuple).collect::<Vec<_>>();
        assert_eq!(all("(0,1), (2,3)", true), ["(0,1)", "(2,3)"]);
        assert_eq!(all("(0,1", true), ["(0,1"]);
        assert_eq!(all(" a,,b ,- ", false), ["a", "b", "-"]);
        assert_eq!(all("(a,b)", false), ["(a", "b)"]);
        assert_eq!(all("", false), [""; 0]);
    }
}
