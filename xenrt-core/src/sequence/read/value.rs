//! Attributes and texts as values: variables replaced, then read as what they should be.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::{Deref, Range};
use std::time::Duration;

use super::reader::Reader;
use super::variables::{Unsettled, next_reference, path};
use crate::lab::deadlines::parse_duration;
use crate::nearest::nearest;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::model::Word as Text;
use crate::sequence::syntax::{NodeId, Span, Written, trim};
use crate::sequence::values::parse_bool;
use crate::sequence::vocabulary::{Attr, Content, Kind};

/// So many names are looked at for the nearest one: a hint must not take longer than the file.
pub(super) const MOST_HINTED: usize = 1000;

/// What a text of the file is after its variables were replaced.
#[derive(Debug, Clone)]
pub(super) enum Replaced<'u> {
    /// As it stands in the tree: it refers to none.
    Not(&'u str),
    /// Another text.
    By(Text),
}

impl Deref for Replaced<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        match self {
            Self::Not(text) => text,
            Self::By(text) => text,
        }
    }
}

/// A text of the file after its variables were replaced.
#[derive(Debug, Clone)]
pub(super) struct Value<'u> {
    pub(super) text: Replaced<'u>,
    pub(super) at: Span,
    /// Whether the text is the bytes at its place, so that a part of it has one too.
    pub(super) literal: bool,
    /// `false` where a variable could not be replaced. That was told, and nothing more can be said
    /// about the value.
    pub(super) settled: bool,
}

impl Value<'_> {
    pub(super) fn trimmed(&self) -> &str {
        trim(&self.text)
    }

    pub(super) fn written(&self) -> Written<'_> {
        Written { text: &self.text, at: self.at, literal: self.literal, refers: false }
    }

    /// The place of a part of the text.
    pub(super) fn part(&self, within: Range<usize>) -> Span {
        self.written().place(&within)
    }

    /// The place of a part that is a slice of the text.
    pub(super) fn place_of(&self, part: &str) -> Span {
        let start = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        if start > self.text.len() {
            return self.at;
        }
        self.part(start..start + part.len())
    }
}

