//! What all elements have in common when they are read: words that are known or not, attributes,
//! values with their types, and problems that are collected instead of ending the reading.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::diagnostic::{Diagnostic, DiagnosticKind};
use super::source::Source;
use super::values::parse_bool;
use super::variables::{Unsettled, Variables};
use super::vocabulary::{self, Status, Word};
use super::xml::{Child, Element, Text};
use crate::nearest::nearest;

/// Reads the elements of one file.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) variables: Variables,
    problems: Vec<Diagnostic>,
    /// Attributes without effect: the first place, and how often.
    without_effect: BTreeMap<(&'static str, String), (Range<usize>, usize)>,
    /// Whether every element was understood, so that a name which is not there is really missing.
    pub(super) whole: bool,
    /// Names of hosts and guests that are there when the tests begin.
    pub(super) hosts: BTreeMap<String, Range<usize>>,
    pub(super) guests: BTreeMap<String, Range<usize>>,
    /// Names of guests that tests make.
    pub(super) guests_made: BTreeSet<String>,
    pub(super) references: Vec<Reference>,
}

/// A `host` or `guest` of a step.
pub(super) struct Reference {
    /// `host` or `guest`.
    pub(super) to: &'static str,
    pub(super) name: String,
    pub(super) at: Range<usize>,
}

