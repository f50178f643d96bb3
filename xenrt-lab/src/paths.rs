//! Where the lab keeps its files.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::error::{IoContext as _, LabError, Result};
use crate::wait::{Look, wait_until};

/// Where the cache is when nobody says otherwise: `$XENRT_LAB_DIR`, else `$XDG_CACHE_HOME/xenrt`, else
/// `$HOME/.cache/xenrt`, else `/var/cache/xenrt` (a service without a home).
pub fn default_cache_dir() -> PathBuf {
    cache_dir(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn cache_dir(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    variable("XENRT_LAB_DIR")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("xenrt")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/xenrt")))
        .unwrap_or_else(|| "/var/cache/xenrt".into())
}

/// An exclusive lock between programs. It ends with this value, or with the program.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not read")] Flock<fs::File>);

impl Lock {
    /// Takes the lock; `waiting` is called once if somebody else has it.
    pub(crate) async fn take(
        path: &Path,
        within: Duration,
        waiting: impl FnOnce(),
    ) -> Result<Self> {
        let mut waiting = Some(waiting);
        let what = format!("the lock {}", path.display());
        wait_until(&what, within, Duration::from_millis(100), || {
            let attempt = Self::attempt(path);
            if matches!(attempt, Ok(None))
                && let Some(waiting) = waiting.take()
            {
                waiting();
            }
            async {
                Ok(match attempt? {
                    Some(lock) => Look::Done(lock),
                    None => Look::NotYet("another program holds it".into()),
                })
            }
        })
        .await
    }

    /// Takes the lock if nobody has it.
    pub(crate) fn attempt(path: &Path) -> Result<Option<Self>> {
        let file = fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path)
            .io("open", path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self(lock))),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => {
                Err(LabError::Io { action: "lock", path: path.to_owned(), source: errno.into() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_wins() {
        let with = |set: &'static [(&str, &str)]| {
            cache_dir(|name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
            })
        };
        assert_eq!(with(&[("HOME", "/h"), ("XENRT_LAB_DIR", "/l")]), Path::new("/l"));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Path::new("/x/xenrt"));
        assert_eq!(with(&[("HOME", "/h")]), Path::new("/h/.cache/xenrt"));
        assert_eq!(with(&[]), Path::new("/var/cache/xenrt"));
    }

    #[test]
    fn a_lock_is_exclusive_and_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = Lock::attempt(&path).unwrap();
        assert!(first.is_some());
        assert!(Lock::attempt(&path).unwrap().is_none());
        drop(first);
        assert!(Lock::attempt(&path).unwrap().is_some());
    }
}
