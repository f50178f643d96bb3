//! The files of a sequence: itself, and those that it includes.

use std::io;
use std::sync::Arc;

use super::check;
use crate::sequence::diagnostic::{Diagnostic, DiagnosticKind};
use crate::sequence::syntax::{self, NodeId, Source, Span, Tree, Written};
use crate::sequence::vocabulary::{Attr, Tag, Word};
use crate::sequence::{Mode, ReadOptions};

/// One file.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) source: Arc<Source>,
    pub(super) tree: Tree,
    /// The files that it includes, by the elements that do.
    pub(super) included: Vec<(NodeId, usize)>,
}

/// Reads a file and, without end and circle, all that it includes. The first unit is the file; none
/// where it is not XML.
pub(super) fn load(
    source: &Arc<Source>,
    options: &ReadOptions,
) -> (Vec<Unit>, Vec<(usize, Diagnostic)>) {
    let mut loading = Loading {
        options,
        units: Vec::with_capacity(1),
        problems: Vec::new(),
        way: Vec::new(),
        bytes_left: options.limits.bytes().saturating_sub(source.text().len()),
    };
    loading.unit(Arc::clone(source));
    (loading.units, loading.problems)
}

struct Loading<'a> {
    options: &'a ReadOptions,
    units: Vec<Unit>,
    problems: Vec<(usize, Diagnostic)>,
    /// The files that led here.
    way: Vec<String>,
    bytes_left: usize,
}

impl Loading<'_> {
    fn unit(&mut self, source: Arc<Source>) -> Option<usize> {
        let index = self.units.len();
        let mut tree = match syntax::read(&source, &self.options.limits) {
            Ok(tree) => tree,
            Err(problem) => {
                self.problems.push((index, *problem));
                return None;
            }
        };
        if tree.tag(NodeId::ROOT) != Some(Tag::Xenrt) {
            let name = tree.name(NodeId::ROOT, &source);
            let at = tree.at(NodeId::ROOT).range();
            let message = format!("the root element is <{name}>");
            let problem = Diagnostic::new(&source, DiagnosticKind::UnknownElement, &at, message);
            self.problems.push((index, problem.help("expected <xenrt>")));
            return None;
        }
        let mut told = Vec::new();
        describe(&mut tree, &source, &mut told);
        check::check(&mut tree, &source, self.options, &mut told);
        self.problems.extend(told.into_iter().map(|problem| (index, problem)));
        let includes: Vec<NodeId> = tree
            .elements(NodeId::ROOT)
            .filter(|child| tree.word(*child) == Word::IncludeFile)
            .collect();
        self.units.push(Unit { source, tree, included: Vec::new() });
        for node in includes {
            if let Some(other) = self.include(index, node) {
                self.units[index].included.push((node, other));
            }
        }
        Some(index)
    }

    fn include(&mut self, from: usize, node: NodeId) -> Option<usize> {
        let unit = &self.units[from];
        let source = Arc::clone(&unit.source);
        let attribute = unit.tree.attribute(node, Attr::Filename)?;
        let name = unit.tree.written(&attribute.value, &source).text.trim().to_owned();
        let at = attribute.value.at;
        let mut tell = |kind, message: String, help: String| {
            let problem = Diagnostic::new(&source, kind, &at.range(), message).help(help);
            self.problems.push((from, problem));
            None
        };
        if self.units.len() > self.options.limits.includes {
            let most = self.options.limits.includes;
            let message = format!("more than {most} files are included");
            return tell(DiagnosticKind::LimitExceeded, message, "the limit is `includes`".into());
        }
        let Some(loader) = &self.options.loader else {
            let message = format!("the file {name:?} cannot be included");
            let help = "this program reads no other file than the sequence";
            return tell(DiagnosticKind::CannotInclude, message, help.into());
        };
        if self.way.is_empty() {
            self.way.push(self.units[0].source.file().to_owned());
        }
        let file = match loader.load(&name, self.bytes_left) {
            Ok(file) => file,
            Err(error) => {
                let message = format!("the file {name:?} cannot be included: {error}");
                let help = match error.kind() {
                    io::ErrorKind::NotFound => "name a folder to look in, or write it out here",
                    _ => "",
                };
                return tell(DiagnosticKind::CannotInclude, message, help.into());
            }
        };
        if let Some(first) = self.way.iter().position(|passed| *passed == file.name) {
            let way = self.way[first..].join(" -> ");
            let message = format!("the file {name:?} includes itself");
            let help = format!("break the circle {way} -> {}", file.name);
            return tell(DiagnosticKind::CannotInclude, message, help);
        }
        if self.way.len() > self.options.limits.depth() {
            let most = self.options.limits.depth();
            let message = format!("files that include files, more than {most} deep");
            return tell(DiagnosticKind::LimitExceeded, message, "the limit is `depth`".into());
        }
        if file.bytes.len() > self.bytes_left {
            let message = format!("with the file {name:?} it is too many bytes");
            return tell(DiagnosticKind::LimitExceeded, message, "the limit is `bytes`".into());
        }
        self.bytes_left -= file.bytes.len();
        let Ok(text) = String::from_utf8(file.bytes) else {
            let message = format!("the file {name:?} is not UTF-8");
            return tell(DiagnosticKind::MalformedXml, message, "save it as UTF-8".into());
        };
        self.way.push(file.name.clone());
        let unit = self.unit(Arc::new(Source::new(file.name, text)));
        self.way.pop();
        unit
    }
}

/// Replaces a description of `<prepare>` in YAML by the elements that it stands for.
fn describe(tree: &mut Tree, source: &Arc<Source>, told: &mut Vec<Diagnostic>) {
    let parents: Vec<NodeId> = tree
        .elements(NodeId::ROOT)
        .filter(|node| matches!(tree.tag(*node), Some(Tag::Prepare | Tag::Preprepare)))
        .filter(|node| {
            // Beside elements a text is a mistake, which is told with all others of its kind.
            let mut children = tree.children(*node);
            let first = children.next();
            first.is_some_and(|child| !tree.is_element(child)) && children.next().is_none()
        })
        .collect();
    for parent in parents {
        let Some(child) = tree.children(parent).next() else { continue };
        let Some(Written { text, at, literal, .. }) = tree.text(child, source) else { continue };
        let word = match tree.tag(parent) {
            Some(Tag::Preprepare) => Word::Preprepare,
            _ => Word::Prepare,
        };
        let place = |within: &std::ops::Range<usize>| -> Span {
            if literal { (at.start() + within.start..at.start() + within.end).into() } else { at }
        };
        match syntax::parse_yaml(text) {
            Ok(description) => {
                for (message, help, at) in
                    syntax::translate(tree, parent, word, &description, &place)
                {
                    let kind = DiagnosticKind::InvalidValue;
                    told.push(Diagnostic::new(source, kind, &at.range(), message).help(help));
                }
            }
            Err(error) => {
                // A text that is nothing at all, such as an arrow that was left there.
                let at = place(&(error.at..error.at + 1));
                let message = format!("neither elements nor YAML: {}", error.message);
                let kind = DiagnosticKind::InvalidValue;
                let help = "expected <host>, <pool> or a map with `hosts` or `pools`";
                told.push(Diagnostic::new(source, kind, &at.range(), message).help(help));
                tree.clear_children(parent);
            }
        }
    }
}

/// Whether a problem is an error only where files are read strictly.
pub(super) fn lenient(problem: Diagnostic, mode: Mode) -> Diagnostic {
    match mode {
        Mode::Strict => problem,
        Mode::Compat => problem.warning(),
    }
}
