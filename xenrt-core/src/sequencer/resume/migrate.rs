//! The journal of a run whose sequence was changed meanwhile, in the numbers of the new plan.

use std::collections::{BTreeMap, HashMap};

use super::PastRun;
use super::start::Difference;
use crate::report::{Journal, Reporter as _};
use crate::sequencer::{Event, EventKind, Plan, PlannedTest, TestIndex};
use crate::{Error, Result};

/// What makes two tests of two plans the same.
type Identity<'a> = (&'a str, &'a str, &'a str, &'a [String]);

fn identity(test: &PlannedTest) -> Identity<'_> {
    (&test.id, &test.name, &test.group, &test.arguments)
}

/// What differs between the tests of the run and those of the plan that is to go on with it.
pub(super) fn differences(past: &PastRun, plan: &Plan) -> Vec<Difference> {
    let now: HashMap<_, usize> =
        plan.tests().enumerate().map(|(at, test)| (identity(test), at)).collect();
    let before: HashMap<_, usize> =
        past.tests.iter().enumerate().map(|(at, test)| (identity(test), at)).collect();
    let gone = past.tests.iter().filter(|test| !now.contains_key(&identity(test)));
    let new = plan.tests().filter(|test| !before.contains_key(&identity(test)));
    let mut differences: Vec<_> = gone
        .map(|test| Difference::Gone(described(test)))
        .chain(new.map(|test| Difference::New(described(test))))
        .collect();
    let same_order = || past.tests.iter().map(|test| identity(test)).eq(plan.tests().map(identity));
    if differences.is_empty() && !same_order() {
        differences.push(Difference::Order);
    }
    differences
}

fn described(test: &PlannedTest) -> String {
    let arguments: String = test.arguments.iter().map(|argument| format!(" {argument}")).collect();
    format!("{} [{}]{arguments}", test.label(), test.id)
}

/// Writes the journal anew with the tests of `plan`: what is told of tests that are still there,
/// under their new numbers, and nothing of those that are gone. The old one is kept beside it.
pub(super) fn migrate(past: PastRun, plan: &Plan) -> Result<PastRun> {
    let now: HashMap<_, TestIndex> =
        plan.tests().zip(0..).map(|(test, number)| (identity(test), TestIndex(number))).collect();
    let numbers: BTreeMap<TestIndex, TestIndex> = past
        .tests
        .iter()
        .zip(0..)
        .filter_map(|(test, number)| Some((TestIndex(number), *now.get(&identity(test))?)))
        .collect();
    let journal = past.journal();
    let staging = past.folder.join("migrating");
    let written = staging.join(Journal::FILE);
    rewrite(&past, plan, &numbers, &written)?;
    let failed = |action, path: &std::path::Path, source| Error::Io {
        action,
        path: path.display().to_string(),
        source,
    };
    let old = past.folder.join(format!("{}.before-{}", Journal::FILE, past.next_event));
    std::fs::rename(&journal, &old).map_err(|error| failed("cannot rename", &journal, error))?;
    std::fs::rename(&written, &journal)
        .map_err(|error| failed("cannot rename", &written, error))?;
    std::fs::remove_dir_all(&staging).map_err(|error| failed("cannot remove", &staging, error))?;
    PastRun::open(&past.folder)
}

fn rewrite(
    past: &PastRun,
    plan: &Plan,
    numbers: &BTreeMap<TestIndex, TestIndex>,
    into: &std::path::Path,
) -> Result<()> {
    let mut new = Journal::create(into)?;
    let mut number = 0;
    let cannot_write = |source| Error::Io {
        action: "cannot write the journal",
        path: into.display().to_string(),
        source,
    };
    for Event { at, test, mut what, .. } in Journal::open(&past.journal())? {
        let test = match test.map(|test| numbers.get(&test)) {
            None => None,
            Some(Some(test)) => Some(*test),
            // What a test that is gone made on a host is still to be removed.
            Some(None)
                if matches!(
                    what,
                    EventKind::Creating(_)
                        | EventKind::NotCreated(_)
                        | EventKind::Renaming { .. }
                        | EventKind::Undone { object: Some(_), .. }
                ) =>
            {
                None
            }
            Some(None) => continue,
        };
        if let EventKind::RunStarted { tests, .. } = &mut what {
            *tests = plan.shared_tests();
        }
        new.event(&Event { number, at, test, what }).map_err(cannot_write)?;
        number += 1;
    }
    new.flush().map_err(cannot_write)
}