impl<'u> Reader<'u> {
    /// The text with its variables replaced.
    #[inline]
    pub(super) fn expand(&mut self, written: Written<'u>) -> Value<'u> {
        // Most texts have no reference.
        if written.refers {
            return self.replace(written);
        }
        let Written { text, at, literal, .. } = written;
        Value { text: Replaced::Not(text), at, literal, settled: true }
    }

    fn replace(&mut self, written: Written<'u>) -> Value<'u> {
        let Written { text, at, literal, .. } = written;
        let mut found = next_reference(text, 0);
        let Some((first, name)) = &found else {
            return Value { text: Replaced::Not(text), at, literal, settled: true };
        };
        // Many texts are a variable and nothing else.
        if first.len() == text.len()
            && let Ok(value) = self.look_up(name)
            && value.len() <= self.limits().text
        {
            let value = value.clone();
            let settled = self.take_expanded(value.len(), at);
            return Value { text: Replaced::By(value), at, literal: false, settled };
        }
        let mut out = std::mem::take(&mut self.replacing);
        out.clear();
        let mut done = 0;
        let mut settled = true;
        while let Some((whole, name)) = found {
            out.push_str(&text[done..whole.start]);
            done = whole.end;
            match self.look_up(name) {
                Ok(value) if out.len() + value.len() <= self.limits().text => out.push_str(value),
                Ok(_) => {
                    self.tell_unsettled(&Unsettled::TooLong, at, literal, &whole);
                    settled = false;
                    break;
                }
                Err(problem) => {
                    self.tell_unsettled(&problem, at, literal, &whole);
                    out.push_str(&text[whole]);
                    settled = false;
                }
            }
            found = next_reference(text, done);
        }
        out.push_str(&text[done..]);
        if !self.take_expanded(out.len(), at) {
            settled = false;
        }
        let text = if self.locals.is_empty() { Text::from(out.as_str()) } else { self.share(&out) };
        self.replacing = out;
        Value { text: Replaced::By(text), at, literal: false, settled }
    }

    fn look_up(&self, name: &str) -> Result<&Text, Unsettled> {
        if let Some(local) = self.locals.iter().rev().find(|local| local.name == *name) {
            return local.value.as_ref().ok_or(Unsettled::ToldElsewhere);
        }
        let name = path(name);
        match self.globals.get(&name) {
            Some(Ok(value)) => Ok(value),
            Some(Err(_)) => Err(Unsettled::ToldElsewhere),
            None => Err(Unsettled::Undefined(name.into_owned())),
        }
    }

    pub(super) fn tell_unsettled(
        &mut self,
        problem: &Unsettled,
        at: Span,
        literal: bool,
        within: &Range<usize>,
    ) {
        let at: Span =
            if literal { (at.start() + within.start..at.start() + within.end).into() } else { at };
        let (kind, message, help) = match problem {
            Unsettled::ToldElsewhere => return,
            Unsettled::Undefined(_) if self.is_full() => return self.leave_out(),
            Unsettled::Undefined(name) => {
                let locals = self.locals.iter().map(|local| &*local.name);
                let hint = nearest(name, self.globals.names().chain(locals).take(MOST_HINTED))
                    .map(|name| format!("; did you mean \"{name}\"?"))
                    .unwrap_or_default();
                let message = format!("no variable {name:?} is defined");
                let help = format!("define it in <variables>, or give it from outside{hint}");
                let problem = self.problem(DiagnosticKind::UndefinedVariable, at, message);
                self.push_lenient(problem.help(help));
                return;
            }
            Unsettled::Circular(names) => (
                DiagnosticKind::UndefinedVariable,
                "a variable refers to itself",
                format!("break the circle {}", names.join(" -> ")),
            ),
            Unsettled::TooLong => (
                DiagnosticKind::LimitExceeded,
                "too much text comes from these variables",
                String::from("refer to fewer of them, or make them shorter; the limit is `text`"),
            ),
        };
        let problem = self.problem(kind, at, message).help(help);
        self.push(problem);
    }

    // ---- attributes ----

    /// Whether an element has an attribute.
    #[inline]
    pub(super) fn has(&self, node: NodeId, name: Attr) -> bool {
        self.has_any(node, name.bit())
    }

    /// Whether an element has one of the attributes with these bits.
    #[inline]
    pub(super) fn has_any(&self, node: NodeId, wanted: u128) -> bool {
        self.unit().tree.given(node) & wanted != 0
    }

    /// An attribute's value, which may be empty; `None` where it is not given.
    #[inline]
    pub(super) fn free(&mut self, node: NodeId, name: Attr) -> Option<Value<'u>> {
        if self.has(node, name) { self.given(node, name) } else { None }
    }

    fn given(&mut self, node: NodeId, name: Attr) -> Option<Value<'u>> {
        let unit = self.unit();
        let attribute = unit.tree.attribute(node, name)?;
        Some(self.expand(unit.tree.written(&attribute.value, &unit.source)))
    }

