//! The lab of the tests of a program, one test at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xenrt_core::lab::{LabFile, LabFileProvider, LabProvider};

use super::Error;

/// Where the hosts come from.
#[derive(Debug, Clone)]
pub(super) enum Lab {
    None,
    File(PathBuf),
    Virtual,
}

impl Lab {
    pub(super) fn from_environment() -> Self {
        match std::env::var_os("XENRT_LAB") {
            None => Self::Virtual,
            Some(name) if name == "none" => Self::None,
            Some(file) => Self::File(file.into()),
        }
    }

    pub(super) fn has_hosts(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Who gives its hosts; `None` where it has none.
    pub(super) fn provider(&self) -> Result<Option<Arc<dyn LabProvider>>, Error> {
        match self {
            Self::None => Ok(None),
            Self::File(path) => {
                let lab = LabFile::read(path)?;
                let name = path.display().to_string();
                Ok(Some(Arc::new(LabFileProvider::new(lab, name, toolstacks()))))
            }
            Self::Virtual => virtual_lab().map(Some),
        }
    }

    /// Waits until no other test is at work in it, and keeps others out until the result is dropped
    /// or this process ends, however that ends.
    pub(super) fn lock(&self) -> Result<Option<File>, Error> {
        let path = match self {
            Self::None => return Ok(None),
            // The file of the lab itself: whoever uses the same lab uses the same file.
            Self::File(path) => path.clone(),
            Self::Virtual => virtual_lock()?,
        };
        lock(&path).map(Some)
    }
}

/// Locks a file, and says so where it has to wait.
fn lock(path: &Path) -> Result<File, Error> {
    let shown = path.display();
    let cannot = |error| format!("cannot lock the lab {shown}: {error}");
    let file = File::open(path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(cannot(error).into()),
    }
    eprintln!("waiting for the lab {shown}, which another test uses");
    file.lock().map_err(cannot)?;
    Ok(file)
}

/// All that this crate was built with.
fn toolstacks() -> Vec<Arc<dyn xenrt_core::model::Toolstack>> {
    vec![
        #[cfg(feature = "xl")]
        Arc::new(xenrt_xl::XlToolstack::default()),
        #[cfg(feature = "xapi")]
        Arc::new(xenrt_xapi::XapiToolstack::default()),
        #[cfg(feature = "libvirt")]
        Arc::new(xenrt_libvirt::LibvirtToolstack::default()),
    ]
}

#[cfg(feature = "lab")]
fn virtual_lab() -> Result<Arc<dyn LabProvider>, Error> {
    Ok(Arc::new(crate::virtual_lab::VirtualLabProvider::new()))
}

/// A file beside the images. One virtual host takes what a machine can give; two at the same time
/// only wait for one another.
#[cfg(feature = "lab")]
fn virtual_lock() -> Result<PathBuf, Error> {
    let folder = xenrt_lab::default_cache_dir();
    let path = folder.join("harness.lock");
    let made = std::fs::create_dir_all(&folder)
        .and_then(|()| File::options().append(true).create(true).open(&path));
    made.map_err(|error| format!("cannot make {}: {error}", path.display()))?;
    Ok(path)
}

#[cfg(not(feature = "lab"))]
fn virtual_lab() -> Result<Arc<dyn LabProvider>, Error> {
    Err(NO_LAB.into())
}

#[cfg(not(feature = "lab"))]
fn virtual_lock() -> Result<PathBuf, Error> {
    Err(NO_LAB.into())
}

#[cfg(not(feature = "lab"))]
const NO_LAB: &str = "this program was built without the virtual lab (feature `lab`); \
                      name a lab file in XENRT_LAB";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_test_at_a_time_is_at_work_in_a_lab() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lab = Lab::File(file.path().to_owned());
        let first = lab.lock().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            let lock = lab.lock().unwrap();
            sender.send(()).unwrap();
            drop(lock);
        });
        let short = std::time::Duration::from_millis(100);
        assert!(receiver.recv_timeout(short).is_err(), "two have the lab");
        drop(first);
        second.join().unwrap();
        receiver.recv().unwrap();
    }
}
