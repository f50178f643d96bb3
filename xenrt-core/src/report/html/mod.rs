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
    /// From the folder of the page to that of the run, with a `/` at its end; empty where they are
    /// the same.
    base: String,
    collector: Collector,
}

impl HtmlReport {
    /// The name of the report in the folder of a run.
    pub const FILE: &'static str = "report.html";

    /// A report that will be written to `path` when the run ends.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), base: String::new(), collector: Collector::default() }
    }

    /// Says where the evidence is, for a page that is not in the folder of the run.
    #[must_use]
    pub fn run_folder(mut self, folder: impl AsRef<Path>) -> Self {
        let page = self.path.parent().unwrap_or(Path::new(""));
        self.base = way(page, folder.as_ref());
        self
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
        let mut page = Page::new(&self.base);
        for index in 0..self.collector.plan().len() {
            let test = self.collector.test(index)?;
            page.test(&test);
            rows.test(&test)?;
        }
        rows.end(self.collector.run(), &self.base)?;
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

/// The way from one folder to another one, relative where there is one; the folders need not exist.
fn way(from: &Path, to: &Path) -> String {
    let absolute = |path: &Path| {
        // An empty path is the current folder here, and an error there.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
    };
    let (from, to) = (absolute(from), absolute(to));
    let same = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let mut way = "../".repeat(from.components().count() - same);
    for part in to.components().skip(same) {
        way.push_str(&part.as_os_str().to_string_lossy());
        way.push('/');
    }
    way
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_folder_of_the_run_is_relative() {
        let way = |from: &str, to: &str| way(Path::new(from), Path::new(to));
        assert_eq!(way("runs/1", "runs/1"), "");
        assert_eq!(way("runs/1", "./runs/1/"), "");
        assert_eq!(way("", "runs/1"), "runs/1/");
        assert_eq!(way("/srv/www/reports", "/srv/runs/1"), "../../runs/1/");
    }
}