    /// An attribute's value; `None` where it is not given or, which is told, empty.
    #[inline]
    pub(super) fn attribute(&mut self, node: NodeId, name: Attr) -> Option<Value<'u>> {
        if self.has(node, name) { self.not_empty(node, name) } else { None }
    }

    fn not_empty(&mut self, node: NodeId, name: Attr) -> Option<Value<'u>> {
        let value = self.given(node, name)?;
        if value.settled && value.trimmed().is_empty() {
            let tag = self.unit().tree.word(node).tag().name();
            let message = format!("`{}` of <{tag}> is empty", name.name());
            let problem = self.problem(DiagnosticKind::InvalidValue, value.at, message);
            self.push_lenient(problem.help("give it a value, or remove it"));
            return None;
        }
        Some(value)
    }

    /// An attribute that is a text.
    pub(super) fn string(&mut self, node: NodeId, name: Attr) -> Option<String> {
        self.attribute(node, name).map(|value| value.trimmed().to_owned())
    }

    /// An attribute that is a text which many have in common.
    #[inline]
    pub(super) fn shared(&mut self, node: NodeId, name: Attr) -> Option<Text> {
        let value = self.attribute(node, name)?;
        Some(self.word(&value))
    }

    /// An attribute that is a number in the range that the vocabulary says.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, node: NodeId, name: Attr) -> Option<T> {
        let value = self.attribute(node, name)?;
        let kind = self.unit().tree.word(node).kind(name);
        self.as_number(&value, &format_args!("`{}`", name.name()), kind)
    }

    pub(super) fn as_number<T: TryFrom<i64>>(
        &mut self,
        value: &Value<'_>,
        what: &dyn Display,
        kind: Kind,
    ) -> Option<T> {
        if !value.settled {
            return None;
        }
        let (least, most) = match kind {
            Kind::Number(least, most) => (least, most),
            _ => (i64::MIN, i64::MAX),
        };
        let number: Option<i64> = value.trimmed().parse().ok();
        let number = number.filter(|number| (least..=most).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            let problem = self.invalid(value, what, &kind.expected());
            self.push(problem);
        }
        number
    }

    /// An attribute that is a truth value.
    pub(super) fn flag(&mut self, node: NodeId, name: Attr) -> Option<bool> {
        let value = self.attribute(node, name)?;
        if !value.settled {
            return None;
        }
        let flag = parse_bool(&value.text);
        if flag.is_none() {
            let what = format!("`{}`", name.name());
            let problem = self.invalid(&value, &what, &Kind::Flag.expected());
            self.push_lenient(problem);
        }
        flag
    }

    /// An attribute that is a duration.
    pub(super) fn duration(&mut self, node: NodeId, name: Attr) -> Option<Duration> {
        let value = self.attribute(node, name)?;
        if !value.settled {
            return None;
        }
        let duration = parse_duration(&value.text).ok();
        if duration.is_none() {
            let what = format!("`{}`", name.name());
            let problem = self.invalid(&value, &what, &Kind::Duration.expected());
            self.push(problem);
        }
        duration
    }

    /// An attribute that is one of some words. `strict` where the original failed on any other.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: NodeId,
        name: Attr,
        words: &[(&'static str, T)],
        strict: bool,
    ) -> Option<T> {
        let value = self.attribute(node, name)?;
        if !value.settled {
            return None;
        }
        let found = words.iter().find(|(word, _)| *word == value.trimmed());
        if found.is_none() {
            let what = format!("`{}`", name.name());
            let expected = super::or(words.iter().map(|(word, _)| (*word).to_owned()));
            let hint = nearest(value.trimmed(), words.iter().map(|(word, _)| *word))
                .map(|word| format!("did you mean {word:?}?"));
            let problem = self.invalid(&value, &what, &expected).help(hint.unwrap_or_default());
            if strict { self.push(problem) } else { self.push_lenient(problem) }
        }
        found.map(|(_, choice)| *choice)
    }

    // ---- texts ----

    /// The first text of an element that has one; where it has none, that was told before.
    pub(super) fn text(&mut self, node: NodeId) -> Option<Value<'u>> {
        let unit = self.unit();
        let text =
            unit.tree.children(node).find_map(|child| unit.tree.text(child, &unit.source))?;
        Some(self.expand(text.trimmed()))
    }

    /// The text of an element that is a number in the range that the vocabulary says.
    pub(super) fn text_number<T: TryFrom<i64>>(&mut self, node: NodeId) -> Option<T> {
        let value = self.text(node)?;
        let word = self.unit().tree.word(node);
        let (Content::Text(kind) | Content::Optional(kind)) = word.content() else { return None };
        self.as_number(&value, &format_args!("<{}>", word.tag().name()), kind)
    }

    /// A value that is not what it should be: `what` is `workers` or <vcpus>.
    pub(super) fn invalid(
        &self,
        value: &Value<'_>,
        what: &dyn Display,
        expected: &str,
    ) -> crate::sequence::Diagnostic {
        let message = format!("{what} is {:?}", shortened(value.trimmed()));
        self.problem(DiagnosticKind::InvalidValue, value.at, message)
            .help(format!("expected {expected}"))
    }
}

/// The beginning of a text that may be megabytes.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
