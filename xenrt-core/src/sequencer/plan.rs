//! A sequence with its tests found and named.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::{PlannedTest, Selection, TestIndex};
use crate::Error;
use crate::nearest::hint;
use crate::sequence::{Block, BlockKind, HostChoice, Node, Place, Prepare, Sequence, TestStep};
use crate::testcase::{Args, Registry, TestDescriptor};

/// What is to be run: the tree of a sequence in which every test was found, has a unique name and
/// knows its arguments.
///
/// Shown with `{}`, it is the tree as `--dry-run` prints it.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) file: String,
    pub(super) prepare: Prepare,
    pub(super) cases: Arc<[PlannedCase]>,
    pub(super) root: Option<PlanBlock>,
}

/// A test of a plan, with everything that it takes to run it.
#[derive(Debug, Clone)]
pub(crate) struct PlannedCase {
    pub(crate) planned: PlannedTest,
    pub(crate) descriptor: TestDescriptor,
    pub(crate) args: Args,
    pub(crate) host: Option<String>,
    pub(crate) guest: Option<String>,
    pub(crate) blocker: bool,
}

#[derive(Debug, Clone)]
pub(super) struct PlanBlock {
    pub(super) kind: BlockKind,
    pub(super) blocker: bool,
    pub(super) steps: Vec<PlanNode>,
}

#[derive(Debug, Clone)]
pub(super) enum PlanNode {
    Block(PlanBlock),
    Test(TestIndex),
}

/// One thing that keeps a sequence from being a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanProblem {
    /// Where in the sequence file.
    pub place: Place,
    /// What, with the nearest valid name.
    pub message: String,
}

/// Everything that keeps a sequence from being a plan: unknown tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// The sequence file.
    pub file: String,
    /// All problems, in the order of the file.
    pub problems: Vec<PlanProblem>,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, PlanProblem { place, message }) in self.problems.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{}:{}:{}: {message}", self.file, place.line, place.column)?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanError {}

impl Plan {
    /// The plan of a sequence whose tests are in `registry`.
    ///
    /// # Errors
    /// All tests that are not known, each with its place and the nearest known id.
    pub fn new(sequence: &Sequence, registry: &Registry) -> Result<Self, PlanError> {
        Self::with(sequence, |id| {
            registry.find(id).copied().map_err(|error| match error {
                Error::NotFound { kind, name, known } => {
                    format!(
                        "{kind} {name:?} is not known{}",
                        hint(&name, known.iter().map(String::as_str))
                    )
                }
                other => other.to_string(),
            })
        })
    }

    /// The plan of a sequence whose tests `find` finds by their ids; what it returns instead of an
    /// unknown test is the message of the problem.
    ///
    /// # Errors
    /// All tests that are not found, each with its place.
    pub fn with(
        sequence: &Sequence,
        find: impl Fn(&str) -> Result<TestDescriptor, String>,
    ) -> Result<Self, PlanError> {
        let mut planner =
            Planner { find, cases: Vec::new(), problems: Vec::new(), names: Names::default() };
        let root = sequence.tests.as_ref().map(|block| planner.block(block, None));
        if !planner.problems.is_empty() {
            return Err(PlanError { file: sequence.file.clone(), problems: planner.problems });
        }
        Ok(Self {
            file: sequence.file.clone(),
            prepare: sequence.prepare.clone(),
            cases: planner.cases.into(),
            root,
        })
    }

    /// The sequence file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its tests, by number.
    pub fn tests(&self) -> impl ExactSizeIterator<Item = &PlannedTest> {
        self.cases.iter().map(|case| &case.planned)
    }

    /// The same plan with only these tests; blocks that become empty go.
    #[must_use]
    pub(super) fn only(&self, mut admit: impl FnMut(&PlannedTest) -> bool) -> Self {
        self.cut(&mut |case| admit(&case.planned))
    }

    /// The same plan with only the tests that `selection` admits; blocks that become empty go.
    #[must_use]
    pub fn select(&self, selection: &Selection) -> Self {
        let filter = selection.filter();
        if filter.is_everything() {
            return self.clone();
        }
        self.cut(&mut |case| filter.admits_case(case))
    }

    fn cut(&self, admit: &mut dyn FnMut(&PlannedCase) -> bool) -> Self {
        let mut cases = Vec::new();
        let root = self.root.as_ref().map(|block| self.selected(block, admit, &mut cases));
        Self { file: self.file.clone(), prepare: self.prepare.clone(), cases: cases.into(), root }
    }

    fn selected(
        &self,
        block: &PlanBlock,
        admit: &mut dyn FnMut(&PlannedCase) -> bool,
        cases: &mut Vec<PlannedCase>,
    ) -> PlanBlock {
        let mut steps = Vec::new();
        for step in &block.steps {
            match step {
                PlanNode::Block(inner) => {
                    let inner = self.selected(inner, admit, cases);
                    if !inner.steps.is_empty() {
                        steps.push(PlanNode::Block(inner));
                    }
                }
                PlanNode::Test(index) => {
                    let case = &self.cases[index.0 as usize];
                    if admit(case) {
                        steps.push(PlanNode::Test(next_index(cases.len())));
                        cases.push(case.clone());
                    }
                }
            }
        }
        PlanBlock { kind: block.kind, blocker: block.blocker, steps }
    }
}

