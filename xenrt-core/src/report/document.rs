//! What a report in JSON says: the types of its document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Blame;
use crate::testcase::{OutcomeKind, Phase};

/// A whole run as one document, for other tools. [`schema`](Self::schema) is its JSON Schema.
///
/// All times are seconds since the run began, to the microsecond. A field that has nothing to say
/// is left out. Readers must ignore fields that they do not know; what is there now keeps its
/// meaning as long as [`version`](Self::version) does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportDocument {
    /// Always `xenrt-report`.
    pub format: String,
    /// [`VERSION`](Self::VERSION).
    pub version: u32,
    /// The run itself.
    pub run: RunDocument,
    /// Every test of the plan, in its order.
    pub tests: Vec<TestDocument>,
}

impl ReportDocument {
    /// The value of [`format`](Self::format).
    pub const FORMAT: &'static str = "xenrt-report";
    /// The version of this document. It grows when a field is removed or changes its meaning.
    pub const VERSION: u32 = 1;

    /// The JSON Schema (draft 2020-12) of this document.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(ReportDocument).to_value()
    }
}

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunDocument {
    /// Its identity, a UUID.
    pub id: String,
    /// The version of the library that ran it.
    pub xenrt: String,
    /// The sequence file.
    pub sequence: String,
    /// What gave it hosts.
    pub lab: String,
    /// When it began, as RFC 3339 has it. Empty where its first event is lost.
    pub started: String,
    /// How long it took, or how much of it is known.
    pub seconds: f64,
    /// Whether it came to its end. A run that was killed did not.
    pub finished: bool,
    /// The exit code that stands for it; absent where it did not finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// How many tests ended how.
    pub counts: CountsDocument,
    /// What was built before the tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preparation: Vec<PreparationDocument>,
    /// The actions of the sequence that were done between tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<PreparationDocument>,
    /// Why it was cancelled, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<String>,
    /// How to get at what was left running, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// When it was resumed after an interruption.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<f64>,
    /// Warnings that belong to no test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Findings that belong to no test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingDocument>,
    /// The end of what was said and done outside of tests.
    #[serde(default, skip_serializing_if = "LogDocument::is_empty")]
    pub log: LogDocument,
}

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountsDocument {
    /// The product did what it should.
    pub passed: u32,
    /// The product is wrong.
    pub failed: u32,
    /// The harness, the lab or the test is wrong, or the test has no end.
    pub errored: u32,
    /// They could not say anything here.
    pub skipped: u32,
    /// Something before them went wrong.
    pub blocked: u32,
    /// Of the passed ones, those that did so on a retry.
    pub flaky: u32,
    /// Tests that left something behind.
    pub leaked: u32,
    /// Tests with findings in consoles and logs.
    pub with_findings: u32,
}

/// A step of the preparation, or an action of the sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreparationDocument {
    /// Which: `hosts`, `guest tiny`, `sleep 10 s`.
    pub step: String,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub seconds: f64,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A test with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestDocument {
    /// Its number in the plan, from 0.
    pub index: u32,
    /// The id in the registry.
    pub id: String,
    /// Its name in reports, unique in the run.
    pub name: String,
    /// Its group in reports.
    pub group: String,
    /// The number in a test management system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tc: Option<String>,
    /// The line of the sequence file.
    pub line: u32,
    /// Its arguments as `name=value`, or the value alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Words to select it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How important it is: 1 is the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The verdict.
    pub outcome: OutcomeDocument,
    /// It passed, but not at the first attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flaky: bool,
    /// What it left behind, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaked: Vec<String>,
    /// When it began; absent where it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
    /// How long it took.
    pub seconds: f64,
    /// The lane of a chart that it ran in.
    pub lane: u32,
    /// The hosts that it used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Its attempts and rounds, where there were more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptDocument>,
    /// The parts of its life that took time or in which something happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseDocument>,
    /// What it said that it did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepDocument>,
    /// What it measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ValueDocument>,
    /// What everybody should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What was found in consoles and logs while it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingDocument>,
    /// What its guests looked like when it had ended, a line each, where the run was asked to tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<String>,
    /// Files of evidence, relative to the folder of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The end of what it said and did.
    #[serde(default, skip_serializing_if = "LogDocument::is_empty")]
    pub log: LogDocument,
    /// Entries of the lists above that are left out, since there were too many: `steps`, `values`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// How a test or an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeDocument {
    /// How.
    pub kind: OutcomeKind,
    /// In which part of the test's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Who has to act on an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// What there is to say; empty for passed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// One attempt at a test, in one of its rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptDocument {
    /// The round, from 1.
    pub round: u32,
    /// The attempt in it, from 1.
    pub attempt: u32,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub seconds: f64,
    /// The lane that it ran in.
    pub lane: u32,
    /// How it ended.
    pub outcome: OutcomeDocument,
}

/// A part of a test's life.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseDocument {
    /// Which.
    pub phase: Phase,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub seconds: f64,
}

/// A step of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepDocument {
    /// What it does.
    pub text: String,
    /// When it began.
    pub start: f64,
    /// How long it took: until the next step, or the end of the attempt.
    pub seconds: f64,
}

/// A measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValueDocument {
    /// What: `throughput`.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In what: `Mbit/s`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// When.
    pub at: f64,
    /// The round of the test.
    pub round: u32,
    /// The attempt in the round.
    pub attempt: u32,
}

/// Something bad that an object wrote while a test ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingDocument {
    /// Where: `guest tiny console`.
    pub source: String,
    /// What it looks like: `kernel panic`.
    pub pattern: String,
    /// The lines around it.
    pub excerpt: String,
}

/// The end of what was said and done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogDocument {
    /// How many earlier entries are left out; the journal has them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// In order.
    pub entries: Vec<LogEntryDocument>,
}

impl LogDocument {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One thing that was said or done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogEntryDocument {
    /// When.
    pub at: f64,
    /// What kind of thing.
    pub kind: LogKind,
    /// The text; of a command also its output.
    pub text: String,
}

/// The kind of an entry of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// A test entered another part of its life.
    Phase,
    /// A step of a test.
    Step,
    /// For whoever looks for it.
    Info,
    /// For everybody.
    Warning,
    /// A command that succeeded.
    Command,
    /// A command that did not.
    FailedCommand,
    /// Something was undone.
    Undone,
}
