//! `<testsequence>`: blocks and tests.

use std::sync::Arc;

use super::diagnostic::DiagnosticKind;
use super::reader::{Reader, Reference};
use super::vocabulary::Word;
use super::xml::{Child, Element, Text};
use super::{Argument, Block, BlockKind, HostChoice, Node, TestStep};

/// What a step takes from the blocks around it, where it does not say otherwise.
#[derive(Debug, Clone, Default)]
struct Inherited {
    group: Option<String>,
    host: Option<String>,
    guest: Option<String>,
}

impl Reader<'_> {
    pub(super) fn root_block(&mut self, element: &Element<'_>, word: &'static Word) -> Block {
        self.block(element, word, &Inherited::default())
    }

    fn block(&mut self, element: &Element<'_>, word: &'static Word, around: &Inherited) -> Block {
        self.no_text(element);
        let inherited = self.inherited(element, around);
        let kind = if word.name == "parallel" {
            let workers = self.attribute(element, "workers");
            let workers = workers.and_then(|value| self.number(&value, "`workers`", 1..=u32::MAX));
            BlockKind::Parallel { workers: workers.map(|workers| workers as usize) }
        } else {
            BlockKind::Serial
        };
        self.check_priority(element);
        let blocker = self.flag(element, "blocker");
        let steps = self
            .enter(element, word)
            .into_iter()
            .map(|(child, word)| match word.name {
                "testcase" => Node::Test(self.test(child, word, &inherited)),
                _ => Node::Block(self.block(child, word, &inherited)),
            })
            .collect();
        Block {
            kind,
            group: inherited.group.map(Arc::from),
            blocker,
            steps,
            place: self.source.place(&element.at),
            ..Block::default()
        }
    }

    fn test(&mut self, element: &Element<'_>, word: &'static Word, around: &Inherited) -> TestStep {
        self.no_text(element);
        let Inherited { group, host, guest } = self.inherited(element, around);
        let id = self.required(element, "id", "lifecycle.reboot");
        self.check_priority(element);
        let id_place = self.source.place(id.as_ref().map_or(&element.at, |id| &id.at));
        let id = id.map(|id| id.text.trim().to_owned());
        let name = self.attribute(element, "name").map(|name| name.text.into_owned());
        let tc = self.attribute(element, "tc").map(|tc| tc.text.into_owned());
        let blocker = self.flag(element, "blocker");
        let mut arguments = Vec::new();
        for (child, word) in self.enter(element, word) {
            self.enter(child, word);
            self.arguments(child, &mut arguments);
        }
        TestStep {
            id_place,
            name: name.map(Arc::from),
            group: group.map(Arc::from),
            host: host.map(|host| HostChoice::Named(host.into())),
            guest: guest.map(Arc::from),
            tc: tc.map(Arc::from),
            blocker: blocker.then_some(true),
            arguments,
            ..TestStep::new(id.as_deref().unwrap_or_default(), self.source.place(&element.at))
        }
    }

    /// The arguments of one `<arg>`: each text is one, and a comment separates texts, as in the
    /// original.
    fn arguments(&mut self, element: &Element<'_>, arguments: &mut Vec<Argument>) {
        let before = arguments.len();
        for child in &element.children {
            let Child::Text(text) = child else { continue };
            if text.text.trim().is_empty() {
                continue;
            }
            arguments.push(self.argument(text));
        }
        if arguments.len() == before {
            let problem =
                self.problem(DiagnosticKind::InvalidValue, &element.at, "<arg> has no text");
            self.push(problem.help("expected <arg>name=value</arg> or <arg>value</arg>"));
        }
    }

    fn argument(&mut self, text: &Text<'_>) -> Argument {
        let value = self.expand(text);
        let whole = value.text.trim();
        let argument = match whole.split_once('=') {
            Some((name, value)) if is_name(name) => {
                Argument { name: Some(name.into()), value: value.into(), place: Default::default() }
            }
            _ => Argument { name: None, value: whole.into(), place: Default::default() },
        };
        // The original's installation tests make the guest that their argument `guest` names.
        if value.settled && argument.name.as_deref() == Some("guest") {
            self.guests_made.insert(argument.value.clone());
        }
        let lead = text.text.len() - text.text.trim_start().len();
        let at = if text.literal {
            let start = text.at.start + lead;
            start..start + text.text.trim().len()
        } else {
            text.at.clone()
        };
        Argument { place: self.source.place(&at), ..argument }
    }

    fn inherited(&mut self, element: &Element<'_>, around: &Inherited) -> Inherited {
        let group = self.attribute(element, "group").map(|group| group.text.into_owned());
        let host = self.reference(element, "host");
        let guest = self.reference(element, "guest");
        Inherited {
            group: group.or_else(|| around.group.clone()),
            host: host.or_else(|| around.host.clone()),
            guest: guest.or_else(|| around.guest.clone()),
        }
    }

    /// A `host` or `guest`; whether somebody is called so is looked at when all are known.
    fn reference(&mut self, element: &Element<'_>, to: &'static str) -> Option<String> {
        let value = self.attribute(element, to)?;
        let name = value.text.trim().to_owned();
        if value.settled {
            self.references.push(Reference { to, name: name.clone(), at: value.at });
        }
        Some(name)
    }

    /// `prio` has no effect yet, but one that is not a number is a mistake all the same.
    fn check_priority(&mut self, element: &Element<'_>) {
        if let Some(value) = self.attribute(element, "prio") {
            self.number(&value, "`prio`", 0..=u32::MAX);
        }
    }
}

/// What can stand before the `=` of an argument; anything else is part of a positional one, such
/// as an address with a query in it.
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '.');
    !text.is_empty() && text.chars().all(inner)
}
