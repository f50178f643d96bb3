//! The private folder for control sockets, configurations and logs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

const PREFIX: &str = "xenrt-ssh-";

/// A folder that only this user can enter. It is removed when dropped; one whose process was killed
/// is removed by the next process that makes one.
#[derive(Debug)]
pub(super) struct Folder {
    folder: TempDir,
    /// Held as long as the folder is in use, also by a process that cannot say goodbye.
    _lock: Flock<File>,
}

impl Folder {
    pub(super) fn create() -> io::Result<Self> {
        let base = base();
        remove_abandoned(&base);
        // A process that starts at the same time may take the folder for abandoned before its lock
        // is held; then another one is made.
        const TRIES: usize = 3;
        let mut last = Self::create_in(&base);
        for _ in 1..TRIES {
            if last.is_ok() {
                break;
            }
            last = Self::create_in(&base);
        }
        last
    }

    fn create_in(base: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(8)
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(base)?;
        let file = File::create(folder.path().join("lock"))?;
        let lock = lock(&file)?;
        Self::is_still_there(folder.path(), &file)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Whoever took the folder for abandoned may have removed it before its lock was taken: a file
    /// that is gone can be locked too.
    fn is_still_there(folder: &Path, lock: &File) -> io::Result<()> {
        let (own, known) = (lock.metadata()?, std::fs::metadata(folder.join("lock"))?);
        match own.ino() == known.ino() && own.dev() == known.dev() {
            true => Ok(()),
            false => Err(io::Error::other("its folder was taken for an abandoned one")),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A path of a Unix socket is at most 107 bytes long (unix(7)), and ssh adds 17 while it makes one,
/// so a long `TMPDIR` will not do.
fn base() -> PathBuf {
    const LONGEST: usize = 50;
    let plain = |path: &Path| {
        path.to_str().is_some_and(|text| {
            text.len() <= LONGEST
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        })
    };
    let wanted = std::env::temp_dir();
    if wanted.is_absolute() && plain(&wanted) { wanted } else { PathBuf::from("/tmp") }
}

fn lock(file: &File) -> io::Result<Flock<File>> {
    Flock::lock(file.try_clone()?, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, error)| error.into())
}

/// Removes folders that nobody holds any more, and ends the masters in them. Most have ended by
/// themselves by then (`ControlPersist`), but not those through which a program still runs.
fn remove_abandoned(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(known) = std::fs::symlink_metadata(entry.path()) else { continue };
        if !known.is_dir() || known.uid() != nix::unistd::geteuid().as_raw() {
            continue;
        }
        // No lock file yet: a folder that is being made right now.
        let Ok(file) = File::open(entry.path().join("lock")) else { continue };
        if let Ok(_lock) = lock(&file) {
            for own in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                end_master(&own.path().join(SOCKET));
            }
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The control socket of a master, in the master's own folder.
pub(super) const SOCKET: &str = "master";

/// Tells the master behind a control socket to end, with everything that runs through it.
pub(super) fn end_master(socket: &Path) {
    // MUX_MSG_HELLO with version 4, then MUX_C_TERMINATE with request id 0 (PROTOCOL.mux).
    const GOODBYE: [u8; 24] = [
        0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 4, //
        0, 0, 0, 8, 0x10, 0, 0, 5, 0, 0, 0, 0,
    ];
    // A master drops what it has not read when the other side hangs up, so its end is waited for. It
    // answers at once, or not at all: then nothing more can be done from here.
    const PATIENCE: Duration = Duration::from_secs(1);
    let goodbye = || {
        let mut socket = UnixStream::connect(socket)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.write_all(&GOODBYE)?;
        socket.read_to_end(&mut Vec::new())
    };
    // An error says that it is gone already, or that it went before it had answered.
    let _ = goodbye();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_counts_only_while_its_file_is_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("lock")).unwrap();
        let _lock = lock(&file).unwrap();
        Folder::is_still_there(folder.path(), &file).unwrap();
        std::fs::remove_file(folder.path().join("lock")).unwrap();
        Folder::is_still_there(folder.path(), &file).unwrap_err();
        let _another = File::create(folder.path().join("lock")).unwrap();
        Folder::is_still_there(folder.path(), &file).unwrap_err();
    }

    #[test]
    fn a_folder_is_private_and_goes_when_nobody_holds_it() {
        let base = tempfile::tempdir().unwrap();
        let held = base.path().join(format!("{PREFIX}held"));
        let left = base.path().join(format!("{PREFIX}left"));
        let other = base.path().join("other");
        for folder in [&held, &left, &other] {
            std::fs::create_dir(folder).unwrap();
            File::create(folder.join("lock")).unwrap();
        }
        let _held = lock(&File::open(held.join("lock")).unwrap()).unwrap();
        remove_abandoned(base.path());
        assert!(held.exists() && other.exists() && !left.exists());

        let folder = Folder::create().unwrap();
        assert_eq!(folder.path().metadata().unwrap().mode() & 0o777, 0o700);
        assert!(folder.path().join("0/master").as_os_str().len() + 17 < 104);
    }
}
