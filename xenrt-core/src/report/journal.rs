//! The journal: every event of a run, a line of JSON each.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Reporter;
use crate::sequencer::Event;
use crate::{Error, Result};

/// Writes every event of a run into a file, a line of JSON each, as they happen.
///
/// Lines are appended in blocks of some kilobytes and whenever the run is quiet, at the latest
/// after 100 ms, so that the file of a run that was killed lacks no more than that.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    lines: Vec<u8>,
}

/// What [`Journal::read`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalContent {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Whether the last line breaks off: the run was killed while it was written.
    pub torn: bool,
}

impl Journal {
    /// The name of the journal in the folder of a run.
    pub const FILE: &'static str = "journal.jsonl";

    /// Lines are written when they are this many bytes together.
    const BLOCK: usize = 64 * 1024;

    /// A journal in the file `path`, which is replaced; its folder is made.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be made.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let cannot = |source| Error::Io {
            action: "cannot make the journal",
            path: path.display().to_string(),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(cannot)?;
        }
        let file = File::create(&path).map_err(cannot)?;
        Ok(Self { file, lines: Vec::with_capacity(2 * Self::BLOCK), path })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a journal back. A last line that breaks off is left out.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::Invalid`] with the line for any other line
    /// that is no event.
    pub fn read(path: &Path) -> Result<JournalContent> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io {
            action: "cannot read the journal",
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&bytes, &path.display().to_string())
    }

    fn parse(bytes: &[u8], name: &str) -> Result<JournalContent> {
        let mut events = Vec::new();
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            match serde_json::from_slice(line) {
                Ok(event) => events.push(event),
                // A block is written with one call, yet the system may take a part of it alone.
                Err(_) if lines.peek().is_none() && !line.ends_with(b"\n") => {
                    return Ok(JournalContent { events, torn: true });
                }
                Err(error) => {
                    let line = index + 1;
                    return Err(Error::invalid(
                        format!("the journal {name}, line {line}"),
                        format!("expected an event as this version writes it: {error}"),
                    ));
                }
            }
        }
        Ok(JournalContent { events, torn: false })
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }
}

impl Reporter for Journal {
    fn name(&self) -> String {
        format!("the journal {}", self.path.display())
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        serde_json::to_writer(&mut self.lines, event)?;
        self.lines.push(b'\n');
        if self.lines.len() >= Self::BLOCK { self.write() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write()
    }
}
