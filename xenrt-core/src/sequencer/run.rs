//! A run from its first event to its last.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::body::Task;
use super::claims::Claims;
use super::dispatch::{Beginning, Dispatched, Earlier, Events};
use super::exit_code::RunEnd;
use super::finish::with_causes;
use super::prepare::{Preparation, Prepared, RunObserver};
use super::resume::Leftovers;
use super::stop::Stop;
use super::walk::{Limits, Walk};
use super::{
    CancelHandle, CancelReason, EventKind, ExitCode, Findings, Keep, Level, Plan, PlannedTest,
    RunId, RunLimits, RunOptions, RunOrigin, Summary, TestIndex,
};
use crate::Error;
use crate::lab::LabProvider;
use crate::model::Scope;
use crate::report::Journal;
use crate::seconds::Readable;
use crate::testcase::{Marks, Outcome, RunShared};

/// How long a lab may take to take its hosts back.
const RELEASE_DEADLINE: Duration = Duration::from_secs(600);

/// What came of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunReport {
    /// Its identity.
    pub run: RunId,
    /// How many tests ended how.
    pub summary: Summary,
    /// What stands for the run.
    pub exit_code: ExitCode,
    /// Every test with its outcome, in the order of the plan. A run that was ended at once lacks
    /// the tests that had not ended.
    pub results: Vec<TestResultEntry>,
    /// The journal, where there is one.
    pub journal: Option<PathBuf>,
    /// Reporters that failed, each with the reason.
    pub reporter_failures: Vec<String>,
}

/// A test of a run with its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct TestResultEntry {
    /// The test.
    pub test: Arc<PlannedTest>,
    /// How it ended.
    pub outcome: Outcome,
    /// What else is to be said.
    pub marks: Marks,
}

/// Runs a plan to its end, whatever its tests do.
///
/// A test that fails, panics, hangs or is cancelled is an outcome, never an error here; so is a
/// preparation that fails, which blocks all tests. What was created is undone and the lab is
/// released before this returns, unless the run is cancelled twice.
///
/// Must be called on a multi-thread runtime if tests may block their thread: such a test is given
/// up when its time is over, and its thread with it. On a current-thread runtime it would keep the
/// whole run.
pub async fn run(plan: Plan, options: RunOptions, cancel: CancelHandle) -> RunReport {
    let plan = plan.select(&options.selection);
    let id = RunId(Uuid::new_v4());
    if options.dry_run {
        anstream::print!("{}", plan.on_machines_of(options.provider.as_deref()));
        return RunReport {
            run: id,
            summary: Summary::default(),
            exit_code: ExitCode::AllPassed,
            results: Vec::new(),
            journal: None,
            reporter_failures: Vec::new(),
        };
    }
    let mut said = Vec::new();
    let journal = new_journal(&options, &mut said);
    let first = EventKind::RunStarted {
        run: id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sequence: plan.file.clone(),
        lab: options.lab_description(),
        tests: plan.shared_tests(),
        origin: Box::new(RunOrigin {
            selection: options.selection.clone(),
            seed: options.seed,
            limits: Some(RunLimits::of(&options)),
            ..options.origin.clone()
        }),
    };
    let leftovers = Leftovers::default();
    go(plan, options, cancel, Start { id, first, said, journal, leftovers, earlier: None }).await
}

/// With what a run starts, a new one or one that goes on.
pub(super) struct Start {
    pub(super) id: RunId,
    /// Its first event.
    pub(super) first: EventKind,
    /// What there is to warn of at once.
    pub(super) said: Vec<String>,
    pub(super) journal: Option<Journal>,
    pub(super) leftovers: Leftovers,
    pub(super) earlier: Option<Earlier>,
}

