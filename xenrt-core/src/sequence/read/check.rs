//! Elements and attributes compared with the vocabulary, before anything is expanded: each element
//! is looked at once, however often it is used.

use std::sync::Arc;

use super::files::lenient;
use super::reader::or;
use crate::nearest::nearest;
use crate::sequence::ReadOptions;
use crate::sequence::diagnostic::{Diagnostic, DiagnosticKind};
use crate::sequence::syntax::{NodeId, Source, Tree, Written};
use crate::sequence::vocabulary::{Attr, Content, Kind, Word};

/// Gives every element of a tree its word, and tells of what is not right about them.
pub(super) fn check(
    tree: &mut Tree,
    source: &Arc<Source>,
    options: &ReadOptions,
    told: &mut Vec<Diagnostic>,
) {
    let mut check = Check { tree, source, options, told, in_collection: false };
    check.tree.set_word(NodeId::ROOT, Word::Xenrt);
    check.element(NodeId::ROOT, Word::Xenrt);
}

struct Check<'a> {
    tree: &'a mut Tree,
    source: &'a Arc<Source>,
    options: &'a ReadOptions,
    told: &'a mut Vec<Diagnostic>,
    /// Nobody may ever use it, so its values are looked at here.
    in_collection: bool,
}

impl Check<'_> {
    fn problem(
        &self,
        kind: DiagnosticKind,
        at: crate::sequence::syntax::Span,
        message: String,
    ) -> Diagnostic {
        Diagnostic::new(self.source, kind, &at.range(), message)
    }

    fn tell(&mut self, problem: Diagnostic) {
        if self.told.len() <= self.options.limits.problems {
            self.told.push(lenient(problem, self.options.mode));
        }
    }

    fn element(&mut self, node: NodeId, word: Word) {
        if word == Word::Any {
            return;
        }
        self.attributes(node, word);
        let was_in_collection = self.in_collection;
        self.in_collection |= word == Word::Collection;
        let content = word.content();
        let mut next = self.tree.children(node).next();
        let mut texts = 0_usize;
        while let Some(child) = next {
            if self.tree.is_element(child) {
                let meaning = self.child(child, word);
                self.tree.set_word(child, meaning);
                if meaning != Word::Unknown {
                    self.element(child, meaning);
                }
            } else {
                texts += 1;
                self.text(node, child, word, content, texts);
            }
            next = self.tree.after(child);
        }
        if texts == 0 && matches!(content, Content::Text(_)) {
            let message = format!("<{}> has no text", word.tag().name());
            let problem = self.problem(DiagnosticKind::InvalidValue, self.tree.at(node), message);
            self.tell(problem.help(expected_text(content)));
        }
        self.in_collection = was_in_collection;
    }

    fn text(&mut self, node: NodeId, text: NodeId, word: Word, content: Content, count: usize) {
        let at = self.tree.at(text);
        let name = word.tag().name();
        let (kind, message, help) = match content {
            Content::Elements | Content::Yaml => {
                (DiagnosticKind::UnexpectedText, format!("text in <{name}>"), expected_in(word))
            }
            // A definition has a name.
            Content::Any => (
                DiagnosticKind::UnexpectedText,
                format!("text in <{name}>"),
                "expected <NAME>value</NAME>".to_owned(),
            ),
            // An argument may be several, with comments between them, as in the original.
            Content::Text(_) | Content::Optional(_) if count > 1 && word != Word::Arg => (
                DiagnosticKind::InvalidValue,
                format!("<{name}> has more than one text"),
                expected_text(content),
            ),
            _ => return self.literal_text(node, text, word, content),
        };
        let at = crate::sequence::syntax::trimmed(self.source, at);
        let problem = self.problem(kind, at, message);
        self.tell(problem.help(help));
    }

    fn literal_text(&mut self, _node: NodeId, text: NodeId, word: Word, content: Content) {
        let (Content::Text(kind) | Content::Optional(kind)) = content else { return };
        if !self.in_collection {
            return;
        }
        let Some(Written { text: value, at, .. }) = self.tree.text(text, self.source) else {
            return;
        };
        if !value.contains(['$', '%']) && !kind.fits(value) {
            let message = format!("<{}> is {:?}", word.tag().name(), value.trim());
            let problem = self.problem(DiagnosticKind::InvalidValue, at, message);
            self.tell(problem.help(format!("expected {}", kind.expected())));
        }
    }

    fn attributes(&mut self, node: NodeId, word: Word) {
        let given = self.tree.given(node);
        // Nearly every element has none but those that are known.
        if self.in_collection || !word.has_all(given) {
            for index in 0..self.tree.attributes(node).len() {
                self.attribute(node, index, word);
            }
        }
        let missing = word.missing(given);
        if missing != 0 {
            for name in Attr::ALL.iter().filter(|name| missing & name.bit() != 0) {
                self.missing(node, word, *name);
            }
        }
    }

    fn attribute(&mut self, node: NodeId, index: usize, word: Word) {
        let attribute = &self.tree.attributes(node)[index];
        match attribute.name.filter(|name| word.has(*name)) {
            Some(name) if self.in_collection => self.literal_attribute(node, index, name, word),
            Some(_) => {}
            None => {
                let at = attribute.name_at;
                let name = match attribute.name {
                    Some(name) => name.name(),
                    None => self.source.text().get(at.range()).unwrap_or_default(),
                };
                let tag = word.tag().name();
                let message = format!("unknown attribute `{name}` of <{tag}>");
                let problem = self.problem(DiagnosticKind::UnknownAttribute, at, message);
                let problem = problem.help(expected_of(word)).help(like_of(word, name));
                self.tell(problem);
            }
        }
    }

    fn missing(&mut self, node: NodeId, word: Word, name: Attr) {
        let tag = word.tag().name();
        let message = format!("<{tag}> has no `{}`", name.name());
        let problem = self.problem(DiagnosticKind::Missing, self.tree.at(node), message);
        let problem =
            problem.help(format!("expected <{tag} {}=\"{}\">", name.name(), example(name)));
        // The one that the original could do without.
        if word == Word::Storage && name == Attr::Name {
            self.tell(problem);
        } else {
            self.told.push(problem);
        }
    }

    fn literal_attribute(&mut self, node: NodeId, index: usize, name: Attr, word: Word) {
        let attribute = &self.tree.attributes(node)[index];
        let value = self.tree.written(&attribute.value, self.source).text;
        let kind = word.kind(name);
        if kind == Kind::Free || value.contains(['$', '%']) || kind.fits(value) {
            return;
        }
        let message = format!("`{}` is {:?}", name.name(), value.trim());
        let problem = self.problem(DiagnosticKind::InvalidValue, attribute.value.at, message);
        self.tell(problem.help(format!("expected {}", kind.expected())));
    }

    /// What a child is; tells why where it is nothing here.
    fn child(&mut self, child: NodeId, parent: Word) -> Word {
        // The children of <variables> are whatever the author calls them.
        if matches!(parent.content(), Content::Any) {
            return Word::Any;
        }
        let tag = self.tree.tag(child);
        let word = tag.map_or(Word::Unknown, |tag| parent.child(tag));
        if word != Word::Unknown {
            return word;
        }
        let name = self.tree.name(child, self.source);
        let at = self.tree.at(child);
        let homes = tag.map(Word::homes).unwrap_or_default();
        let problem = if homes.is_empty() {
            let message = format!("unknown element <{name}> in <{}>", parent.tag().name());
            let names = parent.children().map(|word| word.tag().name());
            let hint = nearest(name, names).map(|name| format!("did you mean <{name}>?"));
            self.problem(DiagnosticKind::UnknownElement, at, message)
                .help(expected_in(parent))
                .help(hint.unwrap_or_default())
        } else {
            let message = format!("<{name}> cannot stand in <{}>", parent.tag().name());
            let belongs = or(homes.iter().map(|home| format!("<{}>", home.name())));
            self.problem(DiagnosticKind::MisplacedElement, at, message)
                .help(format!("it belongs in {belongs}"))
        };
        self.tell(problem);
        Word::Unknown
    }
}

