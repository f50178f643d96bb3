//! Names that somebody should have, looked for when all are known.

use std::collections::{HashMap, HashSet};

use super::prepare::Covered;
use super::reader::{Reader, Reference, Referred};
use super::value::MOST_HINTED;
use crate::nearest::hint;
use crate::sequence::diagnostic::DiagnosticKind;
use crate::sequence::model::Word as Text;
use crate::sequence::syntax::Span;
use crate::sequence::{Block, Dependency, Node, Prepare, Sequence};

impl Reader<'_> {
    pub(super) fn check_references(&mut self, sequence: &Sequence) {
        // Elements that were refused may have had the names.
        if self.names.partial || self.exhausted {
            return;
        }
        // Most files refer to none.
        let mut hosts = None;
        let prepares = [&sequence.preprepare, &sequence.prepare];
        let covered = Covered::of(prepares.iter().flat_map(|prepare| &prepare.all_hosts));
        for Reference { to, name, place } in std::mem::take(&mut self.names.references) {
            if self.is_full() {
                break;
            }
            let (what, known, hint, define) = match to {
                Referred::Host => {
                    // Without <prepare>, the hosts are those of the lab, whatever there are.
                    let hosts = hosts.get_or_insert_with(|| host_names(sequence));
                    let of_lab = hosts.is_empty() && name.starts_with("RESOURCE_HOST_");
                    let known = of_lab || hosts.contains(&*name) || covered.has(&name);
                    let all = hosts.iter().map(String::as_str).take(MOST_HINTED);
                    let hint = if known { String::new() } else { hint(&name, all) };
                    let define =
                        "expected the RESOURCE_HOST_<id> or alias of a <host> in <prepare>, or any";
                    ("host", known, hint, define)
                }
                Referred::Guest => {
                    let names = &self.names;
                    let known =
                        names.guests.contains_key(&*name) || names.guests_made.contains(&*name);
                    let all = names.guests.keys().chain(&names.guests_made);
                    let all = all.map(Text::as_str).take(MOST_HINTED);
                    let hint = if known { String::new() } else { hint(&name, all) };
                    let define = "expected the name of a <vm> in <prepare>, or of a guest that a \
                                  test makes (<arg>guest=NAME</arg>)";
                    ("guest", known, hint, define)
                }
            };
            if known {
                continue;
            }
            self.current = place.unit;
            let message = format!("no {what} is called {name:?}");
            let problem = self
                .problem(DiagnosticKind::DanglingReference, place.at, message)
                .help(define)
                .help(hint.trim_start_matches("; ").to_owned());
            self.push_lenient_for(place.unit, problem);
        }
        self.current = 0;
        if let Some(root) = &sequence.tests
            && self.dependencies
        {
            self.check_dependencies(root);
        }
    }

    /// Tells of tests that depend on one that is not there, or not before them.
    fn check_dependencies(&mut self, root: &Block) {
        let mut tests = Tests::default();
        tests.add(root);
        let told: Vec<_> = tests
            .depending
            .iter()
            .filter(|(dependency, _)| !tests.has(dependency))
            .take(self.limits().problems)
            .map(|(dependency, _)| {
                let name = match &dependency.group {
                    Some(group) => format!("{group}:{}", dependency.name),
                    None => dependency.name.to_string(),
                };
                let help = hint(&name, tests.full.iter().map(String::as_str).take(MOST_HINTED));
                (Dependency::clone(dependency), name, help)
            })
            .collect();
        for (dependency, name, help) in told {
            let place = dependency.place;
            let mut at: Span = (place.offset..place.offset + place.length).into();
            // Its place is in the file itself; what is written in another is told there.
            let written = self.units.iter().position(|unit| unit.source.has(&dependency.name));
            if let Some(unit) = written.filter(|unit| *unit > 0) {
                let name = dependency.name.range();
                let group = dependency.group.as_ref();
                let group = group.filter(|group| self.units[unit].source.has(group));
                let start = group.map_or(name.start, |group| group.range().start.min(name.start));
                self.current = unit;
                at = (start..name.end).into();
            }
            let message = format!("no test is called {name:?}");
            let problem = self
                .problem(DiagnosticKind::DanglingReference, at, message)
                .help("expected \"group:test\" or \"test\" with the names of a test of the file")
                .help(help.trim_start_matches("; ").to_owned());
            self.push_lenient(problem);
            self.current = 0;
        }
    }
}

/// Every name of a host.
fn host_names(sequence: &Sequence) -> HashSet<String> {
    let of = |prepare: &Prepare| {
        let all = prepare.all_hosts.iter().flat_map(|all| all.host.names());
        prepare.hosts.iter().flat_map(|host| host.names()).chain(all).collect::<Vec<_>>()
    };
    of(&sequence.prepare).into_iter().chain(of(&sequence.preprepare)).collect()
}

/// The tests of a sequence by their names.
#[derive(Default)]
struct Tests<'b> {
    names: HashSet<&'b str>,
    by_group: HashMap<&'b str, HashSet<&'b str>>,
    full: HashSet<String>,
    depending: Vec<(&'b Dependency, &'b str)>,
}

impl<'b> Tests<'b> {
    fn add(&mut self, block: &'b Block) {
        self.collect(block);
        if self.depending.is_empty() {
            return;
        }
        for (group, names) in &self.by_group {
            self.full.extend(names.iter().map(|name| format!("{group}:{name}")));
        }
    }

    fn collect(&mut self, block: &'b Block) {
        for step in &block.steps {
            match step {
                Node::Block(block) => self.collect(block),
                Node::Test(test) => {
                    let last = test.id.rsplit('.').next().unwrap_or(&test.id);
                    let name = test.name.as_deref().unwrap_or(last);
                    self.names.insert(name);
                    if let Some(group) = &test.group {
                        self.by_group.entry(group).or_default().insert(name);
                    }
                    self.depending.extend(test.depends.iter().map(|it| (it, name)));
                }
                Node::Action(_) => {}
            }
        }
        for finally in &block.finally {
            self.collect(finally);
        }
    }

    fn has(&self, dependency: &Dependency) -> bool {
        match &dependency.group {
            Some(group) => {
                self.by_group.get(&**group).is_some_and(|names| names.contains(&*dependency.name))
            }
            None => self.names.contains(&*dependency.name),
        }
    }
}
