//! Run directories: what is running, who started it, and how it ends when that somebody is dead.
//!
//! ```text
//! RUN/1234-567890-0/owner.json           who started this group of hosts
//! RUN/1234-567890-0/host1/machine.json   its QEMU: written before that starts
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use crate::error::{IoContext as _, LabError, Result};
use crate::machine::{MachineDirectory, RECORD};
use crate::process::ProcessId;

const OWNER: &str = "owner.json";

/// Who started a group of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    process: ProcessId,
    /// Whether the hosts are to outlive their owner.
    detached: bool,
}

/// The directory of one group of hosts. Dropping it removes it, unless the group is detached; its
/// machines must have ended by then.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    path: PathBuf,
    detached: bool,
}

impl RunDirectory {
    pub(crate) fn create(parent: &Path, detached: bool) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let process = ProcessId::current().ok_or_else(|| LabError::Damaged {
            path: "/proc/self/stat".into(),
            why: "it cannot be read".into(),
        })?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{}-{}-{number}", process.pid, process.start));
        fs::create_dir_all(&path).io("create", &path)?;
        let run = Self { path, detached };
        let owner = serde_json::json!(Owner { process, detached }).to_string();
        // Complete or absent: a reaper that sees half a file would not know whose it is.
        let (half, whole) = (run.path.join("owner.new"), run.path.join(OWNER));
        fs::write(&half, owner).io("write", &half)?;
        fs::rename(&half, &whole).io("write", &whole)?;
        Ok(run)
    }

    /// Takes up a group that was left running.
    pub(crate) fn attach(path: PathBuf) -> Self {
        Self { path, detached: true }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The group's name: different for every group.
    pub(crate) fn id(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if !self.detached {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A group of hosts that somebody has started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningLab {
    /// Its name.
    pub id: String,
    /// Whether it was started to outlive its owner.
    pub detached: bool,
    /// Whether the program that started it is alive.
    pub owner_alive: bool,
    /// The names of its hosts, and the process ids of those whose QEMU is alive.
    pub hosts: Vec<(String, Option<i32>)>,
}

/// All groups below a run directory, the oldest first.
pub(crate) fn list(parent: &Path) -> Vec<RunningLab> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut labs: Vec<RunningLab> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| {
            let owner: Option<Owner> = fs::read(entry.path().join(OWNER))
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok());
            // No owner yet: somebody is creating it right now, or died while doing so.
            let created_by =
                owner.map(|owner| owner.process).or_else(|| named(&entry.file_name()))?;
            Some(RunningLab {
                id: entry.file_name().to_string_lossy().into_owned(),
                detached: owner.is_some_and(|owner| owner.detached),
                owner_alive: created_by.is_alive(),
                hosts: machines(&entry.path())
                    .into_iter()
                    .map(|(name, machine)| (name, machine.process().map(|process| process.pid)))
                    .collect(),
            })
        })
        .collect();
    labs.sort_by(|a, b| a.id.cmp(&b.id));
    labs
}

/// The process in the name of a run directory.
fn named(name: &std::ffi::OsStr) -> Option<ProcessId> {
    let mut parts = name.to_str()?.split('-');
    Some(ProcessId { pid: parts.next()?.parse().ok()?, start: parts.next()?.parse().ok()? })
}

fn machines(run: &Path) -> Vec<(String, MachineDirectory)> {
    let Ok(entries) = fs::read_dir(run) else { return Vec::new() };
    let mut machines: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().join(RECORD).exists())
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), MachineDirectory(entry.path()))
        })
        .collect();
    machines.sort_by(|a, b| a.0.cmp(&b.0));
    machines
}

/// Ends every machine of a group and removes its directory.
pub(crate) fn end(parent: &Path, id: &str) -> Result<()> {
    let path = parent.join(id);
    for (_, machine) in machines(&path) {
        machine.end()?;
    }
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.io("remove", &path),
    }
}

/// Ends the groups whose owner is dead and that were not meant to outlive it, and removes what is left
/// of detached ones whose machines have all ended. Returns their names.
pub(crate) fn reap(parent: &Path) -> Result<Vec<String>> {
    let mut reaped = Vec::new();
    for lab in list(parent) {
        let empty = lab.hosts.iter().all(|(_, pid)| pid.is_none());
        if !lab.owner_alive && (!lab.detached || empty) {
            end(parent, &lab.id)?;
            reaped.push(lab.id);
        }
    }
    Ok(reaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_of_a_dead_owner_is_reaped_and_no_other() {
        let parent = tempfile::tempdir().unwrap();
        let mine = RunDirectory::create(parent.path(), false).unwrap();
        let dead = parent.path().join("999999999-1-0");
        fs::create_dir(&dead).unwrap();
        assert_eq!(reap(parent.path()).unwrap(), ["999999999-1-0"]);
        assert!(!dead.exists());
        assert!(mine.path().exists());
        assert_eq!(list(parent.path()).len(), 1);
        let path = mine.path().to_owned();
        drop(mine);
        assert!(!path.exists());
    }
}
