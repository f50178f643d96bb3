//! The steps of a sequence into a plan.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::feasible::{left_to_the_lab, management_left_to_the_lab};
use super::{
    Plan, PlanAction, PlanBlock, PlanError, PlanNode, PlanProblem, PlannedCase, next_index,
};
use crate::Error;
use crate::lab::LabProvider;
use crate::nearest::hint;
use crate::sequence::{Block, Dependency, Node, Place, Prepare, Sequence, TestStep, Word};
use crate::sequencer::{PlannedTest, TestIndex};
use crate::testcase::{Args, Registry, TestDescriptor};

/// The test with this id.
pub(super) fn find_in(registry: &Registry, id: &str) -> Result<TestDescriptor, String> {
    registry.find(id).copied().map_err(|error| match error {
        Error::NotFound { kind, name, known } => {
            let hint = hint(&name, known.iter().map(String::as_str));
            format!("{kind} {name:?} is not known{hint}")
        }
        other => other.to_string(),
    })
}

pub(super) fn build(
    sequence: &Sequence,
    find: impl Fn(&str) -> Result<TestDescriptor, String>,
) -> Result<Plan, PlanError> {
    let mut planner = Planner {
        file: sequence.file.clone(),
        find,
        found: HashMap::new(),
        semaphores: sequence.semaphores.keys().zip(0..).map(|(name, at)| (&**name, at)).collect(),
        cases: Vec::new(),
        pending: Vec::new(),
        classes: HashMap::new(),
        problems: Vec::new(),
        names: Names::default(),
    };
    let workers = planner.workers(sequence);
    let root = sequence.tests.as_ref().map(|block| planner.block(block, None));
    planner.resolve();
    let Planner { cases, mut problems, .. } = planner;
    if !problems.is_empty() {
        let file = |problem: &PlanProblem| problem.file.as_ref().map(|file| file.name.clone());
        problems.sort_by_cached_key(|problem| (file(problem), problem.place));
        return Err(PlanError { file: sequence.file.clone(), problems });
    }
    // A run has as many machines as its file names or asks the scheduler for.
    let wanted = sequence.scheduler.as_ref().and_then(|scheduler| scheduler.machines);
    let named = sequence.prepare.machines().max(sequence.preprepare.machines());
    let machines = named.max(wanted.unwrap_or_default());
    let [preprepare, prepare] = [&sequence.preprepare, &sequence.prepare];
    let open = |prepare: &Prepare| prepare.all_hosts.iter().any(|all| all.last.is_none());
    let all = wanted.is_none() && (open(preprepare) || open(prepare));
    let plan = Plan {
        file: sequence.file.clone(),
        warnings: Vec::new(),
        preprepare: Prepare::default(),
        prepare: Prepare::default(),
        all_hosts: all.then(|| Arc::new([preprepare.clone(), prepare.clone()])),
        workers,
        semaphores: sequence.semaphores.values().copied().collect(),
        cases: cases.into(),
        root,
    };
    Ok(plan.prepared_as(preprepare, prepare, machines))
}

impl Plan {
    /// The same with what a run of so many machines prepares.
    fn prepared_as(self, preprepare: &Prepare, prepare: &Prepare, machines: u32) -> Self {
        let preprepare = preprepare.with_machines(machines);
        let prepare = prepare.with_machines(machines);
        let hosts = preprepare.hosts.iter().chain(&prepare.hosts);
        let hosts = hosts.filter_map(left_to_the_lab);
        let networks = [&preprepare, &prepare].into_iter().flat_map(management_left_to_the_lab);
        let warnings = hosts.chain(networks).collect();
        Self { warnings, preprepare, prepare, ..self }
    }

