//! What a running test has to work with.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::{Args, Marks, Outcome, Phase};
use crate::lab::LabProvider;
use crate::model::{CreatedObject, ExpectedGuest, Guest, Host, Scope, Undo};
use crate::remote::{CommandRecord, Observer};
use crate::seconds::micros;
use crate::sequence::{Claim, HostChoice};
use crate::sequencer::{
    Attempt, CancelHandle, Claimed, Claims, EventKind, Events, Findings, Level, NotHad,
    PlannedCase, Resources, Stop, TestIndex,
};
use crate::{Error, Result};

/// What a running test has to work with: hosts and guests, arguments, and a way to say what it
/// does and finds. Cheap to clone; clones are the same test's.
///
/// Nothing here waits. What a test says goes into the stream of [events](crate::sequencer::Event)
/// of its run.
#[derive(Clone)]
pub struct TestContext(Arc<Inner>);

/// What the tests of a run share.
#[derive(Debug)]
pub(crate) struct RunShared {
    pub(crate) findings: Findings,
    pub(crate) events: Events,
    pub(crate) cases: Arc<[PlannedCase]>,
    /// Tests that ended before the run was interrupted; they are not run again.
    pub(crate) ended: BTreeMap<TestIndex, (Outcome, Marks)>,
    pub(crate) resources: RwLock<Arc<Resources>>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) provider: Option<Arc<dyn LabProvider>>,
    pub(crate) run_folder: PathBuf,
    pub(crate) cancel: CancelHandle,
    pub(crate) test_timeout: Duration,
    pub(crate) cleanup_reserve: Duration,
    pub(crate) observe: bool,
    pub(crate) grace: Duration,
}

