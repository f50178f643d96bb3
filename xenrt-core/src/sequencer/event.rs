//! What happens in a run.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::RunOrigin;
use crate::model::CreatedObject;
use crate::remote::CommandRecord;
use crate::seconds::Seconds;
use crate::testcase::{Marks, Outcome, OutcomeKind, Phase};

/// The identity of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The number of a test in its plan, from 0 in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TestIndex(pub u32);

/// One thing that happened, as the journal keeps it: a line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the run, from 0 without gaps.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The test that it belongs to; `None` for the run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestIndex>,
    /// What.
    pub what: EventKind,
}

/// How loud a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For whoever looks for it.
    Info,
    /// For everybody.
    Warning,
}

/// A test of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTest {
    /// The id in the registry.
    pub id: String,
    /// The name in reports, unique in the run: a second one of the same name gets `(1)`.
    pub name: String,
    /// The group in reports.
    pub group: String,
    /// The number in a test management system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tc: Option<String>,
    /// The line of the sequence file.
    pub line: u32,
    /// Its arguments as `name=value`, or the value alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Words to select it by: those of the test itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How important it is: 1 is the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The `ttype` of the sequence file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttype: Option<String>,
    /// The edition of the product that the number in the test management system is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
}

impl PlannedTest {
    /// What it is called where people read: its id where its group and name say no more than
    /// that, else `group/name`.
    pub fn label(&self) -> String {
        match self.id.rsplit_once('.') {
            Some((group, name)) if group == self.group && name == self.name => self.id.clone(),
            _ => format!("{}/{}", self.group, self.name),
        }
    }
}

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is documented on Outcome")]
pub struct Summary {
    pub passed: u32,
    pub failed: u32,
    pub errored: u32,
    pub skipped: u32,
    pub blocked: u32,
    /// Of the passed ones, those that passed on a retry.
    pub flaky: u32,
    /// Tests that left something behind.
    pub leaked: u32,
}

impl Summary {
    /// Counts one test.
    pub fn count(&mut self, outcome: &Outcome, marks: &Marks) {
        *match outcome.kind() {
            OutcomeKind::Passed => &mut self.passed,
            OutcomeKind::Failed => &mut self.failed,
            OutcomeKind::Errored => &mut self.errored,
            OutcomeKind::Skipped => &mut self.skipped,
            OutcomeKind::Blocked => &mut self.blocked,
        } += 1;
        self.flaky += u32::from(marks.flaky);
        self.leaked += u32::from(!marks.leaked.is_empty());
    }

