//! A run as one JSON document, for other tools.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Reporter;
use super::collector::{Collector, write_whole};
use super::document::ReportDocument;
use crate::sequencer::Event;

/// Writes a [`ReportDocument`] at the end of a run.
#[derive(Debug)]
pub struct JsonReport {
    path: PathBuf,
    collector: Collector,
}

impl JsonReport {
    /// The name of the report in the folder of a run.
    pub const FILE: &'static str = "report.json";

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
        let path = self.path.clone();
        write_whole(&path, |writer| self.write_to(writer))
    }

    fn write_to(&mut self, writer: &mut dyn Write) -> io::Result<()> {
        let format = ReportDocument::FORMAT;
        let version = ReportDocument::VERSION;
        write!(writer, "{{\"format\":\"{format}\",\"version\":{version},\n\"run\":")?;
        serde_json::to_writer(&mut *writer, self.collector.run())?;
        write!(writer, ",\n\"tests\":[")?;
        for index in 0..self.collector.plan().len() {
            writer.write_all(if index == 0 { b"\n" } else { b",\n" })?;
            writer.write_all(&self.collector.json(index)?)?;
        }
        writer.write_all(b"\n]}\n")
    }
}

impl Reporter for JsonReport {
    fn name(&self) -> String {
        format!("the JSON report {}", self.path.display())
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.collector.take(event)
    }

    fn end(&mut self) -> io::Result<()> {
        self.write()
    }
}
