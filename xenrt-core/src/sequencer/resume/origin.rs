//! What a run was made from, as its journal keeps it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::seconds::Seconds;
use crate::sequencer::{Keep, RunId, RunOptions, Selection};
use crate::{Error, Result};

/// What it takes to make the plan and the lab of a run again in another process.
///
/// A program that runs sequences sets it in its [`RunOptions`](crate::sequencer::RunOptions::origin);
/// without it, a run can be replayed, and resumed only by whoever knows how to make its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOrigin {
    /// The sequence file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<SequenceOrigin>,
    /// The variables that were given besides those of the file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Which tests were selected; set by the run.
    #[serde(skip_serializing_if = "is_everything")]
    pub selection: Selection,
    /// The lab file; `None` for the program's own lab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lab: Option<PathBuf>,
    /// The seed of the order of tests; set by the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Its time limit, retries and what it leaves; set by the run. A journal of an older version
    /// has none, and whoever goes on with that run says them again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<RunLimits>,
    /// The run whose failed tests it runs again, and its folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<(RunId, PathBuf)>,
    /// Whatever else the program wants to know again, by names of its own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

/// What a run was allowed, for whoever goes on with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLimits {
    /// [`RunOptions::time_limit`](crate::sequencer::RunOptions::time_limit).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Seconds>,
    /// [`RunOptions::test_timeout`](crate::sequencer::RunOptions::test_timeout).
    pub test_timeout: Seconds,
    /// [`RunOptions::retries`](crate::sequencer::RunOptions::retries).
    pub retries: u32,
    /// [`RunOptions::keep`](crate::sequencer::RunOptions::keep).
    pub keep: Keep,
}

impl RunLimits {
    /// Those of these options.
    pub(in crate::sequencer) fn of(options: &RunOptions) -> Self {
        Self {
            time_limit: options.time_limit.map(Seconds),
            test_timeout: Seconds(options.test_timeout),
            retries: options.retries,
            keep: options.keep,
        }
    }

    /// Sets the options to them.
    pub(super) fn apply(self, options: &mut RunOptions) {
        options.time_limit = self.time_limit.map(|Seconds(time)| time);
        options.test_timeout = self.test_timeout.0;
        options.retries = self.retries;
        options.keep = self.keep;
    }
}

fn is_everything(selection: &Selection) -> bool {
    *selection == Selection::default()
}

/// The sequence file of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceOrigin {
    /// Where it is, as an absolute path; `None` for one that is built into the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The BLAKE3 hash of its text.
    pub hash: String,
    /// The text, for the copy in the run folder; empty when it comes out of a journal.
    #[serde(skip)]
    pub text: String,
}

impl RunOrigin {
    /// The name of the copy of the sequence in the folder of a run.
    pub const SEQUENCE_COPY: &'static str = "sequence.xml";

    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Writes the copy of the sequence into the folder of the run.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub(crate) fn keep_copy(&self, folder: &Path) -> Result<()> {
        let Some(sequence) = self.sequence.as_ref().filter(|own| !own.text.is_empty()) else {
            return Ok(());
        };
        let path = folder.join(Self::SEQUENCE_COPY);
        let written =
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, &sequence.text));
        written.map_err(|source| Error::Io {
            action: "cannot write",
            path: path.display().to_string(),
            source,
        })
    }
}

impl SequenceOrigin {
    /// A sequence of this text in the file `path`; a relative path is made absolute, so that it is
    /// found from elsewhere.
    pub fn new(path: Option<&Path>, text: impl Into<String>) -> Self {
        let text = text.into();
        // A folder that is gone has no absolute path; as it was given is better than nothing.
        let path = path.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        Self { path, hash: Self::hash_of(&text), text }
    }

    /// What stands for a text in [`hash`](Self::hash).
    pub fn hash_of(text: &str) -> String {
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}
