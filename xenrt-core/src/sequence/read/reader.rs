//! What the walk over the elements carries with it: the files, the variables that hold here, the
//! names that were met, what may still be made, and the problems so far.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::files::{Unit, lenient};
use super::value::{Replaced, Value};
use super::variables::{Globals, Local};
use crate::sequence::diagnostic::{Diagnostic, DiagnosticKind};
use crate::sequence::model::Word as Text;
use crate::sequence::syntax::{NodeId, Span, TextNode, Written};
use crate::sequence::{Limits, Mode, Place, ReadOptions};

/// Maps and sets that are looked into often. Their hashes are seeded, so that no file can be made to
/// collide.
pub(super) type FastMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
pub(super) type FastSet<T> = std::collections::HashSet<T, foldhash::fast::RandomState>;

/// Reads the elements of a sequence.
pub(super) struct Reader<'u> {
    pub(super) units: &'u [Unit],
    /// The file that is read just now: another one while a collection of it is.
    pub(super) current: usize,
    pub(super) options: &'u ReadOptions,
    pub(super) globals: Globals,
    /// Variables of loops and inclusions, the innermost last.
    pub(super) locals: Vec<Local>,
    /// What the inclusions leave out, the innermost last.
    pub(super) excludes: Vec<FastSet<Text>>,
    /// Collections by name: the file and the element.
    pub(super) collections: BTreeMap<Text, (usize, NodeId)>,
    /// The collections that are being inserted, and elements within elements.
    pub(super) including: Vec<Text>,
    pub(super) depth: usize,
    /// Where the file itself includes what is read just now from another.
    pub(super) insertion: Option<Place>,
    pub(super) names: Names,
    pub(super) semaphores: BTreeMap<String, usize>,
    texts: FastSet<Text>,
    /// Where the last place was found.
    near: Cell<usize>,
    /// The last text whose variables were replaced, for its room.
    pub(super) replacing: String,
    /// Whether some test depends on another.
    pub(super) dependencies: bool,
    problems: Vec<(usize, Diagnostic)>,
    told: FastSet<(usize, usize, DiagnosticKind)>,
    left_out: usize,
    pub(super) steps_left: usize,
    pub(super) expanded_left: usize,
    /// Nothing more is made, since a limit was reached.
    pub(super) exhausted: bool,
}

/// A name with where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) unit: usize,
    pub(super) at: Span,
}

/// What a reference is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Referred {
    Host,
    Guest,
}

/// A name that somebody should have.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) to: Referred,
    pub(super) name: Text,
    pub(super) place: Named,
}

/// Names that were met.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) guests: FastMap<Text, Named>,
    /// Guests that tests make.
    pub(super) guests_made: FastSet<Text>,
    pub(super) scripts: FastMap<Text, Named>,
    pub(super) references: Vec<Reference>,
    /// References to one name are looked at once for each place.
    pub(super) referred: FastSet<(usize, usize, Text)>,
    /// Whether some element was refused or a name is not known, so that a name which is not there
    /// may have been meant by it.
    pub(super) partial: bool,
}

impl<'u> Reader<'u> {
    pub(super) fn new(units: &'u [Unit], options: &'u ReadOptions) -> Self {
        Self {
            units,
            current: 0,
            options,
            globals: Globals::default(),
            locals: Vec::new(),
            excludes: Vec::new(),
            collections: BTreeMap::new(),
            including: Vec::new(),
            depth: 0,
            insertion: None,
            names: Names::default(),
            semaphores: BTreeMap::new(),
            texts: FastSet::default(),
            near: Cell::new(0),
            replacing: String::new(),
            dependencies: false,
            problems: Vec::new(),
            told: FastSet::default(),
            left_out: 0,
            steps_left: options.limits.steps,
            expanded_left: options.limits.expanded,
            exhausted: false,
        }
    }