    /// The same for a run on so many machines: an `<allhosts>` without an end means all of them,
    /// unless the file asks the scheduler for a number (`MACHINES_REQUIRED`). Never less than the file
    /// names.
    #[must_use]
    pub fn on_machines(self, machines: usize) -> Self {
        let Some(all) = self.all_hosts.clone() else { return self };
        let [preprepare, prepare] = all.as_ref();
        let named = prepare.machines().max(preprepare.machines());
        let machines = u32::try_from(machines).unwrap_or(u32::MAX).max(named);
        self.prepared_as(preprepare, prepare, machines)
    }

    /// The same for a run on the machines of a lab, where their number is known.
    pub(in crate::sequencer) fn on_machines_of(self, lab: Option<&dyn LabProvider>) -> Self {
        match lab.and_then(LabProvider::machines) {
            Some(machines) => self.on_machines(machines),
            None => self,
        }
    }
}

struct Planner<'s, F> {
    /// The sequence file.
    file: String,
    find: F,
    /// By the id of the step: a loop may run one test a hundred thousand times.
    found: HashMap<Word, Found>,
    semaphores: BTreeMap<&'s str, u32>,
    cases: Vec<PlannedCase>,
    /// Dependencies of tests, resolved once all tests are known.
    pending: Vec<(TestIndex, &'s [Dependency])>,
    /// The names of tests as the original had them, where they differ: the class.
    classes: HashMap<TestIndex, Word>,
    problems: Vec<PlanProblem>,
    names: Names,
}

#[derive(Clone)]
struct Found {
    descriptor: Arc<TestDescriptor>,
    semaphore: Option<u32>,
}

impl<'s, F: Fn(&str) -> Result<TestDescriptor, String>> Planner<'s, F> {
    fn block(&mut self, block: &'s Block, outer_group: Option<&str>) -> PlanBlock {
        let group = block.group.as_deref().or(outer_group);
        let steps = block.steps.iter();
        let steps = steps.filter_map(|step| match step {
            Node::Block(inner) => Some(PlanNode::Block(self.block(inner, group))),
            Node::Test(test) => self.test(test, group).map(PlanNode::Test),
            Node::Action(step) => Some(PlanNode::Action(PlanAction {
                action: step.action.clone(),
                place: step.place,
            })),
        });
        PlanBlock {
            kind: block.kind,
            blocker: block.blocker,
            timeout: block.timeout,
            rounds: block.rounds,
            seed: block.seed,
            steps: steps.collect(),
            finally: block.finally.iter().map(|inner| self.block(inner, group)).collect(),
            line: block.place.line,
        }
    }

    fn test(&mut self, step: &'s TestStep, group: Option<&str>) -> Option<TestIndex> {
        let Found { descriptor, semaphore } = self.find(step)?;
        let (module, last) = descriptor.id.rsplit_once('.').unwrap_or(("tests", descriptor.id));
        let arguments = step.arguments.iter().map(|argument| match &argument.name {
            Some(name) => format!("{name}={}", argument.value),
            None => argument.value.to_string(),
        });
        let planned = PlannedTest {
            id: descriptor.id.to_owned(),
            name: self.names.unique(step.name.as_deref().unwrap_or(last)),
            group: step.group.as_deref().or(group).unwrap_or(module).to_owned(),
            tc: step.tc.as_deref().or(descriptor.tc).map(str::to_owned),
            line: step.place.line,
            arguments: arguments.collect(),
            tags: descriptor.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            priority: step.priority,
            ttype: step.ttype.as_deref().map(str::to_owned),
            sku: step.sku.as_deref().map(str::to_owned),
        };
        let index = next_index(self.cases.len());
        if !step.depends.is_empty() {
            self.pending.push((index, &step.depends));
        }
        if step.name.is_none() && last_part(&step.id) != last {
            self.classes.insert(index, step.id.clone());
        }
        self.cases.push(PlannedCase {
            planned: Arc::new(planned),
            args: Args::from(step.arguments.as_slice()),
            host: step.host.clone(),
            guest: step.guest.clone(),
            blocker: step.blocker.unwrap_or(descriptor.blocker),
            depends: Box::default(),
            timeout: step.timeout,
            retries: step.retries,
            rounds: step.rounds,
            requires: step.requires.clone().into(),
            claim: step.claim,
            semaphore,
            descriptor,
        });
        Some(index)
    }

