//! The tests of a sequence file: blocks, test cases and actions.

use std::time::Duration;

use super::{Place, Word};
use crate::model::Ability;

/// One step of a test sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Steps in order or side by side.
    Block(Block),
    /// A test.
    Test(TestStep),
    /// Something that is done between tests.
    Action(ActionStep),
}

/// How the steps of a block run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BlockKind {
    /// One after the other.
    #[default]
    Serial,
    /// Side by side, at most so many at once; all at once where no number is given.
    Parallel {
        /// `workers`.
        workers: Option<usize>,
    },
}

/// `<testsequence>`, `<serial>`, `<parallel>` or `<finally>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block {
    /// How its steps run.
    pub kind: BlockKind,
    /// `group`, its own or that of the innermost block around it that has one.
    pub group: Option<Word>,
    /// `tc`: its number in a test management system.
    pub tc: Option<Word>,
    /// `sku`: the edition of the product that the number is about.
    pub sku: Option<Word>,
    /// Whether what blocks this block also blocks the steps after it.
    pub blocker: bool,
    /// `timeout`: how long its steps may take together; what has not ended then is Blocked, and
    /// the `finally` steps still run.
    pub timeout: Option<Duration>,
    /// `repeat` and `duration`: how often its steps run.
    pub rounds: Rounds,
    /// `seed`: the steps run in an order drawn from it, another one each round.
    pub seed: Option<u64>,
    /// The steps.
    pub steps: Vec<Node>,
    /// The `<finally>` blocks, in the order of the file: run after the steps whatever came of
    /// them.
    pub finally: Vec<Block>,
    /// Where it stands.
    pub place: Place,
}

/// How often the steps of a block, or a test, run. Both limits may be given: the first that is
/// reached ends it. Without any it is one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rounds {
    /// `repeat`: so many times, at least 1.
    pub times: Option<u32>,
    /// `duration`: no round begins after this time.
    pub duration: Option<Duration>,
}

impl Rounds {
    /// Whether it is one round, as everything is that does not say otherwise.
    pub fn is_once(&self) -> bool {
        *self == Self::default() || self.times == Some(1)
    }
}

/// The host that a test is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostChoice {
    /// The host with this name.
    Named(Word),
    /// `any`: whichever host of the run has the abilities and is free first.
    Any,
}

/// How a test uses its hosts or guests beside other tests.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// Other tests that share it may be at work there too.
    Shared,
    /// Nobody else is at work there.
    Exclusive,
}

/// One `<testcase>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestStep {
    /// `id`: an id or a legacy id of the registry.
    pub id: Word,
    /// Where the id stands, for a diagnostic when it is not known.
    pub id_place: Place,
    /// `name`: what it is called in reports; the id's last part unless given.
    pub name: Option<Word>,
    /// `group`, its own or that of the innermost block that has one.
    pub group: Option<Word>,
    /// `host`, its own or that of the innermost block that has one: the host that
    /// [`default_host`](crate::testcase::TestContext::default_host) gives.
    pub host: Option<HostChoice>,
    /// `guest`, its own or that of the innermost block that has one: the guest that the test is to
    /// use.
    pub guest: Option<Word>,
    /// `tc`: its number in a test management system.
    pub tc: Option<Word>,
    /// `sku`: the edition of the product that the number is about.
    pub sku: Option<Word>,
    /// `ttype`, its own or that of the innermost block that has one: a word to select tests by.
    pub ttype: Option<Word>,
    /// `prio`, its own or that of the innermost block that has one: 1 is the most important.
    pub priority: Option<i32>,
    /// `blocker`: whether the steps after it are blocked when it does not pass; `None` leaves it
    /// to the test.
    pub blocker: Option<bool>,
    /// `depends`: tests that must have passed before, else it is skipped.
    pub depends: Vec<Dependency>,
    /// `timeout`: how long preparation and run may take together, instead of the test's own.
    pub timeout: Option<Duration>,
    /// `retries`: how many more attempts a test that Failed or Errored gets.
    pub retries: Option<u32>,
    /// `requires`: abilities that its hosts must have besides those that the test itself names.
    pub requires: Vec<Ability>,
    /// `claim`: how it uses its hosts, instead of what the test itself says.
    pub claim: Option<Claim>,
    /// `repeat` and `duration`: how often it runs.
    pub rounds: Rounds,
    /// Its `<arg>` children.
    pub arguments: Vec<Argument>,
    /// Where it stands.
    pub place: Place,
}

impl TestStep {
    /// The test `id`, with nothing said about it; both places are `place`.
    pub fn new(id: impl Into<Word>, place: Place) -> Self {
        Self {
            id: id.into(),
            id_place: place,
            name: None,
            group: None,
            host: None,
            guest: None,
            tc: None,
            sku: None,
            ttype: None,
            priority: None,
            blocker: None,
            depends: Vec::new(),
            timeout: None,
            retries: None,
            requires: Vec::new(),
            claim: None,
            rounds: Rounds::default(),
            arguments: Vec::new(),
            place,
        }
    }
}

/// A test that another one depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Its group; `None` where only its name is given.
    pub group: Option<Word>,
    /// Its name in reports.
    pub name: Word,
    /// Where the reference stands.
    pub place: Place,
}

/// One `<arg>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name before the `=`; `None` for a positional argument.
    pub name: Option<Word>,
    /// The value.
    pub value: Word,
    /// Where it stands.
    pub place: Place,
}

/// One `<action>`. Like a blocker, it blocks what follows when it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionStep {
    /// What is done.
    pub action: Action,
    /// `group`, its own or that of the innermost block that has one.
    pub group: Option<Word>,
    /// Where it stands.
    pub place: Place,
}

/// What an `<action>` does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// `sleep`: waits.
    Sleep(Duration),
    /// `prepare`: tears down what the preparation made and does it again: `<preprepare>`, then
    /// `<prepare>`.
    Prepare,
}