impl RunShared {
    /// What the preparation made last.
    pub(crate) fn resources(&self) -> Arc<Resources> {
        Arc::clone(&self.resources.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The preparation was done again.
    pub(crate) fn set_resources(&self, resources: Resources) {
        *self.resources.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(resources);
    }
}

struct Inner {
    shared: Arc<RunShared>,
    index: TestIndex,
    attempt: Attempt,
    deadline: Instant,
    phase: AtomicU8,
    scope: OnceLock<Scope>,
    used: Mutex<Used>,
    folder: OnceLock<PathBuf>,
    commands: Mutex<VecDeque<CommandRecord>>,
}

/// What the test has asked for.
#[derive(Debug, Default)]
struct Used {
    hosts: Vec<(usize, Arc<dyn Host>)>,
    /// With what each should have been before.
    guests: Vec<(usize, ExpectedGuest)>,
}

impl TestContext {
    pub(crate) fn new(shared: Arc<RunShared>, index: TestIndex, attempt: Attempt) -> Self {
        let case = &shared.cases[index.0 as usize];
        let timeout = case.timeout.or(case.descriptor.timeout).unwrap_or(shared.test_timeout);
        Self(Arc::new(Inner {
            index,
            attempt,
            deadline: Instant::now() + timeout,
            phase: AtomicU8::new(code(Phase::Prepare)),
            scope: OnceLock::new(),
            used: Mutex::default(),
            folder: OnceLock::new(),
            commands: Mutex::default(),
            shared,
        }))
    }

    // ---- what it works on ----
    //
    // What is asked for and was not claimed beforehand is claimed now, if it can be.

    /// The host with this name: `RESOURCE_HOST_0`, its alias in the sequence, or what the lab
    /// calls it. What is created through the handle is undone after the test, and the commands
    /// that are run through it are recorded for the test.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the names that there are. [`Error::Invalid`] where another test has
    /// claimed the host for itself and this one did not claim it beforehand: a test claims its
    /// default host, and as many after it as it requires.
    pub fn host(&self, name: &str) -> Result<Arc<dyn Host>> {
        let index = self.resources().host(name)?;
        self.use_host(index)
    }

    /// The host that the test is meant for: the one that its `host` attribute names or that was
    /// chosen for it (`any`), else that of the guest that it is meant for by name, else the first
    /// one of the run. As [`host`](Self::host).
    ///
    /// # Errors
    /// [`Error::NotFound`] for a wrong `host` attribute, or where the run has no host.
    pub fn default_host(&self) -> Result<Arc<dyn Host>> {
        if let Some(host) = self.0.attempt.hosts.first() {
            return self.use_host(*host);
        }
        match &self.case().host {
            Some(HostChoice::Named(name)) => self.host(name),
            Some(HostChoice::Any) | None => Err(Error::invalid(
                "the default host",
                "the run has no host; the sequence needs a <prepare> with a <host>",
            )),
        }
    }

    /// The hosts that the test claims: its [default host](Self::default_host) first, and as many as
    /// it [requires](super::Requirements::hosts). As [`host`](Self::host).
    ///
    /// # Errors
    /// Where the test has ended.
    pub fn claimed_hosts(&self) -> Result<Vec<Arc<dyn Host>>> {
        self.0.attempt.hosts.iter().map(|index| self.use_host(*index)).collect()
    }

    /// All hosts of the run, in the order of the sequence, without the one that other runs use too. As [`host`](Self::host).
    ///
    /// # Errors
    /// As [`host`](Self::host), for the first one that cannot be had.
    pub fn hosts(&self) -> Result<Vec<Arc<dyn Host>>> {
        (0..self.resources().own).map(|index| self.use_host(index)).collect()
    }

    /// The guest of the preparation with this name. It is Running and reachable unless its
    /// preparation or an earlier test left it otherwise, and it must be left as it was found: what
    /// differs after the test is reported against it as a leak.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the names that there are. [`Error::Invalid`] where another test has
    /// claimed the guest and this one did not claim it beforehand: a test claims the guest that its
    /// `guest` attribute or its argument `guest` names.
    pub fn guest(&self, name: &str) -> Result<Arc<dyn Guest>> {
        let index = self.resources().guest(name)?;
        self.use_guest(index)
    }

    /// The guest that the test is meant for: the one that its `guest` attribute or its argument
    /// `guest` names, else the first one of the preparation. As [`guest`](Self::guest).
    ///
    /// # Errors
    /// [`Error::NotFound`] for a wrong name; [`Error::Invalid`] where the preparation made none; as
    /// [`guest`](Self::guest).
    pub fn default_guest(&self) -> Result<Arc<dyn Guest>> {
        let invalid = |problem: String| Error::invalid("the default guest", problem);
        if let Some(name) = &self.case().guest {
            return self.guest(name);
        }
        let argument = self.args().get::<String>("guest");
        match argument.map_err(|error| invalid(error.to_string()))? {
            Some(name) => self.guest(&name),
            None if self.resources().guests.is_empty() => {
                Err(invalid("the run has no guest; the sequence needs a <vm> in its <host>".into()))
            }
            None => self.use_guest(0),
        }
    }

    /// All guests of the preparation, in the order of the sequence. As [`guest`](Self::guest).
    ///
    /// # Errors
    /// As [`guest`](Self::guest), for the first one that cannot be had.
    pub fn guests(&self) -> Result<Vec<Arc<dyn Guest>>> {
        (0..self.resources().guests.len()).map(|index| self.use_guest(index)).collect()
    }

    /// The arguments of the test.
    pub fn args(&self) -> &Args {
        &self.case().args
    }

    // ---- what it says ----

    /// Says what the test does now. A step lasts until the next one; reports show the last steps of
    /// a test that did not pass.
    pub fn step(&self, text: impl Into<String>) {
        self.send(EventKind::Step { text: text.into() });
    }

    /// Says something for whoever looks for it.
    pub fn info(&self, text: impl Into<String>) {
        self.send(EventKind::Log { level: Level::Info, text: text.into() });
    }

    /// Says something for everybody.
    pub fn warn(&self, text: impl Into<String>) {
        self.send(EventKind::Log { level: Level::Warning, text: text.into() });
    }

    /// Keeps a measured value: `cx.value("throughput", 940.2, "Mbit/s")`. A value that is no number
    /// (NaN, infinite) cannot be kept and becomes a warning.
    pub fn value(&self, name: impl Into<String>, value: f64, unit: impl Into<String>) {
        let (name, unit) = (name.into(), unit.into());
        if value.is_finite() {
            self.send(EventKind::Value { name, value, unit });
        } else {
            self.warn(format!("the value {name:?} is {value} {unit}, which is no number"));
        }
    }

    // ---- what it leaves ----

    /// Registers something to be undone after the test, whatever its outcome, before everything
    /// that was registered or created earlier.
    pub fn on_cleanup(&self, undo: Undo) {
        self.scope().on_cleanup(undo);
    }

    /// The folder for the evidence of this test, `<run folder>/tests/<nnn-name>`. It is made when
    /// it is asked for first.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be made.
    pub fn evidence_folder(&self) -> Result<PathBuf> {
        if let Some(folder) = self.0.folder.get() {
            return Ok(folder.clone());
        }
        let plain = |c: char| if c.is_alphanumeric() || "-_.()".contains(c) { c } else { '_' };
        let name: String = self.case().planned.name.chars().map(plain).take(80).collect();
        // Each attempt keeps its own: the one that failed is the one to be looked at.
        let which = match (self.round(), self.attempt()) {
            (1, 1) => String::new(),
            (1, attempt) => format!("-attempt{attempt}"),
            (round, 1) => format!("-round{round}"),
            (round, attempt) => format!("-round{round}-attempt{attempt}"),
        };
        let folder = format!("{:03}-{name}{which}", self.0.index.0);
        let folder = self.0.shared.run_folder.join("tests").join(folder);
        std::fs::create_dir_all(&folder).map_err(|source| Error::Io {
            action: "cannot make the folder",
            path: folder.display().to_string(),
            source,
        })?;
        Ok(self.0.folder.get_or_init(|| folder).clone())
    }

    /// Writes a file of evidence into the [folder](Self::evidence_folder) and tells the reports
    /// about it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is not that of a file in that folder; [`Error::Io`].
    pub fn save_evidence(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<PathBuf> {
        let mut parts = Path::new(name).components();
        let (first, second) = (parts.next(), parts.next());
        if !matches!((first, second), (Some(std::path::Component::Normal(_)), None)) {
            let problem = "expected the name of a file without a folder";
            return Err(Error::invalid(format!("evidence name {name:?}"), problem));
        }
        let path = self.evidence_folder()?.join(name);
        std::fs::write(&path, bytes).map_err(|source| Error::Io {
            action: "cannot write",
            path: path.display().to_string(),
            source,
        })?;
        self.tell_evidence(&path);
        Ok(path)
    }

    // ---- what it is ----

    /// The id of the test in the registry.
    pub fn id(&self) -> &str {
        self.case().descriptor.id
    }

    /// Its name in reports, unique in the run.
    pub fn name(&self) -> &str {
        &self.case().planned.name
    }

    /// Which attempt at the test this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.0.attempt.attempt
    }

    /// Which round of the test this is, from 1, where it or a block around it is repeated.
    pub fn round(&self) -> u32 {
        self.0.attempt.round
    }

    /// How much of its time is left for `prepare` and `run`; zero when it is over.
    pub fn time_left(&self) -> Duration {
        self.0.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the test is to end, since the run was cancelled or the time of a block around it is
    /// over. A test that awaits need not ask: it is interrupted.
    pub fn cancelled(&self) -> bool {
        self.stop().reason().is_some()
    }

    // ---- for the sequencer ----

    pub(crate) fn shared(&self) -> &Arc<RunShared> {
        &self.0.shared
    }

    pub(crate) fn case(&self) -> &PlannedCase {
        &self.0.shared.cases[self.0.index.0 as usize]
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.0.attempt.stop
    }

    pub(crate) fn resources(&self) -> &Resources {
        &self.0.attempt.resources
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.0.deadline
    }

    pub(crate) fn send(&self, what: EventKind) {
        self.show_phase();
        self.0.shared.events.send(Some(self.0.index), what);
    }

    /// Enters a phase. It is told once something happens in it or it takes time
    /// ([`show_phase`](Self::show_phase)): phases in which nothing happens are not worth an event.
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.phase.store(code(phase) | NOT_SHOWN, Ordering::Release);
    }

    /// Tells the phase, if it was not told yet.
    pub(crate) fn show_phase(&self) {
        if self.0.phase.load(Ordering::Acquire) & NOT_SHOWN != 0 {
            self.0.phase.fetch_and(!NOT_SHOWN, Ordering::AcqRel);
            let what = EventKind::PhaseStarted { phase: self.phase() };
            self.0.shared.events.send(Some(self.0.index), what);
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        phase(self.0.phase.load(Ordering::Acquire) & !NOT_SHOWN)
    }

    /// Takes the undo that is to run next.
    pub(crate) fn take_undo(&self) -> Option<Undo> {
        self.0.scope.get().and_then(Scope::take_last)
    }

    /// The guests that the test created and the ones of the preparation that it asked for.
    pub(crate) fn guests_used(&self) -> Vec<Arc<dyn Guest>> {
        let mut guests = self.0.scope.get().map(Scope::guests).unwrap_or_default();
        let resources = self.resources();
        let prepared = self.used().guests.iter().map(|(index, _)| *index).collect::<Vec<_>>();
        guests.extend(prepared.into_iter().map(|at| Arc::clone(&resources.guests[at].guest)));
        guests
    }

    /// The guests of the preparation that the test asked for, by number, with what they should
    /// have been before.
    pub(crate) fn prepared_guests_used(&self) -> Vec<(usize, ExpectedGuest)> {
        self.used().guests.clone()
    }

    /// Lets go of the guests that the test created.
    pub(crate) fn forget_guests(&self) {
        if let Some(scope) = self.0.scope.get() {
            scope.forget_guests();
        }
    }

    /// The hosts that the test asked for, by number.
    pub(crate) fn hosts_used(&self) -> Vec<(usize, Arc<dyn Host>)> {
        self.used().hosts.clone()
    }

    /// Whether the test asked for a host or a guest, or has something to be undone.
    pub(crate) fn has_used_anything(&self) -> bool {
        self.0.scope.get().is_some() || !self.used().guests.is_empty()
    }

    /// The last commands of the test.
    pub(crate) fn commands(&self) -> Vec<CommandRecord> {
        self.0.commands.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn tell_evidence(&self, path: &Path) {
        let file = path.strip_prefix(&self.0.shared.run_folder).unwrap_or(path);
        self.send(EventKind::Evidence { file: file.display().to_string() });
    }

    /// Keeps a command for the evidence and tells it.
    pub(crate) fn keep_command(&self, mut record: CommandRecord) {
        /// More than anybody reads; the journal has them all.
        const MOST: usize = 1000;
        record.seconds = micros(record.seconds.0);
        let mut commands = self.0.commands.lock().unwrap_or_else(PoisonError::into_inner);
        if commands.len() == MOST {
            commands.pop_front();
        }
        commands.push_back(record.clone());
        drop(commands);
        self.send(EventKind::Command(record));
    }

    fn scope(&self) -> &Scope {
        self.0.scope.get_or_init(|| {
            // Weak, since handles that the test's own undos hold would keep the context alive.
            let observer = TestObserver(Arc::downgrade(&self.0));
            Scope::observed_by(Arc::new(observer))
        })
    }

    fn use_host(&self, index: usize) -> Result<Arc<dyn Host>> {
        let run_host = &self.resources().hosts[index];
        let claim = self.case().claim.unwrap_or(self.case().descriptor.claims.host);
        self.claim(Claimed::Host(index), claim, || format!("host {:?}", run_host.host.name()))?;
        let mut used = self.used();
        if let Some((_, host)) = used.hosts.iter().find(|(used, _)| *used == index) {
            return Ok(Arc::clone(host));
        }
        let host = run_host.host.in_scope(self.scope().clone());
        run_host.ledger.enter(&self.case().planned.label());
        used.hosts.push((index, Arc::clone(&host)));
        Ok(host)
    }

    fn use_guest(&self, index: usize) -> Result<Arc<dyn Guest>> {
        let prepared = &self.resources().guests[index];
        let claim = self.case().descriptor.claims.guest.unwrap_or(Claim::Exclusive);
        self.claim(Claimed::Guest(index), claim, || format!("guest {:?}", prepared.name))?;
        // Its host is at work for the test too: evidence and leaks are looked for there.
        self.use_host(prepared.host)?;
        let mut used = self.used();
        if used.guests.iter().all(|(used, _)| *used != index) {
            used.guests.push((index, prepared.guest.expectation().get()));
        }
        Ok(Arc::clone(&prepared.guest))
    }

    /// Claims what was not claimed before the test began.
    fn claim(&self, what: Claimed, claim: Claim, name: impl Fn() -> String) -> Result<()> {
        self.0.attempt.held.claim_late(what, claim).map_err(|not_had| {
            let problem = match not_had {
                NotHad::Ended => "the test has ended",
                NotHad::Taken => {
                    "another test has claimed it, and this one did not before it began; name it with \
                     `host` or `guest` in the sequence, or require more hosts"
                }
            };
            Error::invalid(name(), problem)
        })
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestContext")
            .field("test", &self.case().planned)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

/// Tells the commands of a test.
struct TestObserver(std::sync::Weak<Inner>);

impl fmt::Debug for TestObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestObserver")
    }
}

impl Observer for TestObserver {
    fn command(&self, record: CommandRecord) {
        if let Some(inner) = self.0.upgrade() {
            TestContext(inner).keep_command(record);
        }
    }

    fn creating(&self, object: &CreatedObject) {
        if let Some(inner) = self.0.upgrade() {
            TestContext(inner).send(EventKind::Creating(object.clone()));
        }
    }

    fn renaming(&self, object: &CreatedObject, to: &str) {
        if let Some(inner) = self.0.upgrade() {
            let what = EventKind::Renaming { object: object.clone(), to: to.to_owned() };
            TestContext(inner).send(what);
        }
    }

    fn not_created(&self, object: &CreatedObject) {
        if let Some(inner) = self.0.upgrade() {
            TestContext(inner).send(EventKind::NotCreated(object.clone()));
        }
    }
}

/// The bit of a phase that was entered and not told.
const NOT_SHOWN: u8 = 0x80;

const PHASES: [Phase; 6] =
    [Phase::Prepare, Phase::Run, Phase::Check, Phase::Evidence, Phase::Cleanup, Phase::Undo];

fn code(phase: Phase) -> u8 {
    phase as u8
}

fn phase(code: u8) -> Phase {
    PHASES.into_iter().find(|phase| self::code(*phase) == code).unwrap_or(Phase::Undo)
}
