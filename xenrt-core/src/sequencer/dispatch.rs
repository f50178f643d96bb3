//! What happens in a run: numbered and put on record where it is told, then told to the reporters by
//! the dispatcher.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};

use super::exit_code::RunEnd;
use super::{Event, EventKind, ExitCode, Level, Summary, TestIndex};
use crate::report::{Journal, Reporter, Syncer};
use crate::seconds::micros;
use crate::testcase::{Marks, Outcome};

/// Where tests and the sequencer put what happens. An event gets its number and its line in the
/// journal here and now: when the end of a test was put, it is on record. Putting never waits for a
/// reporter.
#[derive(Debug, Clone)]
pub(crate) struct Events(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    state: Mutex<QueueState>,
    /// Wakes the dispatcher.
    wake: Condvar,
    /// How many events wait; see [`Events::room`].
    waiting: AtomicUsize,
    /// Wakes those who wait for room.
    drained: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    /// The number of the next event.
    number: u64,
    /// Until the end of the run.
    journal: Option<Journal>,
    /// What went wrong with it.
    troubles: Vec<String>,
    /// Whether anybody is told of more than how tests ended.
    has_reporters: bool,
    /// What the dispatcher has not taken yet.
    events: Vec<Event>,
    /// Whether something was told since the dispatcher looked: if it is not for a reporter, it may
    /// still have to be written.
    news: bool,
    dispatcher_sleeps: bool,
    end: Option<RunEnd>,
}

/// With what the events of a run begin.
#[derive(Default)]
pub(super) struct Beginning {
    pub(super) journal: Option<Journal>,
    pub(super) reporters: Vec<Box<dyn Reporter>>,
    /// Of a run that goes on.
    pub(super) earlier: Option<Earlier>,
}

/// What happened in a run before it was interrupted.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// Its journal, up to the damage, for the reporters.
    pub(super) journal: PathBuf,
    pub(super) next_event: u64,
    pub(super) results: BTreeMap<TestIndex, (Outcome, Marks)>,
    /// How long it was at work.
    pub(super) active: Duration,
}

/// What the dispatcher knows at the end of a run.
#[derive(Debug)]
pub(super) struct Dispatched {
    pub(super) summary: Summary,
    pub(super) exit_code: ExitCode,
    pub(super) results: BTreeMap<TestIndex, (Outcome, Marks)>,
    pub(super) reporter_failures: Vec<String>,
}

impl Events {
    /// With more events than this in the queue no further test is started, so that a slow disk
    /// costs time and not all memory.
    const MOST_WAITING: usize = 50_000;

    /// Starts a dispatcher in a thread of its own: a slow terminal or a test that blocks its thread
    /// keep nobody else waiting.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        beginning: Beginning,
    ) -> std::io::Result<(Self, oneshot::Receiver<Dispatched>)> {
        let Beginning { journal, reporters, earlier } = beginning;
        let state = QueueState {
            number: earlier.as_ref().map_or(0, |earlier| earlier.next_event),
            journal,
            has_reporters: !reporters.is_empty(),
            ..QueueState::default()
        };
        let queue = Arc::new(Queue {
            state: Mutex::new(state),
            wake: Condvar::new(),
            waiting: AtomicUsize::new(0),
            drained: Notify::new(),
        });
        let (sender, receiver) = oneshot::channel();
        let dispatcher = Dispatcher::new(Arc::clone(&queue), reporters);
        std::thread::Builder::new().name("xenrt-events".to_owned()).spawn(move || {
            // The run may have been dropped; then nobody wants the answer.
            let _ = sender.send(dispatcher.dispatch(earlier));
        })?;
        Ok((Self(queue), receiver))
    }

    /// Tells that something happened. After the end of the run - a test that was given up may
    /// still be at work - it is dropped: the last event of a run is its end.
    pub(crate) fn send(&self, test: Option<TestIndex>, what: EventKind) {
        let mut state = self.0.lock();
        if state.end.is_some() {
            return;
        }
        state.put(test, what, &self.0.waiting);
        if std::mem::take(&mut state.dispatcher_sleeps) {
            drop(state);
            self.0.wake.notify_one();
        }
    }

    pub(super) fn log(&self, level: Level, text: impl Into<String>) {
        self.send(None, EventKind::Log { level, text: text.into() });
    }

    /// Waits until the queue is not too long.
    pub(super) async fn room(&self) {
        while self.0.waiting.load(Ordering::Relaxed) > Self::MOST_WAITING {
            let drained = self.0.drained.notified();
            if self.0.waiting.load(Ordering::Relaxed) > Self::MOST_WAITING {
                drained.await;
            }
        }
    }

    /// Ends the run: the dispatcher adds the last event and ends.
    pub(super) fn end(&self, end: RunEnd) {
        let mut state = self.0.lock();
        state.end.get_or_insert(end);
        state.dispatcher_sleeps = false;
        drop(state);
        self.0.wake.notify_one();
    }
}

