//! A run as one HTML page.
//!
//! The page is complete in itself. What stands in it at once - verdict, counts, what went wrong -
//! is plain HTML made by a template that escapes ([`page`]); all tests are in it as JSON
//! ([`rows`]), from which its script draws the timeline, the table and the details.

mod page;
mod rows;
mod safe;

use std::io::{self, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use self::page::Page;
use self::rows::Rows;
use super::Reporter;
use super::collector::{Collector, write_whole};
use crate::sequencer::Event;

/// Writes a self-contained HTML page at the end of a run.
///
/// It loads nothing from the network and shows what tests said as text alone: every text is
/// escaped, and besides a content security policy lets no script run but the page's own. Its links
/// to evidence are relative, so it belongs into the folder of the run.
#[derive(Debug)]
pub struct HtmlReport {
    path: PathBuf,
    collector: Collector,
}

impl HtmlReport {
    /// The name of the report in the folder of a run.
    pub const FILE: &'static str = "report.html";

    /// A report that will be written to `path` when the run ends.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), collector: Collector::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the report of what was told so far; done by itself at the end. Tests that have not
    /// ended are errors.
    ///
    /// # Errors
    /// When the file or its folder cannot be written.
    pub fn write(&mut self) -> io::Result<()> {
        self.collector.complete()?;
        // Both grow with the number of tests, so neither is put together in memory.
        let mut details = tempfile::tempfile()?;
        let mut list = tempfile::tempfile()?;
        let mut rows = Rows::new(io::BufWriter::new(&mut list), io::BufWriter::new(&mut details));
        let mut page = Page::default();
        for index in 0..self.collector.plan().len() {
            let test = self.collector.test(index)?;
            page.test(&test);
            rows.test(&test)?;
        }
        rows.end(self.collector.run())?;
        list.rewind()?;
        details.rewind()?;
        let (before, after) = page.render(self.collector.run())?;
        write_whole(&self.path, |writer| {
            writer.write_all(before.as_bytes())?;
            copy(&mut list, writer)?;
            copy(&mut details, writer)?;
            writer.write_all(after.as_bytes())
        })
    }
}

fn copy(from: &mut std::fs::File, to: &mut dyn Write) -> io::Result<()> {
    let mut block = vec![0; 256 * 1024];
    loop {
        match from.read(&mut block)? {
            0 => return Ok(()),
            length => to.write_all(&block[..length])?,
        }
    }
}

impl Reporter for HtmlReport {
    fn name(&self) -> String {
        format!("the HTML report {}", self.path.display())
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.collector.take(event)
    }

    fn end(&mut self) -> io::Result<()> {
        self.write()
    }
}
