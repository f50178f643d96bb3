//! What a running test has to work with.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Args, Phase};
use crate::lab::LabProvider;
use crate::model::{ExpectedGuest, Guest, Host, Scope, Undo};
use crate::remote::{CommandRecord, Observer};
use crate::seconds::micros;
use crate::sequencer::{
    CancelHandle, EventKind, Events, Findings, Level, PlannedCase, Resources, TestIndex,
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
    pub(crate) resources: Resources,
    pub(crate) provider: Option<Arc<dyn LabProvider>>,
    pub(crate) run_folder: PathBuf,
    pub(crate) cancel: CancelHandle,
    pub(crate) test_timeout: Duration,
    pub(crate) cleanup_reserve: Duration,
    pub(crate) grace: Duration,
}

struct Inner {
    shared: Arc<RunShared>,
    index: TestIndex,
    attempt: u32,
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
    pub(crate) fn new(shared: Arc<RunShared>, index: TestIndex, attempt: u32) -> Self {
        let case = &shared.cases[index.0 as usize];
        let timeout = case.descriptor.timeout.unwrap_or(shared.test_timeout);
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

    /// The host with this name: `RESOURCE_HOST_0`, its alias in the sequence, or what the lab
    /// calls it. What is created through the handle is undone after the test, and the commands
    /// that are run through it are recorded for the test.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the names that there are.
    pub fn host(&self, name: &str) -> Result<Arc<dyn Host>> {
        let index = self.0.shared.resources.host(name)?;
        Ok(self.use_host(index))
    }

    /// The host that the test is meant for: the one that its `host` attribute names, else the
    /// first one of the run. As [`host`](Self::host).
    ///
    /// # Errors
    /// [`Error::NotFound`] for a wrong `host` attribute, or where the run has no host.
    pub fn default_host(&self) -> Result<Arc<dyn Host>> {
        match &self.case().host {
            Some(name) => self.host(name),
            None if self.0.shared.resources.hosts.is_empty() => Err(Error::invalid(
                "the default host",
                "the run has no host; the sequence needs a <prepare> with a <host>",
            )),
            None => Ok(self.use_host(0)),
        }
    }

    /// All hosts of the run, in the order of the sequence. As [`host`](Self::host).
    pub fn hosts(&self) -> Vec<Arc<dyn Host>> {
        (0..self.0.shared.resources.hosts.len()).map(|index| self.use_host(index)).collect()
    }

    /// The guest of the preparation with this name. It is Running and reachable unless an earlier
    /// test left it otherwise, and it must be left as it was found: what differs after the test is
    /// reported against it as a leak.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the names that there are.
    pub fn guest(&self, name: &str) -> Result<Arc<dyn Guest>> {
        let index = self.0.shared.resources.guest(name)?;
        Ok(self.use_guest(index))
    }

    /// The guest that the test is meant for: the one that its `guest` attribute or its argument
    /// `guest` names, else the first one of the preparation. As [`guest`](Self::guest).
    ///
    /// # Errors
    /// [`Error::NotFound`] for a wrong name; [`Error::Invalid`] where the preparation made none.
    pub fn default_guest(&self) -> Result<Arc<dyn Guest>> {
        let invalid = |problem: String| Error::invalid("the default guest", problem);
        if let Some(name) = &self.case().guest {
            return self.guest(name);
        }
        let argument = self.args().get::<String>("guest");
        match argument.map_err(|error| invalid(error.to_string()))? {
            Some(name) => self.guest(&name),
            None if self.0.shared.resources.guests.is_empty() => {
                Err(invalid("the run has no guest; the sequence needs a <vm> in its <host>".into()))
            }
            None => Ok(self.use_guest(0)),
        }
    }

    /// All guests of the preparation, in the order of the sequence. As [`guest`](Self::guest).
    pub fn guests(&self) -> Vec<Arc<dyn Guest>> {
        (0..self.0.shared.resources.guests.len()).map(|index| self.use_guest(index)).collect()
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
        let folder = format!("{:03}-{name}", self.0.index.0);
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
        self.0.attempt
    }

    /// How much of its time is left for `prepare` and `run`; zero when it is over.
    pub fn time_left(&self) -> Duration {
        self.0.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the run was cancelled. A test that awaits need not ask: it is interrupted.
    pub fn cancelled(&self) -> bool {
        self.0.shared.cancel.is_cancelled()
    }

    // ---- for the sequencer ----

    pub(crate) fn shared(&self) -> &Arc<RunShared> {
        &self.0.shared
    }

    pub(crate) fn case(&self) -> &PlannedCase {
        &self.0.shared.cases[self.0.index.0 as usize]
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
        let resources = &self.0.shared.resources;
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

    fn use_host(&self, index: usize) -> Arc<dyn Host> {
        let mut used = self.used();
        if let Some((_, host)) = used.hosts.iter().find(|(used, _)| *used == index) {
            return Arc::clone(host);
        }
        let run_host = &self.0.shared.resources.hosts[index];
        let host = run_host.host.in_scope(self.scope().clone());
        run_host.ledger.enter(&self.case().planned.label());
        used.hosts.push((index, Arc::clone(&host)));
        host
    }

    fn use_guest(&self, index: usize) -> Arc<dyn Guest> {
        let prepared = &self.0.shared.resources.guests[index];
        // Its host is at work for the test too: evidence and leaks are looked for there.
        self.use_host(prepared.host);
        let mut used = self.used();
        if used.guests.iter().all(|(used, _)| *used != index) {
            used.guests.push((index, prepared.guest.expectation().get()));
        }
        Arc::clone(&prepared.guest)
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
