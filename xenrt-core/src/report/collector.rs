//! What the reports that are written at the end of a run share.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{RunDocument, TestDocument};
use super::gather::Gather;
use super::spill::Spill;
use crate::sequencer::{Event, PlannedTest, TestIndex};

/// Gathers a run for a report that is one file, in memory that does not grow with what the tests
/// say: ended tests are on disk.
#[derive(Debug, Default)]
pub(super) struct Collector {
    gather: Gather,
    spill: Spill,
}

impl Collector {
    /// Takes an event.
    pub(super) fn take(&mut self, event: &Event) -> io::Result<()> {
        let Some(test) = self.gather.take(event) else { return Ok(()) };
        let index = test.index as usize;
        if self.spill.has(index) {
            let before = self.test(index)?;
            self.gather.uncount(&before);
        }
        self.spill.put(index, &serde_json::to_vec(&test)?)
    }

    pub(super) fn run(&self) -> &RunDocument {
        &self.gather.run
    }

    pub(super) fn plan(&self) -> &[Arc<PlannedTest>] {
        &self.gather.plan
    }

    /// Ends all tests that have no end. Nothing but a look may follow.
    pub(super) fn complete(&mut self) -> io::Result<()> {
        self.gather.close();
        for index in 0..self.gather.plan.len() {
            if !self.spill.has(index) {
                let number = u32::try_from(index).map_err(io::Error::other)?;
                let test = self.gather.unfinished(TestIndex(number));
                self.spill.put(index, &serde_json::to_vec(&test)?)?;
            }
        }
        Ok(())
    }

    /// The test of this number as JSON, after [`complete`](Self::complete).
    pub(super) fn json(&mut self, index: usize) -> io::Result<Vec<u8>> {
        let missing = || io::Error::other(format!("test {index} was not gathered"));
        self.spill.get(index)?.ok_or_else(missing)
    }

    /// The test of this number, after [`complete`](Self::complete).
    pub(super) fn test(&mut self, index: usize) -> io::Result<TestDocument> {
        Ok(serde_json::from_slice(&self.json(index)?)?)
    }
}

/// Writes the file `path` so that a reader never sees half of it; its folder is made.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let mut file = BufWriter::with_capacity(256 * 1024, File::create(&aside)?);
    let written = write(&mut file).and_then(|()| file.flush());
    if let Err(error) = written {
        drop(file);
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&aside);
        return Err(error);
    }
    std::fs::rename(&aside, path)
}
