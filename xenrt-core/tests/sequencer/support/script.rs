//! Tests from closures, sequences from function calls.

use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::BoxFuture;
use xenrt_core::report::Reporter;
use xenrt_core::sequence::{
    Action, ActionStep, Argument, Block, BlockKind, GuestStep, HostStep, Node, Place, Prepare,
    Rounds, Sequence, TestStep,
};
use xenrt_core::sequencer::{CancelHandle, Event, EventKind, Plan, RunOptions, RunReport, run};
use xenrt_core::testcase::{
    Claims, ErasedTestCase, Registry, Requirements, TestContext, TestDescriptor, TestResult,
};

pub(crate) type Part = for<'a> fn(&'a TestContext) -> BoxFuture<'a, TestResult>;

/// A test from three closures.
pub(crate) struct Script {
    pub(crate) prepare: Part,
    pub(crate) run: Part,
    pub(crate) cleanup: Part,
}

impl Script {
    pub(crate) fn new() -> Self {
        let nothing: Part = |_| Box::pin(async { Ok(()) });
        Self { prepare: nothing, run: nothing, cleanup: nothing }
    }
}

#[async_trait]
impl ErasedTestCase for Script {
    async fn prepare(&mut self, cx: &TestContext) -> TestResult {
        (self.prepare)(cx).await
    }
    async fn run(&mut self, cx: &TestContext) -> TestResult {
        (self.run)(cx).await
    }
    async fn cleanup(&mut self, cx: &TestContext) -> TestResult {
        (self.cleanup)(cx).await
    }
}

pub(crate) fn describe(id: &'static str, make: fn() -> Box<dyn ErasedTestCase>) -> TestDescriptor {
    TestDescriptor {
        id,
        legacy: &[],
        tc: None,
        description: "",
        timeout: None,
        requires: Requirements { hosts: 1, abilities: &[] },
        claims: Claims::DEFAULT,
        blocker: false,
        tags: &[],
        type_name: "Script",
        file: file!(),
        line: line!(),
        make,
    }
}

/// `case!("id", |cx| { ... })` runs the block as `run`; `prepare:` and `cleanup:` may come before.
macro_rules! case {
    ($id:literal $(, $part:ident: |$pcx:ident| $pbody:block)*, |$cx:ident| $body:block) => {
        $crate::support::describe($id, || {
            Box::new($crate::support::Script {
                run: |$cx| Box::pin(async move { $body }),
                $($part: |$pcx| Box::pin(async move { $pbody }),)*
                ..$crate::support::Script::new()
            })
        })
    };
}

// ---- sequences ----

fn place() -> Place {
    Place { offset: 0, length: 1, line: 1, column: 1 }
}

pub(crate) fn test(id: &str) -> Node {
    Node::Test(TestStep::new(id, place()))
}

fn block(kind: BlockKind, steps: impl IntoIterator<Item = Node>) -> Node {
    let steps = steps.into_iter().collect();
    Node::Block(Block { kind, steps, place: place(), ..Block::default() })
}

pub(crate) fn serial(steps: impl IntoIterator<Item = Node>) -> Node {
    block(BlockKind::Serial, steps)
}

pub(crate) fn parallel(workers: Option<usize>, steps: impl IntoIterator<Item = Node>) -> Node {
    block(BlockKind::Parallel { workers }, steps)
}

pub(crate) fn blocker(mut node: Node) -> Node {
    match &mut node {
        Node::Block(block) => block.blocker = true,
        Node::Test(test) => test.blocker = Some(true),
        Node::Action(_) => {}
    }
    node
}

/// A test with something said about it.
pub(crate) fn with(mut node: Node, change: impl FnOnce(&mut TestStep)) -> Node {
    if let Node::Test(test) = &mut node {
        change(test);
    }
    node
}

/// A block with something said about it.
pub(crate) fn with_block(mut node: Node, change: impl FnOnce(&mut Block)) -> Node {
    if let Node::Block(block) = &mut node {
        change(block);
    }
    node
}

