//! What holds everywhere in a sequence: variables, defaults, semaphores and collections, in the
//! order of the files.

use std::collections::BTreeMap;

use super::reader::{Named, Reader};
use super::variables::Definition;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::model::Word as Text;
use crate::sequence::syntax::{NodeId, Span};
use crate::sequence::vocabulary::{Attr, Kind, Word};

/// Names that are typing errors of others, which the original's files have and it ignored.
const MISTYPED: &[(&str, &str)] = &[("PREPARE_WORKER", "PREPARE_WORKERS")];

impl Reader<'_> {
    /// Gathers the definitions of all files, and settles the variables.
    pub(super) fn define(&mut self) {
        for (name, value) in &self.options.variables {
            self.globals.give(name, value);
        }
        self.define_unit(0);
        self.current = 0;
        for (name, problem, within) in
            self.globals.settle(self.limits().text, self.limits().expanded)
        {
            if self.globals.is_given(&name) {
                continue;
            }
            let Some(Definition { unit, at, literal, .. }) = self.globals.definition(&name) else {
                continue;
            };
            let (unit, at, literal) = (*unit, *at, *literal);
            self.current = unit;
            self.tell_unsettled(&problem, at, literal, &within);
        }
        self.current = 0;
    }

    pub(super) fn semaphores(&mut self) -> BTreeMap<String, usize> {
        // Their counts may refer to variables, so they are read after these.
        self.semaphores_of(0);
        self.current = 0;
        std::mem::take(&mut self.semaphores)
    }

    fn define_unit(&mut self, index: usize) {
        self.current = index;
        let unit = self.unit();
        for child in unit.tree.elements(NodeId::ROOT) {
            match unit.tree.word(child) {
                Word::Variables => {
                    for variable in unit.tree.elements(child) {
                        self.variable(variable, None);
                    }
                }
                Word::Default => self.default(child),
                Word::Collection => self.collection(child),
                Word::IncludeFile => {
                    if let Some((_, other)) = unit.included.iter().find(|(node, _)| *node == child)
                    {
                        self.define_unit(*other);
                        self.current = index;
                    }
                }
                _ => {}
            }
        }
    }

    /// A variable, and those within it.
    fn variable(&mut self, node: NodeId, around: Option<&Text>) {
        let unit = self.unit();
        let at = unit.tree.at(node);
        let name = match around {
            None => unit.source.word(&(at.start() + 1..at.end())),
            Some(around) => {
                let own = unit.tree.name(node, &unit.source);
                Text::from(format!("{around}/{own}"))
            }
        };
        if let Some(attribute) = unit.tree.attributes(node).first() {
            let message = format!("the variable <{name}> has an attribute");
            let at = attribute.name_at;
            let problem = self.problem(DiagnosticKind::UnknownAttribute, at, message);
            self.push_lenient(problem.help("expected <NAME>value</NAME>"));
        }
        let mut first: Option<Span> = None;
        for child in unit.tree.children(node) {
            let Some(text) = unit.tree.text(child, &unit.source) else {
                self.variable(child, Some(&name));
                continue;
            };
            let text = text.trimmed();
            let (at, literal) = (text.at, text.literal);
            if let Some(first) = first {
                let message = format!("the variable <{name}> has more than one text");
                let problem = self.problem(DiagnosticKind::Duplicate, at, message);
                let problem = problem.help("give it one").see(&first.range(), "the first is");
                self.push_lenient(problem);
                continue;
            }
            first = Some(at);
            let raw = self.literal(&text, text.text);
            let definition = Definition { raw, unit: self.current, at, literal, yields: false };
            let before = self.globals.define(name.clone(), definition);
            if before.is_some_and(|before| !before.yields) {
                let message = format!("the variable <{name}> is defined again");
                let problem = self.problem(DiagnosticKind::Duplicate, unit.tree.at(node), message);
                self.push(problem.warning().help("this definition counts; remove the other"));
            }
        }
        if let Some((_, meant)) = MISTYPED.iter().find(|(wrong, _)| name == *wrong) {
            let message = format!("nothing reads the variable <{name}>");
            let problem = self.problem(DiagnosticKind::NoEffect, unit.tree.at(node), message);
            self.push(problem.warning().help(format!("did you mean <{meant}>?")));
        }
    }

    fn default(&mut self, node: NodeId) {
        let unit = self.unit();
        let (Some(name), Some(value)) =
            (unit.tree.attribute(node, Attr::Name), unit.tree.attribute(node, Attr::Value))
        else {
            return;
        };
        let name_at = name.value.at;
        let name = self.literal_word(&name.value);
        let value = unit.tree.written(&value.value, &unit.source);
        let (at, literal) = (value.at, value.literal);
        let raw = self.literal(&value, value.text);
        let definition = Definition { raw, unit: self.current, at, literal, yields: true };
        if name.is_empty() {
            let message = "`name` of <default> is empty";
            let problem = self.problem(DiagnosticKind::InvalidValue, name_at, message);
            return self.push_lenient(problem.help("give it a value, or remove it"));
        }
        let before = self.globals.define(name.clone(), definition);
        if before.is_some_and(|before| before.yields) {
            let message = format!("the default of {name:?} is defined again");
            let problem = self.problem(DiagnosticKind::Duplicate, unit.tree.at(node), message);
            self.push(problem.warning().help("the first definition counts; remove this one"));
        }
    }

    fn collection(&mut self, node: NodeId) {
        let unit = self.unit();
        let Some(name) = unit.tree.attribute(node, Attr::Name) else { return };
        let at = name.value.at;
        let name = self.literal_word(&name.value);
        let first = self.collections.insert(name.clone(), (self.current, node));
        if let Some((in_unit, first)) = first {
            let first = Named { unit: in_unit, at: self.units[in_unit].tree.at(first) };
            let what = format!("collection called {name:?}");
            self.again(&what, at, first, "give each its own name");
        }
    }

    fn semaphores_of(&mut self, index: usize) {
        self.current = index;
        let unit = self.unit();
        for child in unit.tree.elements(NodeId::ROOT) {
            match unit.tree.word(child) {
                Word::Semaphores => {
                    for class in unit.tree.elements(child) {
                        self.semaphore(class);
                    }
                }
                Word::IncludeFile => {
                    if let Some((_, other)) = unit.included.iter().find(|(node, _)| *node == child)
                    {
                        self.semaphores_of(*other);
                        self.current = index;
                    }
                }
                _ => {}
            }
        }
    }

    fn semaphore(&mut self, node: NodeId) {
        let unit = self.unit();
        let class = unit.tree.name(node, &unit.source).to_lowercase();
        let mut count = 1;
        for attribute in unit.tree.attributes(node) {
            if attribute.name != Some(Attr::Count) {
                let at = attribute.name_at;
                let name = unit.source.text().get(at.range()).unwrap_or_default();
                let message = format!("unknown attribute `{name}` of a semaphore");
                let problem = self.problem(DiagnosticKind::UnknownAttribute, at, message);
                self.push_lenient(problem.help("expected `count`"));
                continue;
            }
            let Some(value) = self.attribute(node, Attr::Count) else { continue };
            let kind = Kind::Number(1, i64::from(u32::MAX));
            count = self.as_number(&value, &"`count`", kind).unwrap_or(count);
        }
        if self.semaphores.insert(class.clone(), count).is_some() {
            let message = format!("a second semaphore for {class:?}");
            let problem = self.problem(DiagnosticKind::Duplicate, unit.tree.at(node), message);
            self.push_lenient(problem.help("remove one of them"));
        }
    }
}
