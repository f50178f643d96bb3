//! Which reports a program writes.

use std::path::{Path, PathBuf};

use xenrt::report::{Console, HtmlReport, JUnit, JsonReport, Reporter};
use xenrt::sequencer::RunOptions;

/// Which reports are written; those of a run besides a page and JUnit in its folder.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ReportArgs {
    /// Write the results as a self-contained HTML page to this file
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    pub html: Option<PathBuf>,

    /// Write the results as one JSON document to this file
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    pub json: Option<PathBuf>,

    /// Write the results as JUnit XML to this file
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    pub junit: Option<PathBuf>,
}

impl ReportArgs {
    /// The same files in a folder of one of several runs, and JSON in any case: it is what they are
    /// compared by.
    pub(crate) fn below(&self, folder: &Path) -> Self {
        let own = |file: &Option<PathBuf>| {
            file.as_ref().and_then(|file| file.file_name()).map(|name| folder.join(name))
        };
        let json = own(&self.json).unwrap_or_else(|| folder.join(JsonReport::FILE));
        Self { html: own(&self.html), json: Some(json), junit: own(&self.junit) }
    }

    /// Adds the console, and the reports: a page and JUnit in the folder of the run, and what was
    /// asked for besides.
    pub(crate) fn for_run(&self, options: RunOptions, folder: &Path) -> RunOptions {
        let page = folder.join(HtmlReport::FILE);
        let console = self.named(Console::new().run_folder(folder).report_file(&page));
        let mut options = options
            .reporter(console)
            .reporter(HtmlReport::new(page).run_folder(folder))
            .reporter(JUnit::new(folder.join(JUnit::FILE)));
        options.reporters.extend(self.asked(folder));
        options
    }

    /// What shows a run of the past: the console unless it is to be `quiet`, and what was asked for.
    pub(crate) fn for_replay(&self, folder: &Path, quiet: bool) -> Vec<Box<dyn Reporter>> {
        let mut reporters = self.asked(folder);
        if !quiet {
            reporters.push(Box::new(self.named(Console::new().run_folder(folder))));
        }
        reporters
    }

    fn named(&self, console: Console) -> Console {
        let files = [&self.html, &self.json, &self.junit].into_iter().flatten();
        files.fold(console, Console::report_file)
    }

    fn asked(&self, folder: &Path) -> Vec<Box<dyn Reporter>> {
        let mut reporters: Vec<Box<dyn Reporter>> = Vec::new();
        if let Some(file) = &self.html {
            reporters.push(Box::new(HtmlReport::new(file).run_folder(folder)));
        }
        if let Some(file) = &self.json {
            reporters.push(Box::new(JsonReport::new(file)));
        }
        if let Some(file) = &self.junit {
            reporters.push(Box::new(JUnit::new(file)));
        }
        reporters
    }
}