/// A block with a `finally`.
pub(crate) fn finally(node: Node, steps: impl IntoIterator<Item = Node>) -> Node {
    let Node::Block(last) = serial(steps) else { unreachable!("serial makes a block") };
    with_block(node, |block| block.finally.push(last))
}

pub(crate) fn action(action: Action) -> Node {
    Node::Action(ActionStep { action, group: None, place: place() })
}

pub(crate) fn times(times: u32) -> Rounds {
    Rounds { times: Some(times), duration: None }
}

pub(crate) fn args(mut node: Node, arguments: &[(&str, &str)]) -> Node {
    if let Node::Test(test) = &mut node {
        test.arguments = arguments
            .iter()
            .map(|(name, value)| Argument {
                name: Some((*name).into()),
                value: (*value).into(),
                place: place(),
            })
            .collect();
    }
    node
}

pub(crate) fn host_step(id: u32, alias: Option<&str>, guests: &[&str]) -> HostStep {
    HostStep {
        alias: alias.map(Into::into),
        guests: guests.iter().map(|name| GuestStep::new(*name, place())).collect(),
        ..HostStep::new(id, place())
    }
}

/// A sequence: hosts, then the steps of its outer serial block.
pub(crate) fn sequence(hosts: Vec<HostStep>, steps: Vec<Node>) -> Sequence {
    let Node::Block(root) = serial(steps) else { unreachable!("serial makes a block") };
    Sequence {
        file: "made.seq".into(),
        prepare: Prepare { hosts, ..Prepare::default() },
        tests: Some(root),
        ..Sequence::default()
    }
}

// ---- running ----

/// Keeps all events.
#[derive(Clone, Default)]
struct Collect(Arc<Mutex<Vec<Event>>>);

impl Reporter for Collect {
    fn name(&self) -> String {
        "the collection".into()
    }
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.0.lock().unwrap().push(event.clone());
        Ok(())
    }
}

/// What a run gave.
pub(crate) struct Outline {
    pub(crate) report: RunReport,
    pub(crate) events: Vec<Event>,
    /// Of the run, kept as long as this.
    pub(crate) folder: tempfile::TempDir,
}

impl Outline {
    /// `name: outcome` of each test with its message, and ` leaked ...`.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let results = self.report.results.iter().map(|result| {
            let kind = result.outcome.kind();
            let mut line = format!("{}: {kind}", result.test.name);
            if !result.outcome.message().is_empty() {
                line = format!("{line}: {}", result.outcome.message());
            }
            for leak in &result.marks.leaked {
                line = format!("{line} [leaked {leak}]");
            }
            without_place(&line)
        });
        results.collect()
    }

    /// `name` of each event that `show` knows.
    pub(crate) fn shown(&self, show: impl Fn(&EventKind) -> Option<String>) -> Vec<String> {
        self.events.iter().filter_map(|event| show(&event.what)).collect()
    }
}

pub(crate) async fn run_plan(
    tests: Vec<TestDescriptor>,
    hosts: Vec<HostStep>,
    steps: Vec<Node>,
    cancel: CancelHandle,
    change: impl FnOnce(&mut RunOptions),
) -> Outline {
    run_sequence(tests, &sequence(hosts, steps), cancel, change).await
}

pub(crate) async fn run_sequence(
    tests: Vec<TestDescriptor>,
    sequence: &Sequence,
    cancel: CancelHandle,
    change: impl FnOnce(&mut RunOptions),
) -> Outline {
    let registry = Registry::of(tests).unwrap();
    let plan = Plan::new(sequence, &registry).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let collect = Collect::default();
    let mut options = RunOptions::new(folder.path()).reporter(collect.clone());
    change(&mut options);
    let report = run(plan, options, cancel).await;
    let events = std::mem::take(&mut *collect.0.lock().unwrap());
    Outline { report, events, folder }
}

/// Without the lines of this project's own tests.
pub(crate) fn without_place(text: &str) -> String {
    let place = regex::Regex::new(r"at \S*\.rs:\d+:\d+").unwrap();
    place.replace_all(text, "at [place]").into_owned()
}