/// Runs what has not ended yet.
pub(super) async fn go(
    plan: Plan,
    mut options: RunOptions,
    cancel: CancelHandle,
    start: Start,
) -> RunReport {
    let Start { id, first, said, journal, leftovers, earlier } = start;
    let plan = plan.on_machines_of(options.provider.as_deref());
    let journal_path = journal.as_ref().map(|journal| journal.path().to_owned());
    let ended = earlier.as_ref().map(|earlier| earlier.results.clone()).unwrap_or_default();
    let reporters = std::mem::take(&mut options.reporters);
    let (events, dispatched) = match Events::start(Beginning { journal, reporters, earlier }) {
        Ok(started) => started,
        Err(error) => return no_dispatcher(id, &error),
    };
    events.send(None, first);
    said.iter().for_each(|text| events.log(Level::Warning, text));
    plan.warnings().iter().for_each(|text| events.log(Level::Warning, text));
    let plan_cases = Arc::clone(&plan.cases);
    // A task of its own runs on a worker of the runtime, and so the tasks that it starts run there
    // at once; from the caller's thread each of them would wake another thread.
    let runner = Runner {
        id,
        plan,
        ended,
        leftovers,
        provider: options.provider,
        keep: options.keep,
        allow_leaks: options.allow_leaks,
        run_folder: options.run_folder,
        test_timeout: options.test_timeout,
        cleanup_reserve: options.cleanup_reserve,
        observe: options.observe,
        grace: options.grace,
        time_limit: options.time_limit,
        finally_reserve: options.finally_reserve,
        limits: Limits {
            retries: options.retries,
            finally_reserve: options.finally_reserve,
            seed: options.seed,
            durations: options.durations,
        },
        cancel,
        events: events.clone(),
    };
    let end = match Task::start_plain(runner.run()).ended().await {
        Ok(end) => end,
        Err(panic) => {
            events.log(Level::Warning, format!("the sequencer {panic}; this is a bug in it"));
            RunEnd { release_failed: true, ..RunEnd::default() }
        }
    };
    events.end(end);
    // The dispatcher catches what its reporters do, so it answers; if it does not, nothing is known.
    let Ok(Dispatched { summary, exit_code, results, reporter_failures }) = dispatched.await else {
        return no_dispatcher(id, &std::io::Error::other("the dispatcher panicked"));
    };
    let failures: Vec<String> = match journal_path {
        Some(_) => reporter_failures,
        // It could not be made, which nobody has said among the failures yet.
        None => said.into_iter().chain(reporter_failures).collect(),
    };
    let results = results.into_iter().map(|(index, (outcome, marks))| {
        let test = Arc::clone(&plan_cases[index.0 as usize].planned);
        TestResultEntry { test, outcome, marks }
    });
    let results = results.collect();
    RunReport {
        run: id,
        summary,
        exit_code,
        results,
        journal: journal_path,
        reporter_failures: failures,
    }
}

/// The journal of a new run and the copy of its sequence. What cannot be made goes into `said`; the
/// run goes on without it.
fn new_journal(options: &RunOptions, said: &mut Vec<String>) -> Option<Journal> {
    if !options.journal {
        return None;
    }
    let mut failed = |error: &Error| {
        let failure = format!("{}; the run goes on without it", with_causes(error));
        anstream::eprintln!("warning: {failure}");
        said.push(failure);
    };
    let journal = Journal::create(options.run_folder.join(Journal::FILE));
    let journal = journal.inspect_err(&mut failed).ok()?;
    if let Err(error) = options.origin.keep_copy(&options.run_folder) {
        failed(&error);
    }
    Some(journal)
}

fn no_dispatcher(run: RunId, error: &std::io::Error) -> RunReport {
    RunReport {
        run,
        summary: Summary::default(),
        exit_code: ExitCode::Errored,
        results: Vec::new(),
        journal: None,
        reporter_failures: vec![format!("the events of the run cannot be told: {error}")],
    }
}

/// The parts of a run after its first event and before its last.
struct Runner {
    id: RunId,
    plan: Plan,
    /// Tests that ended before the run was interrupted.
    ended: BTreeMap<TestIndex, (Outcome, Marks)>,
    leftovers: Leftovers,
    provider: Option<Arc<dyn LabProvider>>,
    keep: Keep,
    allow_leaks: bool,
    run_folder: PathBuf,
    test_timeout: Duration,
    cleanup_reserve: Duration,
    observe: bool,
    grace: Duration,
    time_limit: Option<Duration>,
    finally_reserve: Duration,
    limits: Limits,
    cancel: CancelHandle,
    events: Events,
}

impl Runner {
    async fn run(mut self) -> RunEnd {
        let limits = std::mem::take(&mut self.limits);
        let scope = Scope::observed_by(Arc::new(RunObserver(self.events.clone())));
        let cancelled_twice = async {
            self.cancel.cancelled().await;
            let reason = self.cancel.reason().map(|reason| reason.to_string()).unwrap_or_default();
            self.events.send(None, EventKind::Cancelled { reason });
            self.cancel.hard().await;
        };
        let end = tokio::select! {
            biased;
            end = self.in_order(&scope, limits) => end,
            () = cancelled_twice => {
                self.at_once(&scope);
                RunEnd::default()
            }
            () = self.time_is_over() => RunEnd::default(),
        };
        RunEnd {
            cancelled: self.cancel.is_cancelled(),
            only_prepares: self.plan.root.is_none(),
            allow_leaks: self.allow_leaks,
            ..end
        }
    }

