//! A tree into a [`Sequence`]: expansion, validation and types in one walk.
//!
//! First every file is read and its elements are compared with the vocabulary; then the definitions
//! of variables, semaphores and collections are gathered; then the tree is walked as the loops,
//! conditions and inclusions say, and each element becomes a value of the model; at last the names
//! that were referred to are looked for.

mod calls;
mod check;
mod cloud;
mod control;
mod definitions;
mod few;
mod files;
mod guest;
mod host;
mod job;
mod network;
mod prepare;
mod reader;
mod references;
mod steps;
mod storage;
mod value;
mod variables;

use std::sync::Arc;

use super::diagnostic::{Diagnostic, SequenceError, Severity};
use super::syntax::{NodeId, Source};
use super::vocabulary::Word;
use super::{Block, Prepare, ReadOptions, Sequence};
use reader::Reader;
pub(super) use reader::or;

/// Reads a file with all that it includes.
pub(super) fn read(source: &Arc<Source>, options: &ReadOptions) -> Result<Sequence, SequenceError> {
    let invalid = |diagnostics: Vec<Diagnostic>| SequenceError::Invalid {
        file: source.file().to_owned(),
        diagnostics,
    };
    let (units, problems) = files::load(source, options);
    if units.is_empty() {
        return Err(invalid(problems.into_iter().map(|(_, problem)| problem).collect()));
    }
    let mut reader = Reader::new(&units, options);
    reader.take_problems(problems);
    let mut sequence = reader.sequence(source.file());
    let diagnostics = reader.finish();
    if diagnostics.iter().any(|problem| problem.severity() == Severity::Error) {
        return Err(invalid(diagnostics));
    }
    sequence.warnings = diagnostics;
    Ok(sequence)
}

impl Reader<'_> {
    fn sequence(&mut self, file: &str) -> Sequence {
        self.define();
        let mut sequence = Sequence { file: file.to_owned(), ..Sequence::default() };
        let unit = self.unit();
        let mut blocks: Vec<Block> = Vec::new();
        let (mut preprepare, mut prepare) = (None, None);
        for child in unit.tree.elements(NodeId::ROOT) {
            match unit.tree.word(child) {
                Word::Preprepare => self.only(child, &mut preprepare),
                Word::Prepare => self.only(child, &mut prepare),
                Word::ScriptFile => sequence.scripts.extend(self.script(child)),
                Word::Perfcheck => self.perfcheck(child, &mut sequence.perfcheck),
                Word::Scheduler => {
                    let scheduler = sequence.scheduler.get_or_insert_default();
                    self.scheduler(child, scheduler);
                }
                _ => {}
            }
        }
        sequence.preprepare = preprepare.map(|node| self.prepare(node)).unwrap_or_default();
        sequence.prepare = prepare.map(|node| self.prepare(node)).unwrap_or_default();
        if preprepare.is_none() {
            sequence.preprepare = containers(&sequence.prepare);
        }
        for child in unit.tree.elements(NodeId::ROOT) {
            if unit.tree.word(child) == Word::Testsequence {
                blocks.push(self.root_block(child));
            }
        }
        sequence.tests = steps::one_root(blocks);
        sequence.semaphores = self.semaphores();
        self.check_references(&sequence);
        sequence.variables = std::mem::take(&mut self.globals).into_values();
        sequence
    }

    /// The first of what there can be one of; tells of another.
    fn only(&mut self, node: NodeId, first: &mut Option<NodeId>) {
        let Some(first) = first else {
            *first = Some(node);
            return;
        };
        self.second(node, *first);
    }
}

/// The hosts that nested hosts are guests of, as the original prepared them where a file did not
/// say so.
fn containers(prepare: &Prepare) -> Prepare {
    let mut made = Prepare::default();
    let mut containers = reader::FastSet::default();
    for nested in prepare.hosts.iter().filter_map(|host| host.nested.as_ref()) {
        if containers.insert(nested.container) {
            made.hosts.push(super::HostStep::new(nested.container, nested.place));
        }
    }
    made
}