    fn find(&mut self, step: &TestStep) -> Option<Found> {
        if let Some(found) = self.found.get(&step.id) {
            return Some(found.clone());
        }
        let descriptor = match (self.find)(&step.id) {
            Ok(descriptor) => descriptor,
            Err(message) => {
                let problem = PlanProblem::about(&step.id, &self.file, step.id_place, message);
                self.problems.push(problem);
                return None;
            }
        };
        let ids = [&*step.id, descriptor.id].into_iter().chain(descriptor.legacy.iter().copied());
        let mut classes = ids.map(|id| last_part(id).to_lowercase());
        let semaphore = classes.find_map(|class| self.semaphores.get(&*class).copied());
        let found = Found { descriptor: Arc::new(descriptor), semaphore };
        self.found.insert(step.id.clone(), found.clone());
        Some(found)
    }

    /// `PREPARE_WORKERS`, as it is written. (The original never took less than 4.)
    fn workers(&mut self, sequence: &Sequence) -> Option<usize> {
        let text = sequence.variables.get("PREPARE_WORKERS")?;
        match text.trim().parse() {
            Ok(workers) if workers > 0 => Some(workers),
            _ => {
                let place = Place { line: 1, column: 1, ..Place::default() };
                let message =
                    format!("PREPARE_WORKERS is {text:?}; expected a number of at least 1");
                self.problems.push(PlanProblem::new(place, message));
                None
            }
        }
    }

    /// Finds the tests that others depend on: by name, or by the class that the original named
    /// them by.
    fn resolve(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut by_name: HashMap<String, Vec<TestIndex>> = HashMap::new();
        for (at, case) in self.cases.iter().enumerate() {
            let index = next_index(at);
            by_name.entry(case.planned.name.clone()).or_default().push(index);
            if let Some(id) = self.classes.get(&index) {
                by_name.entry(last_part(id).to_owned()).or_default().push(index);
            }
        }
        for (index, depends) in std::mem::take(&mut self.pending) {
            let mut resolved = Vec::new();
            for dependency in depends {
                let told = |message: String| {
                    PlanProblem::about(&dependency.name, &self.file, dependency.place, message)
                };
                let of_group = |at: &&TestIndex| {
                    let group = &self.cases[at.0 as usize].planned.group;
                    dependency.group.as_ref().is_none_or(|wanted| **wanted == **group)
                };
                let named = by_name.get(&*dependency.name).map_or(&[][..], Vec::as_slice);
                match named.iter().find(of_group) {
                    Some(found) if *found < index => resolved.push(*found),
                    Some(found) => {
                        let label = self.cases[found.0 as usize].planned.label();
                        let message = format!(
                            "it depends on {label}, which comes after it; put that test before it"
                        );
                        self.problems.push(told(message));
                    }
                    None => {
                        let wanted = match &dependency.group {
                            Some(group) => format!("{group}:{}", dependency.name),
                            None => dependency.name.to_string(),
                        };
                        let known = self.cases.iter().map(|case| match &dependency.group {
                            Some(_) => format!("{}:{}", case.planned.group, case.planned.name),
                            None => case.planned.name.clone(),
                        });
                        let known: Vec<String> = known.collect();
                        let hint = hint(&wanted, known.iter().map(String::as_str));
                        let message = format!("the test {wanted:?} is not in the sequence{hint}");
                        self.problems.push(told(message));
                    }
                }
            }
            self.cases[index.0 as usize].depends = resolved.into();
        }
    }
}

/// The class of a test: the last word of its id.
fn last_part(id: &str) -> &str {
    id.rsplit('.').next().unwrap_or(id)
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
