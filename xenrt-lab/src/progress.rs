//! What the lab is doing, told as it happens.
//!
//! The lab never prints. Whoever opens it may pass a function that gets each [`LabEvent`], to show it
//! on a console, write it to a journal or drop it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use xenrt_core::seconds::Readable;

/// One piece of work that takes long enough to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Task {
    /// Building the boot images from packages (a minute or two, once).
    BuildImages,
    /// Booting a host from its images (half a minute, once for each kind of snapshot).
    ColdBoot,
    /// Running the caller's preparation on a host that will be frozen.
    Prepare,
    /// Writing a running host to disk.
    Freeze,
    /// Bringing back the host of that name from a snapshot.
    Restore(String),
    /// Turning the host of that name off and on.
    PowerCycle(String),
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuildImages => f.write_str("building images"),
            Self::ColdBoot => f.write_str("booting a host"),
            Self::Prepare => f.write_str("preparing a host"),
            Self::Freeze => f.write_str("freezing a host"),
            Self::Restore(name) => write!(f, "restoring {name}"),
            Self::PowerCycle(name) => write!(f, "power-cycling {name}"),
        }
    }
}

/// What happened in a [`Task`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// It began.
    Started,
    /// It got somewhere.
    Step {
        /// What it does now.
        what: String,
        /// How far it is, from 0 to 100, where that is known.
        percent: Option<u8>,
    },
    /// It succeeded.
    Finished,
    /// It failed; the error is what the call returns.
    Failed,
}

/// One event of progress. Its `Display` is one line for a console:
/// `building images: dom0: installing packages (23 s)`.
#[derive(Clone, Debug, PartialEq)]
pub struct LabEvent {
    /// The piece of work.
    pub task: Task,
    /// What happened.
    pub stage: Stage,
    /// Time since the task began.
    pub elapsed: Duration,
}

impl fmt::Display for LabEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, stage, elapsed } = self;
        let time = Readable(*elapsed);
        match stage {
            Stage::Started => write!(f, "{task}"),
            Stage::Step { what, percent } => {
                write!(f, "{task}: {what}")?;
                if let Some(percent) = percent {
                    write!(f, ", {percent} %")?;
                }
                write!(f, " ({time})")
            }
            Stage::Finished => write!(f, "{task}: done ({time})"),
            Stage::Failed => write!(f, "{task}: failed ({time})"),
        }
    }
}

/// Where progress goes. Cheap to clone; the default drops every event.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(LabEvent) + Send + Sync>>);

impl Progress {
    /// Sends each event to `sink`, which must not block.
    pub fn new(sink: impl Fn(LabEvent) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    /// Begins a task. It counts as failed unless [`TaskProgress::finish`] is called.
    pub(crate) fn begin(&self, task: Task) -> TaskProgress {
        let progress =
            TaskProgress { sink: self.clone(), task, began: Instant::now(), done: false };
        progress.send(Stage::Started);
        progress
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Progress(sink)" } else { "Progress(none)" })
    }
}

/// A task that has begun.
#[derive(Debug)]
pub(crate) struct TaskProgress {
    sink: Progress,
    task: Task,
    began: Instant,
    done: bool,
}

impl TaskProgress {
    pub(crate) fn step(&self, what: impl Into<String>, percent: Option<u8>) {
        self.send(Stage::Step { what: what.into(), percent });
    }

    /// Marks the success, and tells how long it took.
    pub(crate) fn finish(mut self) -> Duration {
        self.done = true;
        self.send(Stage::Finished);
        self.began.elapsed()
    }

    fn send(&self, stage: Stage) {
        let event = LabEvent { task: self.task.clone(), stage, elapsed: self.began.elapsed() };
        tracing::debug!(target: "xenrt_lab", "{event}");
        if let Some(sink) = &self.sink.0 {
            sink(event);
        }
    }
}

impl Drop for TaskProgress {
    fn drop(&mut self) {
        if !self.done {
            self.send(Stage::Failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn a_dropped_task_is_reported_as_failed() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let progress = Progress::new(move |event| sink.lock().unwrap().push(event.stage));
        progress.begin(Task::Freeze).step("writing", Some(40));
        progress.begin(Task::ColdBoot).finish();
        let stages = seen.lock().unwrap();
        assert_eq!(stages[2], Stage::Failed);
        assert_eq!(stages[4], Stage::Finished);
    }

    #[test]
    fn an_event_is_one_line() {
        let event = LabEvent {
            task: Task::BuildImages,
            stage: Stage::Step { what: "bootstrapping dom0".into(), percent: None },
            elapsed: Duration::from_secs(23),
        };
        assert_eq!(event.to_string(), "building images: bootstrapping dom0 (23 s)");
    }
}
