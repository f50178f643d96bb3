//! A part of a plan.

use super::{Plan, PlanBlock, PlanNode, PlannedCase, next_index};
use crate::sequencer::{PlannedTest, Selection, TestIndex};

impl Plan {
    /// The same plan with only the tests that `selection` admits; blocks without a test go.
    ///
    /// The `finally` blocks of a block that stays are kept whatever `selection` asks for, since they
    /// put right what its tests do; only a word of [`skip`](Selection::skip) takes tests out of
    /// them, and [`no_finally`](Selection::no_finally) all of them. A dependency on a test that is
    /// taken out is no longer looked at, and [`warnings`](Self::warnings) says so.
    #[must_use]
    pub fn select(&self, selection: &Selection) -> Self {
        if selection.is_everything() {
            return self.clone();
        }
        let (filter, skipped) = (selection.filter(), selection.skipped());
        self.cut(selection.no_finally, &mut |case, in_finally| {
            if in_finally { !skipped.admits_case(case) } else { filter.admits_case(case) }
        })
    }

    /// The same plan with only these tests, as [`select`](Self::select) has it.
    #[must_use]
    pub(in crate::sequencer) fn only(&self, mut admit: impl FnMut(&PlannedTest) -> bool) -> Self {
        // Each test is asked for, so that whoever counts them counts all.
        self.cut(false, &mut |case, in_finally| admit(&case.planned) | in_finally)
    }

    fn cut(&self, no_finally: bool, admit: &mut dyn FnMut(&PlannedCase, bool) -> bool) -> Self {
        let mut selected = Selected {
            plan: self,
            no_finally,
            admit,
            cases: Vec::new(),
            new_index: vec![None; self.cases.len()],
        };
        let root = self.root.as_ref().map(|block| selected.block(block, false));
        let Selected { mut cases, new_index, .. } = selected;
        let mut warnings = self.warnings.clone();
        for case in &mut cases {
            let mut kept = Vec::new();
            for depends in &case.depends {
                match new_index[depends.0 as usize] {
                    Some(index) => kept.push(index),
                    None => warnings.push(format!(
                        "{} depends on {}, which is not selected; it runs all the same",
                        case.planned.label(),
                        self.cases[depends.0 as usize].planned.label()
                    )),
                }
            }
            case.depends = kept.into();
        }
        Self { cases: cases.into(), root, warnings, ..self.clone() }
    }

    /// What whoever runs the plan should know about it: dependencies that are not looked at.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

struct Selected<'a> {
    plan: &'a Plan,
    no_finally: bool,
    /// Whether a test stays, and whether it is in a `finally` block.
    admit: &'a mut dyn FnMut(&PlannedCase, bool) -> bool,
    cases: Vec<PlannedCase>,
    /// By the old index.
    new_index: Vec<Option<TestIndex>>,
}

impl Selected<'_> {
    fn block(&mut self, block: &PlanBlock, in_finally: bool) -> PlanBlock {
        let mut steps = Vec::new();
        let mut has_test = false;
        for step in &block.steps {
            match step {
                PlanNode::Block(inner) => {
                    let inner = self.block(inner, in_finally);
                    if !inner.steps.is_empty() || !inner.finally.is_empty() {
                        has_test = true;
                        steps.push(PlanNode::Block(inner));
                    }
                }
                PlanNode::Action(_) => steps.push(step.clone()),
                PlanNode::Test(index) => {
                    let case = &self.plan.cases[index.0 as usize];
                    if (self.admit)(case, in_finally) {
                        has_test = true;
                        let new = next_index(self.cases.len());
                        self.new_index[index.0 as usize] = Some(new);
                        self.cases.push(case.clone());
                        steps.push(PlanNode::Test(new));
                    }
                }
            }
        }
        // An action without a test to wait for or to prepare for has no sense.
        if !has_test && !in_finally {
            steps.clear();
        }
        let stays = has_test && !self.no_finally;
        let finally = block.finally.iter().filter(|_| stays);
        let finally = finally.map(|inner| self.block(inner, true)).collect::<Vec<_>>();
        let finally = finally.into_iter().filter(|inner| !inner.steps.is_empty()).collect();
        PlanBlock { steps, finally, ..without_steps(block) }
    }
}

fn without_steps(block: &PlanBlock) -> PlanBlock {
    PlanBlock {
        kind: block.kind,
        blocker: block.blocker,
        timeout: block.timeout,
        rounds: block.rounds,
        seed: block.seed,
        steps: Vec::new(),
        finally: Vec::new(),
        line: block.line,
    }
}
