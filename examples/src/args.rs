//! The command line of a program that runs a sequence.

use std::path::PathBuf;

use xenrt::sequencer::{Filter, Selection};

use crate::ReportArgs;

/// What to run, where, and what to tell about it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RunArgs {
    /// Run this sequence file instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub sequence: Option<PathBuf>,

    /// Where the hosts come from.
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Which tests.
    #[command(flatten)]
    pub select: SelectArgs,

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

/// Which hosts to use.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PlaceArgs {
    /// Run on the hosts of this lab file (TOML) instead of the virtual lab
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    pub lab: Option<PathBuf>,

    /// Run there: xl or libvirt-xen (the virtual lab), libvirt-qemu, libvirt-test, sim, or a host of the
    /// lab file. Several, with commas, are held against each other
    #[arg(long, value_name = "PLACE", value_delimiter = ',', help_heading = "Where")]
    pub on: Vec<String>,

    /// Keep images and snapshots of the virtual lab in this folder
    #[arg(long, value_name = "DIR", help_heading = "Where")]
    pub cache: Option<PathBuf>,

    /// Do not install Debian packages that the virtual lab lacks; say which, and stop
    #[arg(long, help_heading = "Where")]
    pub no_install: bool,
}

/// Which tests to run. All that is given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SelectArgs {
    /// Only tests that this expression selects: 'group(Basic) & !test(reboot) | prio(<=2)'
    #[arg(long, value_name = "EXPRESSION", help_heading = "Which tests", value_parser = filter)]
    pub filter: Option<Filter>,

    /// Only tests with this word in their id, name, group or tags (may be repeated)
    #[arg(long, value_name = "WORD", help_heading = "Which tests")]
    pub run: Vec<String>,

    /// No tests with this word in their id, name, group or tags (may be repeated)
    #[arg(long, value_name = "WORD", help_heading = "Which tests")]
    pub skip: Vec<String>,

    /// No tests whose priority number is greater than this: 1 is the most important
    #[arg(long, value_name = "NUMBER", help_heading = "Which tests")]
    pub prio: Option<i32>,

    /// Leave the `finally` blocks out
    #[arg(long, help_heading = "Which tests")]
    pub no_finally: bool,
}

impl SelectArgs {
    /// The same for the sequencer.
    pub fn selection(&self) -> Selection {
        let mut selection = Selection::default();
        selection.run.clone_from(&self.run);
        selection.skip.clone_from(&self.skip);
        selection.priority = self.prio;
        selection.filter.clone_from(&self.filter);
        selection.no_finally = self.no_finally;
        selection
    }
}

/// A filter, or the error with a mark under what is wrong.
fn filter(text: &str) -> Result<Filter, String> {
    Filter::parse(text).map_err(|error| format!("\n{:?}", miette::Report::new(error)))
}
