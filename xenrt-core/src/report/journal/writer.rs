//! Writing a journal.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::line::LineWriter;
use super::{FolderLock, JournalContent, JournalReader, Syncer};
use crate::report::Reporter;
use crate::sequencer::Event;
use crate::{Error, Result};

/// Writes every event of a run into a file, a line of JSON each, as they happen.
///
/// The [sequencer](crate::sequencer) writes it by itself for each run. A test that ended is in the
/// file before anything that follows from it begins, and an object of a host before it is made, so
/// that after `kill -9` at any moment only tests that were at work are run again; of what is told in
/// between, the last 100 ms may be missing. At most each second it is synced to the disk, off the way
/// of tests: a power cut may lose the last second. When the disk is full, that is said, the run goes
/// on, and the journal catches up once there is room.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Arc<File>,
    line: LineWriter,
    /// What is not written yet.
    lines: Vec<u8>,
    /// Whether the last attempt to write failed.
    lags: bool,
    /// Whether so much could not be written that it ends here.
    ended: bool,
    /// For the [`Syncer`].
    written: Arc<AtomicBool>,
    _lock: FolderLock,
}

/// What there is to say about a journal that could not be written, or can be again.
pub(crate) type Notice = String;

impl Journal {
    /// The name of the journal in the folder of a run.
    pub const FILE: &'static str = "journal.jsonl";

    /// Lines are written when they are this many bytes together, whatever they tell.
    const BLOCK: usize = 64 * 1024;
    /// So many bytes that cannot be written are kept until they can be.
    const MOST_KEPT: usize = 64 * 1024 * 1024;

    /// A journal in the file `path`, which is replaced; its folder is made, and locked against
    /// other processes until the journal is dropped.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be made; [`Error::Invalid`] while another process is at work in
    /// the folder.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let folder = path.parent().unwrap_or(Path::new("."));
        let lock = FolderLock::take(folder).map_err(|problem| problem.into_error(folder))?;
        let file =
            File::create(&path).map_err(|error| cannot("cannot make the journal", &path, error))?;
        Ok(Self::of(file, path, lock))
    }

    /// Goes on with the journal `path` after its first `length` bytes; what stands behind them is
    /// dropped.
    pub(crate) fn append(path: PathBuf, length: u64, lock: FolderLock) -> Result<Self> {
        let file = File::options().append(true).open(&path);
        let file = file.map_err(|error| cannot("cannot go on with the journal", &path, error))?;
        file.set_len(length).map_err(|error| {
            cannot("cannot remove what is damaged from the journal", &path, error)
        })?;
        Ok(Self::of(file, path, lock))
    }

    fn of(file: File, path: PathBuf, lock: FolderLock) -> Self {
        Self {
            path,
            file: Arc::new(file),
            line: LineWriter::default(),
            lines: Vec::with_capacity(2 * Self::BLOCK),
            lags: false,
            ended: false,
            written: Arc::default(),
            _lock: lock,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a whole journal back into memory, up to its end or to where it is damaged. For one of
    /// a hundred thousand tests, [`open`](Self::open) it instead.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be opened.
    pub fn read(path: &Path) -> Result<JournalContent> {
        let mut reader = Self::open(path)?;
        let events = reader.by_ref().collect();
        Ok(JournalContent { events, unknown: reader.unknown(), damage: reader.into_damage() })
    }

    /// Opens a journal to read its events one after the other.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<JournalReader> {
        let file =
            File::open(path).map_err(|error| cannot("cannot read the journal", path, error))?;
        Ok(JournalReader::new(file))
    }

    /// Takes an event. One that something may follow from is written before this returns.
    pub(crate) fn put(&mut self, event: &Event) -> Option<Notice> {
        if self.ended {
            return None;
        }
        let before = self.lines.len();
        if let Err(error) = self.line.write(event, &mut self.lines) {
            // Half a line would hide the rest of the journal from its readers.
            self.lines.truncate(before);
            return Some(format!("event {} is not in the journal: {error}", event.number));
        }
        if event.what.is_milestone() || self.lines.len() >= Self::BLOCK {
            self.write_out()
        } else {
            None
        }
    }

    /// Writes what was taken and is not in the file yet.
    pub(crate) fn write_out(&mut self) -> Option<Notice> {
        if self.lines.is_empty() {
            return None;
        }
        match self.write() {
            Ok(()) => std::mem::take(&mut self.lags).then(|| {
                format!(
                    "the journal {} has caught up: it can be written again",
                    self.path.display()
                )
            }),
            Err(error) if self.lines.len() > Self::MOST_KEPT => {
                self.ended = true;
                self.lines = Vec::new();
                Some(format!(
                    "the journal {} ends here: it could not be written for too long ({error}); what \
                     happens from now on is not on record, and a resumed run does it again",
                    self.path.display()
                ))
            }
            Err(error) => (!std::mem::replace(&mut self.lags, true)).then(|| {
                format!(
                    "the journal {} cannot be written: {error}; the run goes on, and the journal \
                     catches up once it can",
                    self.path.display()
                )
            }),
        }
    }

    /// Writes as much as can be; the rest stays. What was written in part is completed the next
    /// time.
    fn write(&mut self) -> io::Result<()> {
        let mut done = 0;
        let result = loop {
            if done == self.lines.len() {
                break Ok(());
            }
            match (&*self.file).write(&self.lines[done..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if done > 0 {
            self.lines.drain(..done);
            self.written.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Has it written to the disk itself now and then, until the result is dropped.
    pub(crate) fn synced(&self, problem: impl Fn(Notice) + Send + 'static) -> io::Result<Syncer> {
        let path = self.path.clone();
        Syncer::start(Arc::clone(&self.file), Arc::clone(&self.written), move |error| {
            problem(format!(
                "the journal {} may not outlive a power cut: the disk does not take it: {error}",
                path.display()
            ));
        })
    }
}

fn cannot(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { action, path: path.display().to_string(), source }
}

/// For events that come from elsewhere than a run: those of another journal.
impl Reporter for Journal {
    fn name(&self) -> String {
        format!("the journal {}", self.path.display())
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.put(event).map_or(Ok(()), |notice| Err(io::Error::other(notice)))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write()
    }
}
