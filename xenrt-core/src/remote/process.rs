//! A command that runs while its caller does something else.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Command, ExitStatus, RemoteError, Result, shorten_middle};

/// One line of a running process's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessLine {
    /// From its standard output, without the line end.
    Stdout(String),
    /// From its standard error, without the line end.
    Stderr(String),
}

impl ProcessLine {
    /// The line, whichever stream it came from.
    pub fn text(&self) -> &str {
        match self {
            Self::Stdout(text) | Self::Stderr(text) => text,
        }
    }
}

/// A command that runs while its caller does something else.
///
/// Its output is read all the time, so that it never waits for a caller who does not look. The last
/// [`MOST_KEPT`](Self::MOST_KEPT) bytes are kept for [`next_line`](Self::next_line);
/// [`dropped_bytes`](Self::dropped_bytes) says how much went before them.
///
/// Dropping a `Process` tells it to stop and does not wait; [`stop`](Self::stop) waits. All methods
/// take `&self`, so one task may read while another one waits for the end.
#[derive(Debug)]
pub struct Process {
    shared: Arc<Shared>,
}

impl Process {
    /// Output that nobody has read yet is kept up to this many bytes.
    pub const MOST_KEPT: usize = 256 * 1024;

    /// How long a process that was told to stop (`TERM`) may take before it is killed (`KILL`).
    pub const GRACE: Duration = Duration::from_secs(5);

    /// The command as a person would type it, secrets masked.
    pub fn description(&self) -> &str {
        &self.shared.description
    }

    /// Where it runs.
    pub fn target(&self) -> &str {
        &self.shared.target
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.shared.state().end.is_none()
    }

    /// How many bytes of output were dropped because nobody read them in time.
    pub fn dropped_bytes(&self) -> u64 {
        self.shared.state().dropped
    }