/// A text of the file after its variables were replaced.
#[derive(Debug, Clone)]
pub(super) struct Value<'e> {
    pub(super) text: Cow<'e, str>,
    pub(super) at: Range<usize>,
    /// `false` where a variable could not be replaced. That was told, and nothing more can be said
    /// about the value.
    pub(super) settled: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a Arc<Source>,
        given: &BTreeMap<String, String>,
        root: &Element<'_>,
    ) -> Self {
        Self {
            source,
            variables: Variables::new(given, root),
            problems: Vec::new(),
            without_effect: BTreeMap::new(),
            whole: true,
            hosts: BTreeMap::new(),
            guests: BTreeMap::new(),
            guests_made: BTreeSet::new(),
            references: Vec::new(),
        }
    }

    pub(super) fn problem(
        &self,
        kind: DiagnosticKind,
        at: &Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::new(self.source, kind, at, message)
    }

    pub(super) fn push(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// All problems, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.check_references();
        for ((element, attribute), (at, count)) in std::mem::take(&mut self.without_effect) {
            let times = if count == 1 { String::new() } else { format!(" ({count} times)") };
            let message = format!("`{attribute}` of <{element}> has no effect yet{times}");
            let problem = self.problem(DiagnosticKind::NoEffect, &at, message).warning();
            self.problems.push(problem);
        }
        self.problems.sort_by_key(|problem| (problem.place().offset, problem.kind()));
        self.problems
    }

    /// Looks at an element's attributes and children; gives the children that are to be read.
    pub(super) fn enter<'e, 't>(
        &mut self,
        element: &'e Element<'t>,
        word: &'static Word,
    ) -> Vec<(&'e Element<'t>, &'static Word)> {
        for attribute in &element.attributes {
            let at = &attribute.name_at;
            match word.attribute(attribute.name) {
                Some(Status::Done) => {}
                Some(Status::NoEffect) => {
                    let key = (word.name, attribute.name.to_owned());
                    self.without_effect.entry(key).or_insert_with(|| (at.clone(), 0)).1 += 1;
                }
                Some(Status::NotYet) => {
                    let message = format!(
                        "`{}` of <{}> is known from the original, but not carried out yet",
                        attribute.name, word.name
                    );
                    let problem = self.problem(DiagnosticKind::NotCarriedOut, at, message);
                    self.push(problem.help("remove it if the tests can do without it"));
                }
                None => {
                    let message =
                        format!("unknown attribute `{}` of <{}>", attribute.name, word.name);
                    let known: Vec<&str> = word.attributes_now().collect();
                    let expected = if known.is_empty() {
                        format!("<{}> has no attributes", word.name)
                    } else {
                        format!("expected {}", or(known.iter().map(|name| format!("`{name}`"))))
                    };
                    let all = word.attributes.iter().map(|(name, _)| *name);
                    let hint = nearest(attribute.name, all)
                        .map(|name| format!("did you mean `{name}`?"))
                        .unwrap_or_default();
                    let problem = self.problem(DiagnosticKind::UnknownAttribute, at, message);
                    self.push(problem.help(expected).help(hint));
                }
            }
        }
        element.elements().filter_map(|child| Some((child, self.child(child, word)?))).collect()
    }

    /// The meaning of a child; tells why where it has none here.
    fn child(&mut self, child: &Element<'_>, parent: &'static Word) -> Option<&'static Word> {
        let (name, at) = (child.name, &child.at);
        // The children of <variables> are whatever the author calls them.
        if parent.name == "variables" {
            return None;
        }
        if let Some(word) = vocabulary::find(name, parent.name) {
            if word.status != Status::NotYet {
                return Some(word);
            }
            let message = format!("<{name}> is known from the original, but not carried out yet");
            let problem = self.problem(DiagnosticKind::NotCarriedOut, at, message);
            self.push(problem.help(expected_in(parent.name)));
        } else {
            let elsewhere = vocabulary::parents(name);
            if elsewhere.is_empty() {
                let message = format!("unknown element <{name}> in <{}>", parent.name);
                let hint = nearest(name, vocabulary::all_children(parent.name))
                    .map(|name| format!("did you mean <{name}>?"))
                    .unwrap_or_default();
                let problem = self.problem(DiagnosticKind::UnknownElement, at, message);
                self.push(problem.help(expected_in(parent.name)).help(hint));
            } else {
                let message = format!("<{name}> cannot stand in <{}>", parent.name);
                let belongs = or(elsewhere.iter().map(|parent| format!("<{parent}>")));
                let problem = self.problem(DiagnosticKind::MisplacedElement, at, message);
                self.push(problem.help(format!("it belongs in {belongs}")));
            }
        }
        self.whole = false;
        None
    }

    /// Tells of text in an element that has only elements in it.
    pub(super) fn no_text(&mut self, element: &Element<'_>) {
        for text in element.texts() {
            let message = format!("text in <{}>", element.name);
            let problem = self.problem(DiagnosticKind::UnexpectedText, &text.at, message);
            self.push(problem.help(expected_in(element.name)));
        }
    }

    /// An attribute's value; `None` where it is not given or, which is told, empty.
    pub(super) fn attribute<'e>(
        &mut self,
        element: &'e Element<'_>,
        name: &str,
    ) -> Option<Value<'e>> {
        let attribute = element.attribute(name)?;
        let value = self.expand(&attribute.value);
        if value.settled && value.text.trim().is_empty() {
            let message = format!("`{name}` of <{}> is empty", element.name);
            let problem = self.problem(DiagnosticKind::InvalidValue, &value.at, message);
            self.push(problem.help("give it a value, or remove it"));
            return None;
        }
        Some(value)
    }

    /// As [`attribute`](Self::attribute), of one that cannot be left out.
    pub(super) fn required<'e>(
        &mut self,
        element: &'e Element<'_>,
        name: &str,
        example: &str,
    ) -> Option<Value<'e>> {
        if element.attribute(name).is_none() {
            let message = format!("<{}> has no `{name}`", element.name);
            let problem = self.problem(DiagnosticKind::Missing, &element.at, message);
            self.push(problem.help(format!("expected <{} {name}=\"{example}\">", element.name)));
        }
        self.attribute(element, name)
    }

    /// The one text of an element; tells where there is none or more than one.
    pub(super) fn single_text<'e>(
        &mut self,
        element: &'e Element<'_>,
        expected: &str,
    ) -> Option<Value<'e>> {
        let mut texts = element.children.iter().filter_map(|child| match child {
            Child::Text(text) if !text.text.trim().is_empty() => Some(text),
            _ => None,
        });
        let (first, second) = (texts.next(), texts.next());
        if let (None, _) | (_, Some(_)) = (first, second) {
            let amount = if first.is_none() { "no text" } else { "more than one text" };
            let message = format!("<{}> has {amount}", element.name);
            let problem = self.problem(DiagnosticKind::InvalidValue, &element.at, message);
            self.push(problem.help(format!("expected {expected}")));
            return None;
        }
        first.map(|text| {
            let mut value = self.expand(text);
            value.text = Cow::Owned(value.text.trim().to_owned());
            value
        })
    }

    pub(super) fn expand<'e>(&mut self, text: &'e Text<'_>) -> Value<'e> {
        let expanded = self.variables.expand(&text.text);
        match expanded {
            Ok(expanded) => Value { text: expanded, at: text.at.clone(), settled: true },
            Err((problem, within)) => {
                self.push_unsettled(text, &problem, within);
                Value { text: Cow::Borrowed(&text.text), at: text.at.clone(), settled: false }
            }
        }
    }

    pub(super) fn push_unsettled(
        &mut self,
        text: &Text<'_>,
        problem: &Unsettled,
        within: Range<usize>,
    ) {
        let at = if text.literal {
            text.at.start + within.start..text.at.start + within.end
        } else {
            text.at.clone()
        };
        let (message, help) = match problem {
            Unsettled::ToldElsewhere => return,
            Unsettled::Undefined(name) => {
                let hint = nearest(name, self.variables.names())
                    .map(|name| format!("; did you mean \"{name}\"?"))
                    .unwrap_or_default();
                (
                    format!("no variable {name:?} is defined"),
                    format!("define it in <variables>, or give it from outside{hint}"),
                )
            }
            Unsettled::Circular(names) => (
                String::from("a variable refers to itself"),
                format!("break the circle {}", names.join(" -> ")),
            ),
            Unsettled::TooLong => (
                String::from("too much text comes from these variables"),
                String::from("refer to fewer of them, or make them shorter"),
            ),
        };
        let problem = self.problem(DiagnosticKind::UndefinedVariable, &at, message).help(help);
        self.push(problem);
    }

    /// A value that is not what it should be: `what` is `workers` or <vcpus>.
    pub(super) fn invalid(&mut self, value: &Value<'_>, what: &str, expected: impl Display) {
        let message = format!("{what} is {:?}", value.text.trim());
        let problem = self.problem(DiagnosticKind::InvalidValue, &value.at, message);
        self.push(problem.help(format!("expected {expected}")));
    }

    pub(super) fn number(
        &mut self,
        value: &Value<'_>,
        what: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        if !value.settled {
            return None;
        }
        let number = value.text.trim().parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (low, high) = (range.start(), range.end());
            let expected = if *high == u32::MAX {
                format!("a whole number from {low}")
            } else {
                format!("a whole number from {low} to {high}")
            };
            self.invalid(value, what, expected);
        }
        number
    }

    /// A truth value; `false` where the attribute is not given.
    pub(super) fn flag(&mut self, element: &Element<'_>, name: &str) -> bool {
        let Some(value) = self.attribute(element, name) else { return false };
        if !value.settled {
            return false;
        }
        parse_bool(&value.text).unwrap_or_else(|| {
            self.invalid(&value, &format!("`{name}`"), "yes or no (also: true, 1; false, 0)");
            false
        })
    }

    /// Tells of hosts and guests that nobody has.
    fn check_references(&mut self) {
        // Elements that were refused may have named them.
        if !self.whole {
            return;
        }
        for Reference { to, name, at } in std::mem::take(&mut self.references) {
            // Without <prepare>, the hosts are those of the lab, whatever there are.
            if to == "host" && self.hosts.is_empty() && name.starts_with("RESOURCE_HOST_") {
                continue;
            }
            let (known, help) = if to == "host" {
                (self.hosts.contains_key(&name), known_names(&name, self.hosts.keys()))
            } else {
                let known = self.guests.contains_key(&name) || self.guests_made.contains(&name);
                (known, known_names(&name, self.guests.keys().chain(&self.guests_made)))
            };
            if known {
                continue;
            }
            let message = format!("no {to} is called {name:?}");
            let problem = self.problem(DiagnosticKind::DanglingReference, &at, message);
            let define = if to == "host" {
                "expected the RESOURCE_HOST_<id> or alias of a <host> in <prepare>"
            } else {
                "expected the name of a <vm> in <prepare>, or of a guest that a test makes \
                 (<arg>guest=NAME</arg>)"
            };
            self.push(problem.help(define).help(help));
        }
    }
}

fn known_names<'n>(name: &str, known: impl Iterator<Item = &'n String>) -> String {
    crate::nearest::hint(name, known.map(String::as_str)).trim_start_matches("; ").to_owned()
}

/// `expected <a>, <b> or <c>`, or that there is nothing to expect.
fn expected_in(parent: &str) -> String {
    let children = vocabulary::children(parent);
    if children.is_empty() {
        return format!("<{parent}> has no elements in it");
    }
    format!("expected {}", or(children.iter().map(|name| format!("<{name}>"))))
}

/// `a, b or c`.
fn or(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    match words.pop() {
        Some(last) if !words.is_empty() => format!("{} or {last}", words.join(", ")),
        Some(only) => only,
        None => String::new(),
    }
}
