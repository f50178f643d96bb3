//! Frozen hosts on disk.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{IoContext as _, LabError, Result};

/// Raised when snapshots of older versions of this crate do not fit any more.
pub(crate) const SNAPSHOT_VERSION: u32 = 1;

const MANIFEST: &str = "manifest.json";
pub(crate) const RAM: &str = "ram";
pub(crate) const STATE: &str = "state";
pub(crate) const DISK: &str = "disk.qcow2";

/// What a snapshot holds, as it was when it was complete.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// Name and size of each file.
    files: Vec<(String, u64)>,
    /// Hash of the device state, the smallest of them and the one that QEMU checks the least.
    state_hash: String,
    /// What the disk lies on. It is named in the disk's header, so a cache that was moved is unusable.
    backing: PathBuf,
}

/// A snapshot that was found whole.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    directory: PathBuf,
}

impl Snapshot {
    /// Completes the snapshot in `directory`, whose files are all there, and moves it to `place`.
    pub(crate) fn publish(directory: &Path, backing: &Path, place: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for name in [RAM, STATE, DISK] {
            let path = directory.join(name);
            files.push((name.to_owned(), fs::metadata(&path).io("look at", &path)?.len()));
        }
        let manifest = Manifest {
            files,
            state_hash: hash(&directory.join(STATE))?,
            backing: backing.to_owned(),
        };
        let path = directory.join(MANIFEST);
        fs::write(&path, serde_json::json!(manifest).to_string()).io("write", &path)?;
        // What was there is damaged, or there would have been no reason to make another.
        if place.exists() {
            fs::remove_dir_all(place).io("remove", place)?;
        }
        fs::rename(directory, place).io("publish", place)?;
        Ok(Self { directory: place.to_owned() })
    }

    /// The snapshot in `directory`, if there is one.
    ///
    /// # Errors
    ///
    /// [`LabError::Damaged`] when there is one, but not as it was written.
    pub(crate) fn open(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(MANIFEST);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.io("read", &path)?,
        };
        let damaged = |why: String| LabError::Damaged { path: directory.to_owned(), why };
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        for (name, size) in &manifest.files {
            match fs::metadata(directory.join(name)) {
                Ok(file) if file.len() == *size => {}
                Ok(file) => {
                    return Err(damaged(format!("{name} has {} bytes, not {size}", file.len())));
                }
                Err(error) => return Err(damaged(format!("{name}: {error}"))),
            }
        }
        if !manifest.backing.exists() {
            return Err(damaged(format!("its disk needs {}", manifest.backing.display())));
        }
        if hash(&directory.join(STATE))? != manifest.state_hash {
            return Err(damaged(format!("{STATE} has changed")));
        }
        Ok(Some(Self { directory: directory.to_owned() }))
    }

    pub(crate) fn ram(&self) -> PathBuf {
        self.directory.join(RAM)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.join(STATE)
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.join(DISK)
    }
}

fn hash(path: &Path) -> Result<String> {
    Ok(blake3::hash(&fs::read(path).io("read", path)?).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(parent: &Path) -> PathBuf {
        let (work, place) = (parent.join("work"), parent.join("place"));
        fs::create_dir(&work).unwrap();
        for name in [RAM, STATE, DISK] {
            fs::write(work.join(name), name).unwrap();
        }
        Snapshot::publish(&work, parent, &place).unwrap();
        place
    }

    #[test]
    fn a_whole_snapshot_opens() {
        let parent = tempfile::tempdir().unwrap();
        assert!(Snapshot::open(&snapshot(parent.path())).unwrap().is_some());
        assert!(Snapshot::open(&parent.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn damage_is_seen() {
        for damage in [
            |place: &Path| fs::write(place.join(RAM), "").unwrap(),
            |place: &Path| fs::remove_file(place.join(DISK)).unwrap(),
            |place: &Path| fs::write(place.join(STATE), "stale").unwrap(),
            |place: &Path| fs::write(place.join(MANIFEST), "{").unwrap(),
        ] {
            let parent = tempfile::tempdir().unwrap();
            let place = snapshot(parent.path());
            damage(&place);
            assert!(matches!(Snapshot::open(&place), Err(LabError::Damaged { .. })));
        }
    }
}