    /// All tests.
    pub fn total(&self) -> u32 {
        self.passed + self.failed + self.errored + self.skipped + self.blocked
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum EventKind {
    /// The run began. Always the first event.
    RunStarted {
        /// Its identity.
        run: RunId,
        /// The version of this library.
        version: String,
        /// The sequence file.
        sequence: String,
        /// What gives it hosts.
        lab: String,
        /// Its tests, by number.
        tests: Arc<[Arc<PlannedTest>]>,
        /// What it takes to go on with it in another process.
        #[serde(default, skip_serializing_if = "RunOrigin::is_unknown")]
        origin: Box<RunOrigin>,
    },
    /// A host that outlives the run was found with these guests, networks and so on before the run made
    /// anything on it: they belong to somebody else, and no clean-up touches them.
    HostFound {
        /// What the lab calls the host.
        host: String,
        /// The names of its guests.
        guests: Vec<String>,
        /// The names of its networks.
        networks: Vec<String>,
        /// The names of its storage, where its toolstack makes some.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        storages: Vec<String>,
        /// The names of its templates, where its toolstack has some.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        templates: Vec<String>,
        /// The names of the pool's hosts that it knows, where it is in one with others.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pool: Vec<String>,
    },
    /// Something is about to be made on a host. Written before it is: of a run that was killed, it
    /// is known what may be left.
    Creating(CreatedObject),
    /// Something of this name on a host is about to get another one. Written before it does: of a
    /// run that was killed, it is known by which names a guest may be found.
    Renaming {
        /// What, by the name that it has.
        object: CreatedObject,
        /// The name that it gets.
        to: String,
    },
    /// The host refused to make it; what goes by its name there is not this run's.
    NotCreated(CreatedObject),
    /// A step of the preparation began: `hosts`, `guest tiny`.
    PrepareStarted {
        /// Which.
        step: String,
    },
    /// Something to tell about a step of the preparation that goes on.
    PrepareProgress {
        /// Which step.
        step: String,
        /// What is being done.
        message: String,
        /// How much is done, from 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fraction: Option<f32>,
    },
    /// A step of the preparation ended.
    PrepareFinished {
        /// Which.
        step: String,
        /// How long it took.
        seconds: Seconds,
        /// Why it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The run goes on after it was interrupted: tests that had ended are not run again, and their
    /// events stand before this one.
    RunResumed {
        /// The version of this library.
        version: String,
        /// What gives it hosts now.
        lab: String,
        /// How many tests had ended.
        ended: u32,
    },
    /// A test began (an attempt at it, from 1).
    TestStarted {
        /// Which attempt of this round.
        attempt: u32,
        /// Which round of a test that is repeated, from 1.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        round: u32,
        /// The lane of a chart that it runs in, from 0: the lowest that no other test of the run
        /// is in.
        #[serde(default)]
        lane: u32,
        /// The hosts that it claims, by the first of their names.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hosts: Vec<String>,
    },
    /// An attempt ended that is not the only one of its test: it is to be retried or repeated, or
    /// was. [`TestFinished`](Self::TestFinished) follows the last one, with the verdict of all.
    AttemptFinished {
        /// Which attempt of this round.
        attempt: u32,
        /// Which round.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        round: u32,
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        seconds: Seconds,
    },
    /// A test entered another part of its life.
    PhaseStarted {
        /// Which.
        phase: Phase,
    },
    /// A test says what it does now.
    Step {
        /// What.
        text: String,
    },
    /// A message of a test or of the harness.
    Log {
        /// How loud.
        level: Level,
        /// The message.
        text: String,
    },
    /// A command was run for a test or for the preparation.
    Command(CommandRecord),
    /// A test measured something.
    Value {
        /// What: `throughput`.
        name: String,
        /// How much.
        value: f64,
        /// In what: `Mbit/s`.
        unit: String,
    },
    /// What a guest looks like when the test has ended, where the run was
    /// [asked to tell](super::RunOptions::observe).
    Observed {
        /// The guest: `guest tiny`.
        object: String,
        /// How the toolstack and the hypervisor have it, in words that do not depend on the
        /// toolstack.
        state: String,
    },
    /// Something bad was found in what an object wrote while the test ran: the panic of a kernel on
    /// a console, an Oops in a log. It is evidence and not a verdict.
    Finding {
        /// Where: `guest tiny console`, `host xenhost1 kernel log`.
        source: String,
        /// What it looks like: `kernel panic`.
        pattern: String,
        /// The lines around it.
        excerpt: String,
    },
    /// A file of evidence was written.
    Evidence {
        /// Where, relative to the folder of the run.
        file: String,
    },
    /// Something that was created was undone.
    Undone {
        /// What: `delete guest "tiny"`.
        undo: String,
        /// What is gone now, where the undo was about one object of a host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        object: Option<CreatedObject>,
        /// Why it could not be, if it could not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// An `<action>` of the sequence began.
    ActionStarted {
        /// Which: `sleep 10 s`, `prepare`.
        action: String,
        /// The line of the sequence file.
        line: u32,
    },
    /// An `<action>` of the sequence ended, or was not done.
    ActionFinished {
        /// Which: `sleep 10 s`, `prepare`.
        action: String,
        /// The line of the sequence file.
        line: u32,
        /// How long it took.
        seconds: Seconds,
        /// Why it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A test ended.
    TestFinished {
        /// How.
        outcome: Outcome,
        /// What else is to be said.
        #[serde(default)]
        marks: Marks,
        /// How long it took, all phases together.
        seconds: Seconds,
    },
    /// The run is to end early.
    Cancelled {
        /// Why: `Ctrl-C`, `the run's time is over`.
        reason: String,
    },
    /// The environment is left running.
    Kept {
        /// How to get in and how to end it.
        how: String,
    },
    /// The run ended. Always the last event.
    RunFinished {
        /// How many tests ended how.
        summary: Summary,
        /// The exit code that stands for the run.
        exit_code: u8,
        /// How long it took.
        seconds: Seconds,
    },
}

impl EventKind {
    /// Whether something may follow from it that a journal must not know without it: such an event
    /// is in the file before whoever told it goes on.
    pub(crate) fn is_milestone(&self) -> bool {
        matches!(
            self,
            Self::RunStarted { .. }
                | Self::RunResumed { .. }
                | Self::HostFound { .. }
                | Self::Creating(_)
                | Self::NotCreated(_)
                | Self::Renaming { .. }
                | Self::Undone { object: Some(_), .. }
                | Self::TestFinished { .. }
                | Self::Kept { .. }
                | Self::RunFinished { .. }
        )
    }
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(number: &u32) -> bool {
    *number == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_survives_it() {
        let event = Event {
            number: 7,
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
            test: Some(TestIndex(3)),
            what: EventKind::Value { name: "speed".into(), value: 1.5, unit: "Mbit/s".into() },
        };
        let line = serde_json::to_string(&event).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        insta::assert_snapshot!(line);
    }
}