    pub(super) fn limits(&self) -> &'u Limits {
        &self.options.limits
    }

    /// The file that is read just now.
    pub(super) fn unit(&self) -> &'u Unit {
        &self.units[self.current]
    }

    /// Where something stands. What comes from another file stands where that is included, so that
    /// a place is always one of the file itself.
    pub(super) fn place(&self, at: Span) -> Place {
        match self.insertion {
            Some(place) => place,
            None => {
                let mut near = self.near.get();
                let place = self.unit().source.place_near(&at.range(), &mut near);
                self.near.set(near);
                place
            }
        }
    }

    pub(super) fn named(&self, at: Span) -> Named {
        Named { unit: self.current, at }
    }

    /// One text for all that are the same and that are not written out in a file.
    pub(super) fn share(&mut self, text: &str) -> Text {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let new: Text = text.into();
        self.texts.insert(new.clone());
        new
    }

    /// A part of a text as it stands in the tree.
    pub(super) fn literal(&mut self, text: &Written<'_>, part: &str) -> Text {
        let within = part.as_ptr().addr().checked_sub(text.text.as_ptr().addr());
        match within.filter(|_| text.literal) {
            Some(start) => {
                let at = text.place(&(start..start + part.len()));
                self.unit().source.word(&at.range())
            }
            None => self.share(part),
        }
    }

    /// The text of an attribute as it stands there, without the white space around it.
    pub(super) fn literal_word(&mut self, text: &TextNode) -> Text {
        let unit = self.unit();
        let text = unit.tree.written(text, &unit.source);
        self.literal(&text, text.text.trim())
    }

    /// The text of a value without the white space around it.
    pub(super) fn word(&mut self, value: &Value<'_>) -> Text {
        self.part(value, value.trimmed())
    }

    /// A part of the text of a value.
    pub(super) fn part(&mut self, value: &Value<'_>, part: &str) -> Text {
        match &value.text {
            Replaced::Not(_) => self.literal(&value.written(), part),
            Replaced::By(text) => text.inside(part).unwrap_or_else(|| self.share(part)),
        }
    }

    // ---- problems ----

    pub(super) fn problem(
        &self,
        kind: DiagnosticKind,
        at: Span,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::new(&self.unit().source, kind, &at.range(), message)
    }

    /// Tells of a problem, once for each place and kind.
    pub(super) fn push(&mut self, problem: Diagnostic) {
        self.push_for(self.current, problem);
    }

    pub(super) fn push_for(&mut self, unit: usize, problem: Diagnostic) {
        if !self.told.insert((unit, problem.place().offset, problem.kind())) {
            return;
        }
        if self.is_full() {
            return self.leave_out();
        }
        self.problems.push((unit, problem));
    }

    /// Whether no more problems are told, so that there is no use in saying what is near.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= self.limits().problems
    }

    pub(super) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// Tells of a problem that the original did not mind.
    pub(super) fn push_lenient(&mut self, problem: Diagnostic) {
        self.push(lenient(problem, self.options.mode));
    }

    /// As [`push_lenient`](Self::push_lenient), of one in another file.
    pub(super) fn push_lenient_for(&mut self, unit: usize, problem: Diagnostic) {
        self.push_for(unit, lenient(problem, self.options.mode));
    }

    pub(super) fn take_problems(&mut self, problems: Vec<(usize, Diagnostic)>) {
        for (unit, problem) in problems {
            let misread = matches!(
                problem.kind(),
                DiagnosticKind::UnknownElement | DiagnosticKind::MisplacedElement
            );
            self.names.partial |= misread && self.options.mode == Mode::Strict;
            self.push_for(unit, problem);
        }
    }

    /// All problems, in the order of the files and places.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.problems
            .sort_by_key(|(unit, problem)| (*unit, problem.place().offset, problem.kind()));
        let mut problems: Vec<Diagnostic> =
            self.problems.into_iter().map(|(_, problem)| problem).collect();
        if self.left_out > 0 {
            let message = format!("{} more problems are not told", self.left_out);
            let source = &self.units[0].source;
            let kind = DiagnosticKind::LimitExceeded;
            problems.push(
                Diagnostic::new(source, kind, &(0..0), message).help("the limit is `problems`"),
            );
        }
        problems
    }

    // ---- limits ----

    /// Takes one of the steps that may be made; `false` where there is none left, which is told.
    pub(super) fn take_step(&mut self, at: Span) -> bool {
        if self.exhausted {
            return false;
        }
        if self.steps_left == 0 {
            self.exhausted = true;
            let most = self.limits().steps;
            let message = format!("the file makes more than {most} steps, hosts and guests");
            let problem = self.problem(DiagnosticKind::LimitExceeded, at, message);
            self.push(problem.help("the limit is `steps`"));
            return false;
        }
        self.steps_left -= 1;
        true
    }

    /// Takes so many bytes of those that replacing variables may make.
    pub(super) fn take_expanded(&mut self, bytes: usize, at: Span) -> bool {
        match self.expanded_left.checked_sub(bytes) {
            Some(left) => {
                self.expanded_left = left;
                !self.exhausted
            }
            None => {
                if !self.exhausted {
                    self.exhausted = true;
                    let most = self.limits().expanded;
                    let message = format!(
                        "replacing variables and looking through lists takes more than {most} bytes"
                    );
                    let problem = self.problem(DiagnosticKind::LimitExceeded, at, message);
                    self.push(problem.help("the limit is `expanded`"));
                }
                false
            }
        }
    }

    /// Takes what it costs to look through a list in a text, each time that it is looked through.
    pub(super) fn take_look(&mut self, text: &str, at: Span) -> bool {
        self.take_expanded(text.len(), at)
    }

    // ---- what there can be one of ----

    /// Tells of a second element of a kind of which there can be one.
    pub(super) fn second(&mut self, node: NodeId, first: NodeId) {
        let tree = &self.unit().tree;
        let name = tree.word(node).tag().name();
        let problem = self
            .problem(DiagnosticKind::Duplicate, tree.at(node), format!("a second <{name}>"))
            .help("remove one of them, or put all of it into one")
            .see(&tree.at(first).range(), "the first is");
        self.push_lenient(problem);
    }

    /// Tells of a name that somebody else has already.
    pub(super) fn again(&mut self, what: &str, at: Span, first: Named, help: &str) {
        let mut problem = self
            .problem(DiagnosticKind::Duplicate, at, format!("a second {what}"))
            .help(help.to_owned());
        if first.unit == self.current {
            problem = problem.see(&first.at.range(), "the first is");
        }
        self.push_lenient(problem);
    }
}

/// `a, b or c`.
pub(in crate::sequence) fn or(words: impl IntoIterator<Item = String>) -> String {
    let mut words: Vec<String> = words.into_iter().collect();
    match words.pop() {
        Some(last) if !words.is_empty() => format!("{} or {last}", words.join(", ")),
        Some(only) => only,
        None => String::new(),
    }
}