    /// The next line of its output, waiting for one where it has to; `None` when the process has
    /// ended and all lines were read. Bytes that are not UTF-8 become U+FFFD, and a line of more
    /// than 64 KiB comes in parts.
    pub async fn next_line(&self) -> Option<ProcessLine> {
        loop {
            // Registered before the look, so that a change right after the look is not missed.
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.shared.state();
                if let Some(line) = state.lines.pop_front() {
                    state.kept -= line.text().len();
                    return Some(line);
                }
                if state.end.is_some() {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Waits for the end. Bounded by the deadline of the command. May be called again.
    ///
    /// # Errors
    /// [`RemoteError::Deadline`] when the command's deadline ended it, and
    /// [`RemoteError::Disconnected`] when the connection broke. A status other than 0 is no error.
    pub async fn wait(&self) -> Result<ExitStatus> {
        self.shared.ended().await;
        let state = self.shared.state();
        match &state.end {
            Some(End::Status(status)) => Ok(*status),
            Some(End::Deadline) => {
                let unread = |wanted: fn(&ProcessLine) -> bool| {
                    let lines: Vec<&str> =
                        state.lines.iter().filter(|l| wanted(l)).map(ProcessLine::text).collect();
                    self.shared.command.mask(&shorten_middle(&lines.join("\n"), 2000))
                };
                Err(RemoteError::Deadline {
                    target: self.shared.target.clone(),
                    command: self.shared.description.clone(),
                    deadline: self.shared.command.deadline_value(),
                    stdout: unread(|line| matches!(line, ProcessLine::Stdout(_))),
                    stderr: unread(|line| matches!(line, ProcessLine::Stderr(_))),
                })
            }
            Some(End::Lost(message)) => Err(self.shared.lost(message)),
            None => Err(self.shared.lost("its end was not seen")),
        }
    }

    /// Tells it and everything that it started (its process group) to end, kills what is left after
    /// [`GRACE`](Self::GRACE), and waits for the end. A process that has ended already is no error.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.shared.request_stop();
        self.wait().await
    }

    pub(super) fn handle(&self) -> ProcessHandle {
        ProcessHandle(Arc::downgrade(&self.shared))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.shared.request_stop();
    }
}

/// What a shell keeps of a process that it started, to stop it when all are to be stopped.
#[derive(Debug)]
pub(super) struct ProcessHandle(Weak<Shared>);

impl ProcessHandle {
    pub(super) fn is_running(&self) -> bool {
        self.0.upgrade().is_some_and(|shared| shared.state().end.is_none())
    }

    /// Stops it if it runs, waits for its end and returns what it was.
    pub(super) async fn stop(&self) -> Option<String> {
        let shared = self.0.upgrade().filter(|shared| shared.state().end.is_none())?;
        shared.request_stop();
        shared.ended().await;
        Some(shared.description.clone())
    }
}

/// The processes that a shell started and that may still run.
#[derive(Debug, Default)]
pub(crate) struct Processes(Mutex<Vec<ProcessHandle>>);

impl Processes {
    pub(crate) fn add(&self, process: &Process) {
        let mut handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handles.retain(ProcessHandle::is_running);
        handles.push(process.handle());
    }

    pub(crate) async fn stop_all(&self) -> Vec<String> {
        let handles = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let stopped = futures::future::join_all(handles.iter().map(ProcessHandle::stop)).await;
        stopped.into_iter().flatten().collect()
    }
}

#[derive(Debug)]
struct Shared {
    target: String,
    description: String,
    command: Command,
    state: Mutex<State>,
    /// Woken whenever a line came or the end was seen.
    changed: Notify,
    /// Woken once, when somebody wants it to stop.
    stop: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<ProcessLine>,
    kept: usize,
    dropped: u64,
    end: Option<End>,
}

#[derive(Debug)]
enum End {
    Status(ExitStatus),
    Deadline,
    Lost(String),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request_stop(&self) {
        self.stop.notify_one();
    }

    async fn ended(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.state().end.is_some() {
                return;
            }
            changed.await;
        }
    }

    fn lost(&self, message: &str) -> RemoteError {
        RemoteError::Disconnected {
            target: self.target.clone(),
            command: self.description.clone(),
            message: message.to_owned(),
        }
    }

    fn push(&self, line: ProcessLine) {
        let mut state = self.state();
        state.kept += line.text().len();
        state.lines.push_back(line);
        while state.kept > Process::MOST_KEPT {
            let Some(oldest) = state.lines.pop_front() else { break };
            state.kept -= oldest.text().len();
            state.dropped += oldest.text().len() as u64;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.changed.notify_waiters();
    }
}

/// How one kind of shell ends a process that it started.
#[async_trait]
pub(crate) trait Stopper: Send + Sync + fmt::Debug {
    /// Ends the process group politely, then by force; returns when that was done or cannot be.
    async fn stop(&self, leader: Option<u32>);

    /// The process ended by itself; what it left running in its group is meant to run on.
    fn let_go(&mut self) {}
}

/// The ends of a running process that its driver works on.
pub(crate) struct Running<Out, Err, Feed, Exit, S> {
    pub(crate) stdout: Out,
    pub(crate) stderr: Err,
    /// Gives the program its standard input.
    pub(crate) feed: Feed,
    /// Resolves when the program has ended; the message of an error says how it was lost. Awaited
    /// when both streams have ended.
    pub(crate) exit: Exit,
    pub(crate) stopper: S,
    /// What stands before the process id in the first line of standard error, where the shell makes
    /// the program announce it.
    pub(crate) announcement: Option<&'static str>,
    /// When the command's deadline passes.
    pub(crate) deadline: Instant,
}

impl<Out, Err, Feed, Exit, S> Running<Out, Err, Feed, Exit, S>
where
    Out: AsyncRead + Send + Unpin + 'static,
    Err: AsyncRead + Send + Unpin + 'static,
    Feed: Future<Output = ()> + Send + 'static,
    Exit: Future<Output = Result<ExitStatus, String>> + Send + 'static,
    S: Stopper + 'static,
{
    /// Hands the process to a task of its own, which reads it, ends it when asked to or when its
    /// deadline passes, and notes its end.
    pub(crate) fn drive(self, target: &str, command: &Command) -> Process {
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            description: command.to_string(),
            command: command.clone(),
            state: Mutex::default(),
            changed: Notify::new(),
            stop: Notify::new(),
        });
        tokio::spawn(self.run(NoteEnd(Arc::clone(&shared))));
        Process { shared }
    }

