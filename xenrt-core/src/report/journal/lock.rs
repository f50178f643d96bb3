//! One process at a time in the folder of a run.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::Error;

/// The right to write into the folder of a run. It is a lock of the system (flock(2)) on a file in
/// it, which ends with the process that holds it, however that ends.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

/// Why a folder cannot be locked.
#[derive(Debug)]
pub(crate) enum LockProblem {
    /// Another process is at work in it; its number, where that can be read.
    Busy(Option<u32>),
    /// The file of the lock cannot be made or locked.
    Io(PathBuf, std::io::Error),
}

impl FolderLock {
    const FILE: &'static str = "run.lock";

    /// Locks `folder`, which is made where it is not there.
    pub(crate) fn take(folder: &Path) -> Result<Self, LockProblem> {
        let path = folder.join(Self::FILE);
        let io = |error| LockProblem::Io(path.clone(), error);
        std::fs::create_dir_all(folder).map_err(io)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who it is helps, and is not needed.
                let _ = file.read_to_string(&mut holder);
                return Err(LockProblem::Busy(holder.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        // Where there is no room for the number, the lock holds all the same.
        let _ = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

impl LockProblem {
    /// The same as an error about `folder`.
    pub(crate) fn into_error(self, folder: &Path) -> Error {
        match self {
            Self::Busy(holder) => Error::invalid(
                format!("the run folder {}", folder.display()),
                match holder {
                    Some(pid) => format!("process {pid} is at work in it; wait for its end"),
                    None => "another process is at work in it; wait for its end".to_owned(),
                },
            ),
            Self::Io(path, source) => Error::Io {
                action: "cannot make the journal's lock",
                path: path.display().to_string(),
                source,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        let error = FolderLock::take(folder.path()).unwrap_err().into_error(folder.path());
        let said = format!("process {} is at work", std::process::id());
        assert!(error.to_string().contains(&said), "{error}");
        drop(lock);
        FolderLock::take(folder.path()).unwrap();
    }
}
