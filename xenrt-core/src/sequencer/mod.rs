//! A sequence into a stream of events: plan, run, cancel.
//!
//! A run is one ordered stream of [`Event`]s. One dispatcher owns the state of the run and gives
//! each event its number; work runs in tasks that only send to it. Everything that people or
//! programs see of a run - console, journal, JUnit - is a [`Reporter`](crate::report::Reporter) of
//! that stream.
//!
//! # What happens
//!
//! | Situation | What happens |
//! |---|---|
//! | a test Failed or Errored, and is no blocker | the steps after it run: it blocks nobody |
//! | a test Failed or Errored, and is a `blocker` | the steps after it in its serial block are Blocked; in a parallel block, its siblings run on, and the block counts as blocked |
//! | a blocker was Skipped, or Blocked itself | it blocks nobody (but see the next rows) |
//! | a block is blocked, by a step or from outside | its remaining steps are Blocked, its `finally` blocks run |
//! | a blocked block is no `blocker` | the steps after it run |
//! | a blocked block is a `blocker` | it blocks the steps after it, as a test would |
//! | a step of a parallel block is a blocked block | the parallel block counts as blocked, even where the step is no blocker |
//! | an `<action>` failed | it blocks as a blocker does |
//! | the preparation failed | all tests are Blocked by it, but those in `finally` whose hosts and guests are there |
//! | `depends` names a test that did not pass | Skipped, with its name and outcome |
//! | `depends` names a test in another step of the same parallel block | It waits until that one has ended, holding neither a worker nor hosts |
//! | `depends` names a test that comes later, or that there is not | the sequence is refused |
//! | abilities or hosts are missing that a test `requires` | Skipped with the reason, before it claims or builds anything; it blocks nobody |
//! | a test failed and has `retries` left | it is tried again from its beginning; passing then, it is Passed and marked flaky |
//! | a test or block has `repeat` or `duration` | it runs so often; each test has one verdict, the worst of its rounds, which says which rounds |
//! | a round of a block ends blocked, or with the time over, or without a test that ran | no further round begins |
//! | the `timeout` of a test is over | it is interrupted and Errored, by the test; its clean-up has time of its own |
//! | the `timeout` of a block is over | its tests at work are interrupted, cleaned up after and Blocked by it; the others are Blocked; `finally` runs; the block counts as blocked |
//! | the time of the run is over but for what is kept back | the same for the whole run, as if it were cancelled |
//! | the run is cancelled | the same, and the preparation is undone at the end |
//! | the run is cancelled again | it ends at once; nothing more is undone |
//! | a `finally` block, after anything but a second cancellation | runs; where the time is over or the run is cancelled, at most the time that is kept back |
//! | a blocker failed in a `finally` block | blocks the rest of that `finally` block and nothing else |
//! | a step of a `finally` block failed | is in the results as any other test |
//! | tests claim the same host or guest, one of them for itself | they run one after the other |
//! | a test asks for a host or guest that it did not claim | it gets it, unless somebody else has claimed it so that both do not go together: then it is Errored and told to claim it |
//! | a test leaves something on its hosts | it keeps its outcome and is marked leaked; the run fails unless leaks are allowed |
//! | a test panics | Errored by the test; in `run`, the panic of an assertion is Failed |
//! | a test blocks its thread | Errored when its time is over; the thread is given up |
//!
//! # Where this differs from the original
//!
//! * `finally` was Blocked too when the preparation failed, and what ran in it was in no result.
//! * `depends` on a test that there is not ended the whole run with an internal error, or looked at
//!   the test before; one that passed partly counted as failed.
//! * There were no timeouts for tests and blocks, and a cancelled run waited for its tests.
//! * A blocker was one too when it said `blocker="0"`.
//! * `sleep` without a time ended the run.
//!
//! # Claims
//!
//! Before a test begins, it gets all that it claims at once, or waits for all of it; no two tests
//! are at work whose claims do not go together.
//!
//! | It claims | how |
//! |---|---|
//! | its host (`host`, else that of its guest, else the first of the run), and as many after it as it `requires` | shared; `claim` of its step, else `claims(host = "...")` of `#[testcase]` |
//! | with `host="any"`: as many hosts as it requires that have the abilities, those with the fewest tests first | the same |
//! | the guest of the preparation that `guest`, or its argument `guest`, names | exclusively; `claims(guest = "...")`, which also claims the first guest where none is named |
//! | the semaphore of its class (the last word of one of its ids, in lower case) | one of as many as the sequence says |
//! | a place among the `workers` of the parallel block that it is a step of | one |
//!
//! Whoever waits is served in the order of arrival. A later one may overtake where that takes
//! nothing but time, eight times at most. In a parallel block the steps begin in the order of the
//! file, or the longest first where [`RunOptions::durations`] says how long tests take.

mod body;
mod cancel;
mod claims;
mod dispatch;
mod event;
mod evidence;
mod exit_code;
mod filter;
mod findings;
mod finish;
mod lanes;
mod life;
mod options;
mod panics;
mod plan;
mod prepare;
mod recover;
mod resources;
mod resume;
mod run;
mod selection;
mod stop;
mod walk;

pub use cancel::{CancelHandle, CancelReason, cancel_on_ctrl_c};
pub use event::{Event, EventKind, Level, PlannedTest, RunId, Summary, TestIndex};
pub use exit_code::ExitCode;
pub use filter::{Filter, FilterError};
pub use options::{Keep, RunOptions};
pub use plan::{IncludedFile, Plan, PlanError, PlanHost, PlanProblem, PlanReport};
pub use resume::{
    ClaimedRun, Difference, Finished, IfChanged, PastRun, Rerun, ResumeError, RunLimits, RunOrigin,
    SequenceOrigin, find_run, rerun, resume,
};
pub use run::{RunReport, TestResultEntry, run};
pub use selection::Selection;

pub(crate) use claims::{Claims, NotHad, Resource as Claimed};
pub(crate) use dispatch::Events;
pub(crate) use findings::Findings;
pub(crate) use life::Attempt;
pub(crate) use plan::PlannedCase;
pub(crate) use resources::Resources;
pub(crate) use stop::Stop;