    /// Cancels the run when its time is over but for what is kept back. Does not return.
    async fn time_is_over(&self) {
        if let Some(limit) = self.time_limit {
            let kept_back = self.finally_reserve.min(limit / 2);
            tokio::time::sleep(limit - kept_back).await;
            // Whoever cancelled it already must not have done it twice now.
            if !self.cancel.is_cancelled() {
                self.cancel.cancel(CancelReason::TimeIsOver);
            }
        }
        std::future::pending().await
    }

    async fn in_order(&self, scope: &Scope, limits: Limits) -> RunEnd {
        if self.plan.root.is_some() && self.plan.cases.is_empty() {
            self.events.log(Level::Warning, "no test is selected");
            return RunEnd::default();
        }
        let preparation = Arc::new(Preparation::new(
            &self.plan,
            self.id,
            self.provider.clone(),
            self.leftovers.clone(),
            scope.clone(),
            self.events.clone(),
        ));
        let stop = Stop::when_cancelled(self.cancel.clone());
        let Prepared { resources, failure } = preparation.first(&stop).await;
        let failure = failure.map(|error| format!("preparation failed: {error}"));
        let preparation_failed = failure.is_some();
        let mut went_wrong = preparation_failed;
        if let Some(root) = &self.plan.root {
            let findings = Findings::default();
            let hosts = resources.hosts.iter().map(|host| Arc::clone(&host.host));
            let guests = resources.guests.iter().map(|guest| Arc::clone(&guest.guest));
            findings.begin(hosts, guests, &self.events).await;
            let shared = Arc::new(RunShared {
                findings,
                events: self.events.clone(),
                cases: Arc::clone(&self.plan.cases),
                ended: self.ended.clone(),
                resources: RwLock::new(Arc::new(resources)),
                claims: Arc::new(Claims::new(&self.plan.semaphores)),
                provider: self.provider.clone(),
                run_folder: self.run_folder.clone(),
                cancel: self.cancel.clone(),
                test_timeout: self.test_timeout,
                cleanup_reserve: self.cleanup_reserve,
                observe: self.observe,
                grace: self.grace,
            });
            let walk = Walk::new(shared, Arc::clone(&preparation), limits);
            walk.walk(root, failure).await;
            went_wrong |= walk.went_wrong();
        }
        let keep = match self.keep {
            Keep::Never => false,
            Keep::OnFailure => went_wrong,
            Keep::Always => true,
        };
        // A lab that was never asked for anything has nothing to take back.
        let provider = self.provider.as_ref().filter(|_| preparation.asks_the_lab());
        let released = match provider {
            Some(provider) if keep => self.keep(provider.as_ref()).await,
            _ => {
                let undone = preparation.undo().await;
                let released = match provider {
                    Some(provider) => self.release(provider.as_ref()).await,
                    None => true,
                };
                undone && released
            }
        };
        RunEnd { preparation_failed, release_failed: !released, ..RunEnd::default() }
    }

    async fn keep(&self, provider: &dyn LabProvider) -> bool {
        let problem = match timeout(RELEASE_DEADLINE, provider.keep()).await {
            Ok(Ok(how)) => {
                self.events.send(None, EventKind::Kept { how });
                return true;
            }
            Ok(Err(error)) => with_causes(&error),
            Err(_) => format!("it did not answer within {}", Readable(RELEASE_DEADLINE)),
        };
        self.warn(format!("{} could not be kept: {problem}", provider.description()));
        false
    }

    async fn release(&self, provider: &dyn LabProvider) -> bool {
        let problem = match timeout(RELEASE_DEADLINE, provider.release()).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => with_causes(&error),
            Err(_) => format!("it did not answer within {}", Readable(RELEASE_DEADLINE)),
        };
        self.warn(format!("{} did not take its hosts back: {problem}", provider.description()));
        false
    }

    /// The run was cancelled twice: says what may be left.
    fn at_once(&self, scope: &Scope) {
        self.warn("ended at once: what the interrupted tests created is not undone");
        while let Some(undo) = scope.take_last() {
            self.warn(format!("not undone: {}", undo.description()));
        }
        if let Some(provider) = &self.provider
            && (self.plan.hosts() > 0 || self.plan.shares_a_host())
        {
            self.warn(format!("not released: the hosts of {}", provider.description()));
        }
    }

    fn warn(&self, text: impl Into<String>) {
        self.events.log(Level::Warning, text);
    }
}