impl QueueState {
    /// Puts an event at the end. Under the lock, so that times do not run back where numbers run
    /// on, and the journal has what was told in the order in which it was told.
    fn put(&mut self, test: Option<TestIndex>, what: EventKind, waiting: &AtomicUsize) {
        let event = Event { number: self.number, at: Timestamp::now(), test, what };
        self.number += 1;
        let notice = self.journal.as_mut().and_then(|journal| journal.put(&event));
        if self.has_reporters || matches!(event.what, EventKind::TestFinished { .. }) {
            self.events.push(event);
            waiting.fetch_add(1, Ordering::Relaxed);
        }
        self.news = true;
        if let Some(notice) = notice {
            self.trouble(notice, waiting);
        }
    }

    /// Says that something is the matter with the journal. What it says again while it cannot be
    /// written is nothing, so this ends.
    fn trouble(&mut self, text: String, waiting: &AtomicUsize) {
        anstream::eprintln!("warning: {text}");
        self.troubles.push(text.clone());
        self.put(None, EventKind::Log { level: Level::Warning, text }, waiting);
    }

    fn write_out(&mut self, waiting: &AtomicUsize) {
        if let Some(notice) = self.journal.as_mut().and_then(Journal::write_out) {
            self.trouble(notice, waiting);
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Dispatcher {
    queue: Arc<Queue>,
    /// `None` where a reporter has failed.
    reporters: Vec<Option<Box<dyn Reporter>>>,
    failures: Vec<String>,
    /// The last event is told.
    ended: bool,
    summary: Summary,
    results: BTreeMap<TestIndex, (Outcome, Marks)>,
    /// How long the run was at work before it was interrupted.
    earlier: Duration,
    started: Instant,
}

/// Longer than this nothing that happened is kept from a reader of the journal.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// How long the dispatcher lets events gather before it takes them: to be woken for each one would
/// cost its sender more than all the rest.
const GATHER: Duration = Duration::from_millis(1);
/// After so many looks at an empty queue it sleeps until somebody wakes it.
const LOOKS_BEFORE_SLEEP: u32 = 5;

impl Dispatcher {
    fn new(queue: Arc<Queue>, reporters: Vec<Box<dyn Reporter>>) -> Self {
        Self {
            queue,
            reporters: reporters.into_iter().map(Some).collect(),
            failures: Vec::new(),
            ended: false,
            summary: Summary::default(),
            results: BTreeMap::new(),
            earlier: Duration::ZERO,
            started: Instant::now(),
        }
    }

    fn dispatch(mut self, earlier: Option<Earlier>) -> Dispatched {
        let syncer = self.syncer();
        if let Some(earlier) = earlier {
            self.earlier(earlier);
        }
        let mut taken = Vec::new();
        let mut flushed = Instant::now();
        let mut dirty = false;
        let mut empty_looks = 0;
        let end = loop {
            let (end, news) = self.take(&mut taken, empty_looks);
            dirty |= news;
            if taken.is_empty() {
                empty_looks += 1;
            } else {
                empty_looks = 0;
                let count = taken.len();
                for event in taken.drain(..) {
                    self.event(event);
                }
                self.queue.waiting.fetch_sub(count, Ordering::Relaxed);
                self.queue.drained.notify_waiters();
            }
            if dirty && (empty_looks > 0 || flushed.elapsed() >= FLUSH_EVERY) {
                self.flush();
                flushed = Instant::now();
                dirty = false;
            }
            if let Some(end) = end {
                break end;
            }
        };
        let dispatched = self.finish(end);
        // Syncs a last time.
        drop(syncer);
        dispatched
    }

    /// Has the journal synced to the disk, where there is one.
    fn syncer(&self) -> Option<Syncer> {
        let state = self.queue.lock();
        let journal = state.journal.as_ref()?;
        let queue = Arc::downgrade(&self.queue);
        let synced = journal.synced(move |notice| {
            if let Some(queue) = queue.upgrade() {
                queue.lock().trouble(notice, &queue.waiting);
            }
        });
        drop(state);
        match synced {
            Ok(syncer) => Some(syncer),
            Err(error) => {
                let notice = format!("the journal is not synced to the disk: {error}");
                self.queue.lock().trouble(notice, &self.queue.waiting);
                None
            }
        }
    }

    /// Tells the reporters what happened before, and counts its results.
    fn earlier(&mut self, earlier: Earlier) {
        for (outcome, marks) in earlier.results.values() {
            self.summary.count(outcome, marks);
        }
        self.results = earlier.results;
        self.earlier = earlier.active;
        if self.reporters.is_empty() {
            return;
        }
        // This run appends to it meanwhile; what it appends comes through the queue.
        match Journal::open(&earlier.journal) {
            Ok(reader) => {
                for event in reader.take_while(|event| event.number < earlier.next_event) {
                    self.tell(|reporter| reporter.event(&event));
                }
            }
            Err(error) => {
                let notice = format!("the reports lack what happened earlier: {error}");
                self.queue.lock().trouble(notice, &self.queue.waiting);
            }
        }
    }

    /// Takes what is in the queue, after a short wait where it is empty. The end is returned with
    /// the last events; so is whether anything was told at all.
    fn take(&self, taken: &mut Vec<Event>, empty_looks: u32) -> (Option<RunEnd>, bool) {
        let mut state = self.queue.lock();
        if !state.news && state.end.is_none() && empty_looks > 0 {
            state = if empty_looks < LOOKS_BEFORE_SLEEP {
                let waited = self.queue.wake.wait_timeout(state, GATHER);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                state.dispatcher_sleeps = true;
                let waited =
                    self.queue.wake.wait_while(state, |state| !state.news && state.end.is_none());
                waited.unwrap_or_else(PoisonError::into_inner)
            };
        }
        std::mem::swap(&mut state.events, taken);
        (state.end, std::mem::take(&mut state.news))
    }

    fn event(&mut self, event: Event) {
        self.tell(|reporter| reporter.event(&event));
        if let (Some(test), EventKind::TestFinished { outcome, marks, .. }) =
            (event.test, event.what)
        {
            self.summary.count(&outcome, &marks);
            self.results.insert(test, (outcome, marks));
        }
    }

    fn flush(&mut self) {
        self.queue.lock().write_out(&self.queue.waiting);
        self.tell(|reporter| reporter.flush());
    }

    /// Tells all reporters; one that fails or panics is left out from then on, and the others and
    /// whoever reads standard error are told so.
    fn tell(&mut self, tell: impl Fn(&mut dyn Reporter) -> std::io::Result<()>) {
        let mut failed = Vec::new();
        for slot in &mut self.reporters {
            let Some(reporter) = slot else { continue };
            let result = catch_unwind(AssertUnwindSafe(|| tell(reporter.as_mut())));
            let problem = match result {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it panicked".to_owned(),
            };
            let name = catch_unwind(AssertUnwindSafe(|| reporter.name()));
            let name = name.unwrap_or_else(|_| "a reporter".to_owned());
            failed.push(format!("{name} failed and is left out from here on: {problem}"));
            *slot = None;
        }
        for text in failed {
            anstream::eprintln!("warning: {text}");
            self.failures.push(text.clone());
            // The end of the run is the last event.
            if self.ended {
                continue;
            }
            let warning = EventKind::Log { level: Level::Warning, text };
            self.queue.lock().put(None, warning, &self.queue.waiting);
        }
    }

    fn finish(mut self, end: RunEnd) -> Dispatched {
        let exit_code = end.exit_code(&self.summary);
        let what = EventKind::RunFinished {
            summary: self.summary,
            exit_code: exit_code.code(),
            seconds: micros(self.earlier + self.started.elapsed()),
        };
        self.ended = true;
        let last = {
            let mut state = self.queue.lock();
            state.put(None, what, &self.queue.waiting);
            state.write_out(&self.queue.waiting);
            // A test that was given up may still hold the queue; the journal's lock is to be free.
            state.journal = None;
            self.failures.append(&mut state.troubles);
            std::mem::take(&mut state.events)
        };
        // With it comes what reporters were said to have failed at since they were last told.
        last.into_iter().for_each(|event| self.event(event));
        self.tell(|reporter| reporter.flush());
        self.tell(|reporter| reporter.end());
        Dispatched {
            summary: self.summary,
            exit_code,
            results: self.results,
            reporter_failures: self.failures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_reporters_a_step_is_written_and_ends_of_tests_are_taken_after_a_sleep() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Journal::FILE);
        let journal = Some(Journal::create(&path).unwrap());
        let (events, _dispatched) =
            Events::start(Beginning { journal, ..Beginning::default() }).unwrap();
        let wait = |what: &str, holds: &dyn Fn() -> bool| {
            let started = Instant::now();
            while !holds() {
                assert!(started.elapsed() < Duration::from_secs(30), "never seen: {what}");
                std::thread::yield_now();
            }
        };
        let sleeps = || events.0.lock().dispatcher_sleeps;
        let test = Some(TestIndex(0));
        wait("it sleeps", &sleeps);
        events.send(test, EventKind::Step { text: "begin".to_owned() });
        wait("the step is in the file", &|| {
            std::fs::read_to_string(&path).is_ok_and(|text| text.contains("begin"))
        });
        wait("it sleeps again", &sleeps);
        let (outcome, marks) = (Outcome::Passed, Marks::default());
        let seconds = micros(Duration::ZERO);
        events.send(test, EventKind::TestFinished { outcome, marks, seconds });
        wait("the end of the test is taken", &|| events.0.waiting.load(Ordering::Relaxed) == 0);
        events.end(RunEnd::default());
    }
}
