//! A run by what people call it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::report::Journal;
use crate::{Error, Result};

/// The folder of the run that `name` means: a folder, `latest`, or the id of a run or the name of
/// its folder, or the beginning of either where only one run below `runs` has it.
///
/// # Errors
/// [`Error::NotFound`] with the runs that there are; [`Error::Invalid`] for a beginning that more
/// than one run has, with their names.
pub fn find_run(runs: &Path, name: &str) -> Result<PathBuf> {
    let given = Path::new(name);
    if given.join(Journal::FILE).is_file() {
        return Ok(given.to_owned());
    }
    let known = known(runs);
    let named = |run: &Known| run.name == name || run.id.as_deref() == Some(name);
    let begins = |run: &Known| {
        run.name.starts_with(name) || run.id.as_ref().is_some_and(|id| id.starts_with(name))
    };
    let mut found: Vec<&Known> = match name {
        "latest" => known.iter().max_by_key(|run| run.written).into_iter().collect(),
        _ => known.iter().filter(|run| named(run)).collect(),
    };
    if found.is_empty() && !name.is_empty() && name != "latest" {
        found = known.iter().filter(|run| begins(run)).collect();
    }
    match found.as_slice() {
        [run] => Ok(run.folder.clone()),
        [] => Err(Error::NotFound {
            kind: "run",
            name: name.to_owned(),
            known: known.into_iter().map(|run| run.name).collect(),
        }),
        several => {
            let names: Vec<_> = several.iter().map(|run| run.name.as_str()).collect();
            Err(Error::invalid(
                format!("the run {name:?}"),
                format!("more than one run begins so: {}", names.join(", ")),
            ))
        }
    }
}

struct Known {
    folder: PathBuf,
    name: String,
    id: Option<String>,
    written: Option<SystemTime>,
}

fn known(runs: &Path) -> Vec<Known> {
    // A folder that cannot be read has no runs for us; the error names what there is: nothing.
    let Ok(entries) = std::fs::read_dir(runs) else { return Vec::new() };
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut known: Vec<Known> = folders
        .filter_map(|folder| {
            let journal = folder.join(Journal::FILE);
            let written = journal.metadata().ok()?.modified().ok();
            let name = folder.file_name()?.to_string_lossy().into_owned();
            Some(Known { id: id_of(&journal), folder, name, written })
        })
        .collect();
    known.sort_by(|a, b| a.name.cmp(&b.name));
    known
}

/// The id of the run, from the beginning of its first event: the rest of that lists its tests,
/// which may be megabytes.
fn id_of(journal: &Path) -> Option<String> {
    const MOST: u64 = 512;
    let mut begin = Vec::new();
    std::fs::File::open(journal).ok()?.take(MOST).read_to_end(&mut begin).ok()?;
    let begin = String::from_utf8_lossy(&begin);
    let (_, id) = begin.split_once(r#""event":"run_started","run":""#)?;
    let (id, _) = id.split_once('"')?;
    Some(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(runs: &Path, name: &str, id: &str) {
        let folder = runs.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let event = crate::sequencer::Event {
            number: 0,
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
            test: None,
            what: crate::sequencer::EventKind::RunStarted {
                run: crate::sequencer::RunId(id.parse().unwrap()),
                version: String::new(),
                sequence: String::new(),
                lab: String::new(),
                tests: Vec::new().into(),
                origin: Box::default(),
            },
        };
        let line = serde_json::to_string(&event).unwrap();
        std::fs::write(folder.join(Journal::FILE), line + "\n").unwrap();
    }

    #[test]
    fn a_run_has_many_names() {
        let runs = tempfile::tempdir().unwrap();
        let runs = runs.path();
        run(runs, "20260101-100000", "11111111-0000-4000-8000-000000000000");
        run(runs, "20260102-100000", "12222222-0000-4000-8000-000000000000");
        let found =
            |name: &str| find_run(runs, name).map(|folder| folder.file_name().unwrap().to_owned());
        for name in [
            "20260101-100000",
            "20260101",
            "11",
            "11111111-0000-4000-8000-000000000000",
            &runs.join("20260101-100000").display().to_string(),
        ] {
            assert_eq!(found(name).unwrap(), "20260101-100000", "{name}");
        }
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        let journal = runs.join("20260101-100000").join(Journal::FILE);
        let journal = std::fs::File::options().append(true).open(journal).unwrap();
        journal.set_modified(later).unwrap();
        assert_eq!(found("latest").unwrap(), "20260101-100000");
        insta::assert_snapshot!(found("1").unwrap_err());
        insta::assert_snapshot!(found("2027").unwrap_err());
        insta::assert_snapshot!(found("").unwrap_err());
        assert!(find_run(&runs.join("none"), "latest").is_err());
    }
}
