//! The command line of a program that runs a sequence.

use std::path::PathBuf;

/// What to run, where, and what to tell about it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunArgs {
    /// Run this sequence file instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub sequence: Option<PathBuf>,

    /// Run on the hosts of this lab file (TOML) instead of the virtual lab
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    pub lab: Option<PathBuf>,

    /// Keep images and snapshots of the virtual lab in this folder
    #[arg(long, value_name = "DIR", conflicts_with = "lab", help_heading = "Where")]
    pub cache: Option<PathBuf>,

    /// Do not install Debian packages that the virtual lab lacks; say which, and stop
    #[arg(long, conflicts_with = "lab", help_heading = "Where")]
    pub no_install: bool,

    /// Only tests with this word in their id, name, group or tags (may be repeated)
    #[arg(long, value_name = "WORD", help_heading = "Which tests")]
    pub run: Vec<String>,

    /// No tests with this word in their id, name, group or tags (may be repeated)
    #[arg(long, value_name = "WORD", help_heading = "Which tests")]
    pub skip: Vec<String>,

    /// List every test that this program knows, and stop
    #[arg(long, help_heading = "Which tests")]
    pub list: bool,

    /// Print what would be run, touch nothing, and stop
    #[arg(long, help_heading = "Which tests")]
    pub dry_run: bool,

    /// Leave the hosts and guests of the preparation for a look when the run did not pass, and say how to get in
    #[arg(long, help_heading = "Afterwards")]
    pub keep: bool,

    /// Which reports are written besides those in the folder of the run.
    #[command(flatten)]
    pub reports: ReportArgs,

    /// Put journal, reports and evidence into this folder [default: runs/DATE-TIME]
    #[arg(long, value_name = "DIR", help_heading = "Afterwards")]
    pub out: Option<PathBuf>,
}

/// Which reports are written besides those in the folder of the run.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ReportArgs {
    /// Write the results as JUnit XML to this file too
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    pub junit: Option<PathBuf>,

    /// Write the results as a self-contained HTML page to this file too
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    pub html: Option<PathBuf>,

    /// Write the results as one JSON document to this file
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    pub json: Option<PathBuf>,
}