/// `expected <a>, <b> or <c>`, or that there is nothing to expect.
fn expected_in(parent: Word) -> String {
    let mut names: Vec<&str> = parent.children().map(|word| word.tag().name()).collect();
    names.dedup();
    if names.is_empty() {
        return format!("<{}> has no elements in it", parent.tag().name());
    }
    format!("expected {}", or(names.iter().map(|name| format!("<{name}>"))))
}

fn expected_text(content: Content) -> String {
    match content {
        Content::Text(kind) | Content::Optional(kind) => format!("expected {}", kind.expected()),
        _ => String::new(),
    }
}

fn expected_of(word: Word) -> String {
    let own = word.attributes().filter(|attribute| attribute.name != Attr::Filter);
    let names: Vec<&str> = own.map(|attribute| attribute.name.name()).collect();
    if names.is_empty() {
        return format!("<{}> has no attributes", word.tag().name());
    }
    format!("expected {}", or(names.iter().map(|name| format!("`{name}`"))))
}

fn like_of(word: Word, name: &str) -> String {
    let names = word.attributes().map(|attribute| attribute.name.name());
    nearest(name, names).map(|name| format!("did you mean `{name}`?")).unwrap_or_default()
}

fn example(name: Attr) -> &'static str {
    match name {
        Attr::Id => "lifecycle.reboot",
        Attr::Device => "0",
        Attr::Size => "8",
        Attr::Number => "2",
        Attr::Type => "nfs",
        Attr::Action => "sleep",
        _ => "...",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::vocabulary::Tag;

    #[test]
    fn every_name_of_an_element_is_used() {
        for tag in Tag::ALL {
            let known = !Word::homes(*tag).is_empty() || *tag == Tag::Xenrt;
            assert!(known, "{tag:?} stands nowhere");
        }
        for attribute in Attr::ALL.iter().filter(|name| **name != Attr::Count) {
            let used = Word::ALL.iter().any(|word| word.has(*attribute));
            assert!(used, "{attribute:?} belongs to no element");
        }
    }
}
