//! Remembering what apt said.
//!
//! Asking apt takes three seconds, more than bringing back a host. What it says can only change with
//! its configuration, its lists or the installed packages, so the answer is kept together with the
//! times of those files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::sources::Sources;

/// What decides apt's answers.
const WATCHED: &[&str] = &[
    "/etc/os-release",
    "/etc/apt",
    "/etc/apt/apt.conf.d",
    "/etc/apt/preferences.d",
    "/etc/apt/sources.list.d",
    "/var/lib/apt/lists",
    "/var/lib/dpkg/status",
];

/// Packages with their versions.
pub(super) type Versions = Vec<(String, String)>;

/// What apt said, for dom0 and for the guest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answers {
    pub(super) sources: Sources,
    pub(super) dom0: Versions,
    pub(super) guest: Versions,
}

#[derive(Serialize, Deserialize)]
struct Memo {
    /// Hash of the question, and of what decides the answer.
    about: String,
    answers: Answers,
}

/// A hash of `question` and of the state of apt on this machine.
pub(super) fn about(question: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(question.as_bytes());
    let mut add = |path: &Path| {
        if let Ok(file) = fs::metadata(path) {
            let (seconds, nanoseconds) = (file.mtime(), file.mtime_nsec());
            let line = format!("{} {seconds}.{nanoseconds} {}\n", path.display(), file.size());
            hasher.update(line.as_bytes());
        }
    };
    for watched in WATCHED.iter().map(Path::new) {
        add(watched);
        let Ok(entries) = fs::read_dir(watched) else { continue };
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        files.iter().for_each(|file| add(file));
    }
    hasher.finalize().to_hex().to_string()
}

/// What apt said about the same in the same state, if that is remembered in `file`.
pub(super) fn recall(file: &Path, about: &str) -> Option<Answers> {
    let memo: Memo = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (memo.about == about).then_some(memo.answers)
}

/// Remembers an answer. If that fails, apt is asked again next time.
pub(super) fn remember(file: &Path, about: String, answers: Answers) {
    let text = serde_json::json!(Memo { about, answers }).to_string();
    // Complete or absent, also when two programs remember at once.
    let half = file.with_extension(std::process::id().to_string());
    if fs::write(&half, text).and_then(|()| fs::rename(&half, file)).is_err() {
        tracing::debug!(target: "xenrt_lab", file = %file.display(), "cannot remember apt's answers");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_recalled_for_the_same_question_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("apt.json");
        let sources = Sources { release: "r".into(), lines: vec![] };
        let answers = Answers { sources, dom0: vec![("a".into(), "1".into())], guest: vec![] };
        let question = about("packages");
        assert_eq!(question, about("packages"));
        assert!(recall(&file, &question).is_none());
        remember(&file, question.clone(), answers);
        assert_eq!(recall(&file, &question).unwrap().dom0[0].1, "1");
        assert!(recall(&file, &about("other packages")).is_none());
    }
}
