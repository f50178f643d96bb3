//! Where the files come from that a sequence names: `<include filename>` and `<script filename>`.

use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Gives the text of a file that a sequence names. Nothing else is read for a sequence.
pub trait Loader: fmt::Debug + Send + Sync {
    /// The file called `name`: its text, and a name that is the same whenever it is the same file,
    /// by which circles are found and which diagnostics show.
    ///
    /// # Errors
    /// Why there is none; [`io::ErrorKind::NotFound`] where there is no such file.
    fn load(&self, name: &str, most_bytes: usize) -> io::Result<LoadedFile>;
}

/// A file of a [`Loader`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedFile {
    /// Its name.
    pub name: String,
    /// Its bytes, which should be UTF-8.
    pub bytes: Vec<u8>,
}

/// Files below some folders, the first folder that has it first, and nothing outside of them:
/// neither absolute names nor `..` nor links that lead out.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    folders: Vec<PathBuf>,
}

impl Folders {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also this one, after those that were given before.
    #[must_use]
    pub fn with(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }
}

impl Loader for Folders {
    fn load(&self, name: &str, most_bytes: usize) -> io::Result<LoadedFile> {
        use io::Read as _;
        let path = Path::new(name);
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if !path.components().all(inside) || path.as_os_str().is_empty() {
            let message = "only a name below the folders of sequences is read";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        for folder in &self.folders {
            let folder = match folder.canonicalize() {
                Ok(folder) => folder,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let file = match folder.join(path).canonicalize() {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if !file.starts_with(&folder) {
                let message = "it is a link that leads out of the folders of sequences";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
            }
            if !file.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
            }
            let mut bytes = Vec::new();
            let most = u64::try_from(most_bytes).unwrap_or(u64::MAX).saturating_add(1);
            std::fs::File::open(&file)?.take(most).read_to_end(&mut bytes)?;
            return Ok(LoadedFile { name: file.display().to_string(), bytes });
        }
        let known: Vec<_> =
            self.folders.iter().map(|folder| folder.display().to_string()).collect();
        let message = if known.is_empty() {
            String::from("there is no folder of sequences to look in")
        } else {
            format!("it is not in {}", known.join(" nor in "))
        };
        Err(io::Error::new(io::ErrorKind::NotFound, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_of_the_folders_is_read() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("seqs");
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        std::fs::write(outer.path().join("secret"), "s").unwrap();
        std::fs::write(folder.join("sub/a.seq"), "a").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret"), folder.join("link")).unwrap();
        let folders = Folders::new().with("/nowhere/at/all").with(&folder);
        assert_eq!(folders.load("sub/a.seq", 100).unwrap().bytes, b"a");
        let secret = outer.path().join("secret").display().to_string();
        for name in ["../secret", &secret, "link", "sub/../../secret", ""] {
            let error = folders.load(name, 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{name}: {error}");
        }
        assert_eq!(folders.load("b", 100).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(folders.load("sub", 100).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