    async fn run(self, noted: NoteEnd) {
        /// A process that was stopped may keep its streams open for this much longer.
        const AFTER_STOP: Duration = Duration::from_secs(5);
        /// A shell announces its process id about as soon as it is started.
        const ANNOUNCED: Duration = Duration::from_secs(2);
        let shared = &noted.0;
        let leader = tokio::sync::watch::Sender::new(None);
        let announced = self.announcement.is_some();
        let mut first = self.announcement;
        let mut stopper = self.stopper;
        let end = async {
            let stdout = read_lines(self.stdout, |line| shared.push(ProcessLine::Stdout(line)));
            let stderr = read_lines(self.stderr, |line| {
                if let Some(pid) = first.take().and_then(|word| line.strip_prefix(word))
                    && let Ok(pid) = pid.trim().parse::<u32>()
                {
                    leader.send_replace(Some(pid));
                    return;
                }
                shared.push(ProcessLine::Stderr(line));
            });
            tokio::join!(stdout, stderr, self.feed);
            self.exit.await
        };
        let mut end = std::pin::pin!(end);
        let over_deadline = tokio::select! {
            ended = &mut end => {
                stopper.let_go();
                shared.end(ended.map_or_else(End::Lost, End::Status));
                return;
            }
            () = shared.stop.notified() => false,
            () = tokio::time::sleep_until(self.deadline) => true,
        };
        // Output must be read on while the process is stopped, or it may block and not stop.
        let stopped = async {
            if announced {
                // It may have been started only just now.
                let mut pid = leader.subscribe();
                let _ = tokio::time::timeout(ANNOUNCED, pid.wait_for(Option::is_some)).await;
            }
            let pid = *leader.borrow();
            stopper.stop(pid).await;
            tokio::time::sleep(AFTER_STOP).await;
        };
        let ended = tokio::select! {
            ended = &mut end => Some(ended),
            () = stopped => None,
        };
        shared.end(match ended {
            _ if over_deadline => End::Deadline,
            Some(Ok(status)) => End::Status(status),
            Some(Err(message)) => End::Lost(message),
            None => End::Lost("it was told to stop, and its end was not seen".to_owned()),
        });
    }
}

/// Notes an end even where the driver's task is thrown away with its runtime.
struct NoteEnd(Arc<Shared>);

impl Drop for NoteEnd {
    fn drop(&mut self) {
        self.0.end(End::Lost("the runtime that drove it ended".to_owned()));
    }
}

/// Reads to the end and hands on each line; a line that is too long for one piece comes in several.
async fn read_lines(mut stream: impl AsyncRead + Unpin, mut line: impl FnMut(String)) {
    const LONGEST: usize = 64 * 1024;
    let mut buffer = Vec::with_capacity(8 * 1024);
    // A stream that breaks ends like one that is closed; how the process ended says which it was.
    while let Ok(1..) = stream.read_buf(&mut buffer).await {
        let mut from = 0;
        while let Some(length) = buffer[from..].iter().position(|byte| *byte == b'\n') {
            line(String::from_utf8_lossy(&buffer[from..from + length]).into_owned());
            from += length + 1;
        }
        buffer.drain(..from);
        if buffer.len() >= LONGEST {
            // Cut between characters, where these are characters.
            let rest = match std::str::from_utf8(&buffer) {
                Err(error) if error.error_len().is_none() => buffer.split_off(error.valid_up_to()),
                _ => Vec::new(),
            };
            line(String::from_utf8_lossy(&buffer).into_owned());
            buffer = rest;
        }
        buffer.reserve(8 * 1024);
    }
    if !buffer.is_empty() {
        line(String::from_utf8_lossy(&buffer).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines_of(bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        read_lines(bytes, |line| lines.push(line)).await;
        lines
    }

    #[tokio::test]
    async fn lines_are_split_at_line_ends_and_the_last_one_needs_none() {
        assert_eq!(lines_of(b"a\n\nb\r\nc").await, ["a", "", "b\r", "c"]);
        assert!(lines_of(b"").await.is_empty());
        assert_eq!(lines_of(b"\xff\n").await, ["\u{fffd}"]);
    }

    #[tokio::test]
    async fn an_endless_line_comes_in_parts_and_loses_nothing() {
        let text = "ä".repeat(100_000);
        let parts = lines_of(text.as_bytes()).await;
        assert!(parts.len() > 1);
        assert_eq!(parts.concat(), text);
    }
}
