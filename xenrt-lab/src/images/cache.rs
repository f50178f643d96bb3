//! The cache of images.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::build::{FILES, build};
use super::keys::Keys;
use super::recipe::Recipe;
use crate::error::{IoContext as _, LabError, Result};
use crate::paths::Lock;
use crate::process::Spawner;
use crate::progress::{Progress, Task};
use crate::tools::{Tools, free_mib};

/// What a build needs at its peak: two unpacked roots and their images.
const BUILD_MIB: u64 = 3000;

/// How long to wait for another program that builds.
const BUILDING: Duration = Duration::from_secs(45 * 60);

/// A complete set of images.
#[derive(Clone, Debug)]
pub struct Images {
    directory: PathBuf,
    key: String,
}

impl Images {
    /// The hypervisor, for QEMU's `-kernel`.
    pub fn hypervisor(&self) -> PathBuf {
        self.directory.join("xen")
    }

    /// dom0's kernel.
    pub fn kernel(&self) -> PathBuf {
        self.directory.join("vmlinux")
    }

    /// The same kernel as firmware and boot loaders read it (bzImage, with an EFI stub).
    pub fn boot_kernel(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// dom0's initramfs.
    pub fn initrd(&self) -> PathBuf {
        self.directory.join("dom0.initrd")
    }

    /// dom0's disk, a raw image that is never written to.
    pub fn disk(&self) -> PathBuf {
        self.directory.join("dom0.raw")
    }

    /// The initramfs of the tiny guest for QEMU's own devices; its kernel is [that of
    /// dom0](Self::kernel).
    pub fn guest_of_qemu(&self) -> PathBuf {
        self.directory.join("tiny-qemu.initrd")
    }

    /// The hash of everything that went into the images.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Builds images, or finds them built.
#[derive(Debug)]
pub struct ImageStore<'a> {
    directory: PathBuf,
    tools: &'a Tools,
    spawner: &'a Spawner,
    keys: &'a Keys,
}

impl<'a> ImageStore<'a> {
    pub(crate) fn new(
        cache: &Path,
        tools: &'a Tools,
        spawner: &'a Spawner,
        keys: &'a Keys,
    ) -> Self {
        Self { directory: cache.join("images"), tools, spawner, keys }
    }

    /// The images for this machine's Debian release: built now, or earlier from the same input.
    ///
    /// # Errors
    ///
    /// apt's sources are unusable, the disk is too full, or the build fails.
    pub async fn get(&self, progress: &Progress) -> Result<Images> {
        fs::create_dir_all(&self.directory).io("create", &self.directory)?;
        let recipe = self.recipe().await?;
        if let Some(images) = self.find(&recipe.key) {
            return Ok(images);
        }
        let task = progress.begin(Task::BuildImages);
        let lock = self.directory.join("lock");
        let _lock = Lock::take(&lock, BUILDING, || {
            task.step("waiting for another program that builds them", None);
        })
        .await?;
        if let Some(images) = self.find(&recipe.key) {
            task.finish();
            return Ok(images);
        }
        self.check_space()?;
        // Whoever held the lock before may have died in the middle.
        for entry in fs::read_dir(&self.directory).io("read", &self.directory)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("building-") {
                fs::remove_dir_all(entry.path()).io("remove", entry.path())?;
            }
        }
        let work = tempfile::Builder::new()
            .prefix("building-")
            .tempdir_in(&self.directory)
            .io("create a directory in", &self.directory)?;
        let built = build(self.tools, self.spawner, &recipe, self.keys, work.path(), &task).await?;
        let place = self.directory.join(&recipe.key);
        if place.exists() {
            fs::remove_dir_all(&place).io("remove", &place)?;
        }
        fs::rename(&built, &place).io("publish", &place)?;
        task.finish();
        self.find(&recipe.key).ok_or_else(|| LabError::Damaged {
            path: place,
            why: "it disappeared after the build".into(),
        })
    }

    /// The key that images built now would have.
    pub(crate) async fn current_key(&self) -> Result<String> {
        Ok(self.recipe().await?.key)
    }

    async fn recipe(&self) -> Result<Recipe> {
        Recipe::find(self.tools, self.keys, &self.directory.join("apt.json")).await
    }

    fn find(&self, key: &str) -> Option<Images> {
        let directory = self.directory.join(key);
        FILES
            .iter()
            .all(|name| directory.join(name).metadata().is_ok_and(|file| file.len() > 0))
            .then(|| Images { directory, key: key.to_owned() })
    }

    fn check_space(&self) -> Result<()> {
        match free_mib(&self.directory) {
            Some(free_mib) if free_mib < BUILD_MIB => Err(LabError::NoSpace {
                path: self.directory.clone(),
                free_mib,
                needed_mib: BUILD_MIB,
            }),
            _ => Ok(()),
        }
    }
}

/// Removes the entries of the cache in `parent` that were made longer than `older_than` ago, except
/// those named in `keep`. What is not finished yet stays. Returns how many went.
pub(crate) fn prune(parent: &Path, keep: &[&str], older_than: Duration) -> Result<usize> {
    let mut removed = 0;
    let Ok(entries) = fs::read_dir(parent) else { return Ok(0) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Somebody may be working on a directory that is not named by a key.
        let finished = name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let kept = keep.contains(&name.as_ref());
        let age = entry.metadata().ok().filter(fs::Metadata::is_dir).and_then(|directory| {
            SystemTime::now().duration_since(directory.modified().ok()?).ok()
        });
        if finished && !kept && age.is_some_and(|age| age >= older_than) {
            fs::remove_dir_all(entry.path()).io("remove", entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pruning_keeps_what_is_named() {
        let cache = tempfile::tempdir().unwrap();
        for name in ["0dd", "cab", "making-x"] {
            fs::create_dir(cache.path().join(name)).unwrap();
        }
        fs::write(cache.path().join("lock"), "").unwrap();
        assert_eq!(prune(cache.path(), &["cab"], Duration::ZERO).unwrap(), 1);
        assert!(cache.path().join("cab").exists());
        assert!(cache.path().join("making-x").exists());
        assert!(cache.path().join("lock").exists());
        assert_eq!(prune(cache.path(), &[], Duration::from_secs(3600)).unwrap(), 0);
        assert_eq!(prune(&cache.path().join("none"), &[], Duration::ZERO).unwrap(), 0);
    }
}