/// A sequence file of four thousand million tests has other problems than this one.
fn next_index(len: usize) -> TestIndex {
    TestIndex(u32::try_from(len).unwrap_or(u32::MAX))
}

struct Planner<F> {
    find: F,
    cases: Vec<PlannedCase>,
    problems: Vec<PlanProblem>,
    names: Names,
}

impl<F: Fn(&str) -> Result<TestDescriptor, String>> Planner<F> {
    fn block(&mut self, block: &Block, outer_group: Option<&str>) -> PlanBlock {
        let group = block.group.as_deref().or(outer_group);
        let steps = block
            .steps
            .iter()
            .filter_map(|step| match step {
                Node::Block(inner) => Some(PlanNode::Block(self.block(inner, group))),
                Node::Test(test) => self.test(test, group).map(PlanNode::Test),
                Node::Action(_) => None,
            })
            .collect();
        PlanBlock { kind: block.kind, blocker: block.blocker, steps }
    }

    fn test(&mut self, step: &TestStep, group: Option<&str>) -> Option<TestIndex> {
        let descriptor = match (self.find)(&step.id) {
            Ok(descriptor) => descriptor,
            Err(message) => {
                self.problems.push(PlanProblem { place: step.id_place, message });
                return None;
            }
        };
        let (module, last) = descriptor.id.rsplit_once('.').unwrap_or(("tests", descriptor.id));
        let arguments = step
            .arguments
            .iter()
            .map(|argument| match &argument.name {
                Some(name) => format!("{name}={}", argument.value),
                None => argument.value.clone(),
            })
            .collect();
        let planned = PlannedTest {
            id: descriptor.id.to_owned(),
            name: self.names.unique(step.name.as_deref().unwrap_or(last)),
            group: step.group.as_deref().or(group).unwrap_or(module).to_owned(),
            tc: step.tc.as_deref().or(descriptor.tc).map(str::to_owned),
            line: step.place.line,
            arguments,
            tags: descriptor.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            priority: step.priority,
            ttype: step.ttype.as_deref().map(str::to_owned),
            sku: step.sku.as_deref().map(str::to_owned),
        };
        let index = next_index(self.cases.len());
        self.cases.push(PlannedCase {
            planned,
            descriptor,
            args: Args::from(step.arguments.as_slice()),
            host: match &step.host {
                Some(HostChoice::Named(name)) => Some(name.to_string()),
                Some(HostChoice::Any) | None => None,
            },
            guest: step.guest.as_deref().map(str::to_owned),
            blocker: step.blocker.unwrap_or(false),
        });
        Some(index)
    }
}

/// Makes names unique: the second `reboot` is `reboot(1)`.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    /// How often each name was asked for, so that a thousand twins do not count up each time.
    asked: HashMap<String, u32>,
}

impl Names {
    fn unique(&mut self, name: &str) -> String {
        if self.taken.insert(name.to_owned()) {
            return name.to_owned();
        }
        let count = self.asked.entry(name.to_owned()).or_default();
        loop {
            *count += 1;
            let numbered = format!("{name}({count})");
            if self.taken.insert(numbered.clone()) {
                return numbered;
            }
        }
    }
}

/// The tree as people read it: preparation, then blocks and tests by indentation.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} tests", self.file, self.cases.len())?;
        for host in &self.prepare.hosts {
            write!(f, "  host {}", host.name())?;
            if let Some(alias) = &host.alias {
                write!(f, " ({alias})")?;
            }
            writeln!(f)?;
            for guest in &host.guests {
                writeln!(f, "    guest {} from {}", guest.name, guest.distro)?;
            }
        }
        self.root.as_ref().map_or(Ok(()), |root| self.show(f, root, 1))
    }
}

impl Plan {
    fn show(&self, f: &mut fmt::Formatter<'_>, block: &PlanBlock, depth: usize) -> fmt::Result {
        let blocker = |blocker: bool| if blocker { ", blocker" } else { "" };
        let indent = depth * 2;
        match block.kind {
            BlockKind::Serial => write!(f, "{:indent$}serial", "")?,
            BlockKind::Parallel { workers: None } => write!(f, "{:indent$}parallel", "")?,
            BlockKind::Parallel { workers: Some(workers) } => {
                write!(f, "{:indent$}parallel, {workers} at once", "")?;
            }
        }
        writeln!(f, "{}", blocker(block.blocker))?;
        let indent = indent + 2;
        for step in &block.steps {
            match step {
                PlanNode::Block(inner) => self.show(f, inner, depth + 1)?,
                PlanNode::Test(index) => {
                    let case = &self.cases[index.0 as usize];
                    let PlannedTest { id, arguments, .. } = &case.planned;
                    write!(f, "{:indent$}{}", "", case.planned.label())?;
                    if case.planned.label() != *id {
                        write!(f, " [{id}]")?;
                    }
                    if !arguments.is_empty() {
                        write!(f, " {}", arguments.join(" "))?;
                    }
                    writeln!(f, "{}", blocker(case.blocker))?;
                }
            }
        }
        Ok(())
    }
}
