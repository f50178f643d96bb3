//! Making snapshots: a cold boot, a preparation, a freeze.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::host::{BOOTING, VirtualHost};
use super::preparation::Preparation;
use super::profile::Profile;
use super::run::RunDirectory;
use super::snapshot::{DISK, RAM, SNAPSHOT_VERSION, STATE, Snapshot};
use crate::error::{IoContext as _, LabError, Result};
use crate::images::Images;
use crate::machine::{ImageFormat, Machine, create_overlay, virtual_size};
use crate::paths::Lock;
use crate::process::Spawner;
use crate::progress::{Progress, Task};
use crate::tools::{Tools, free_mib};
use crate::wait::run;

/// What a snapshot may take on disk: the memory that was touched, the state and the changed disk.
const SNAPSHOT_MIB: u64 = 2500;

/// How long another program may take over a snapshot.
const MAKING: Duration = Duration::from_secs(20 * 60);

/// The prefix of a directory in which a snapshot is made.
const UNFINISHED: &str = "making-";

type MakeHost<'a> = dyn Fn(Machine, Arc<RunDirectory>) -> Result<VirtualHost> + Send + Sync + 'a;

/// The cache of snapshots, and all that is needed to fill it.
pub(super) struct Snapshots<'a> {
    pub(super) directory: PathBuf,
    pub(super) runs: &'a Path,
    pub(super) tools: &'a Tools,
    pub(super) spawner: &'a Spawner,
    pub(super) profile: Profile,
    pub(super) progress: &'a Progress,
    pub(super) images: &'a Images,
    /// Wraps a machine that is the only one of its run.
    pub(super) host: Box<MakeHost<'a>>,
}

impl Snapshots<'_> {
    /// The snapshot of a host with that preparation: found, or made now.
    pub(super) async fn get(&self, preparation: Option<&Preparation>) -> Result<Snapshot> {
        let base_key = self.base_key();
        let key = preparation.map_or_else(|| base_key.clone(), |it| derived_key(&base_key, it));
        if let Some(snapshot) = self.find(&key) {
            return Ok(snapshot);
        }
        fs::create_dir_all(&self.directory).io("create", &self.directory)?;
        let lock = self.directory.join("lock");
        let _lock = Lock::take(&lock, MAKING, || {
            tracing::info!(target: "xenrt_lab", "waiting for another program's snapshot");
        })
        .await?;
        self.clean_up()?;
        let base = match self.find(&base_key) {
            Some(base) => base,
            None => self.make_base(&base_key).await?,
        };
        match preparation {
            None => Ok(base),
            Some(preparation) => match self.find(&key) {
                Some(snapshot) => Ok(snapshot),
                None => self.make_prepared(&key, &base, preparation).await,
            },
        }
    }

    /// A snapshot that is whole. A damaged one counts as absent, and is made again.
    fn find(&self, key: &str) -> Option<Snapshot> {
        Snapshot::open(&self.directory.join(key)).unwrap_or_else(|error| {
            tracing::warn!(target: "xenrt_lab", %error, "a snapshot is made again");
            None
        })
    }

    fn base_key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&SNAPSHOT_VERSION.to_le_bytes());
        hasher.update(self.images.key().as_bytes());
        hasher.update(self.profile.fingerprint(self.images).as_bytes());
        hasher.update(self.tools.qemu_version.as_bytes());
        hasher.finalize().to_hex()[..20].to_owned()
    }

    /// Boots a host from its images and freezes it.
    async fn make_base(&self, key: &str) -> Result<Snapshot> {
        let task = self.progress.begin(Task::ColdBoot);
        let work = self.work_directory()?;
        let backing = self.images.disk();
        let size = virtual_size(&backing, ImageFormat::Raw)?;
        create_overlay(&work.path().join(DISK), &backing, ImageFormat::Raw, size)?;
        let host = self.start(work.path(), None).await?;
        task.step("Xen and dom0 start", None);
        host.wait_until_booted(None).await?;
        // libvirtd starts with its first client. In the snapshot it runs, and what a test will call
        // first is in the page cache.
        task.step("libvirt starts", None);
        host.run(WARM_UP, BOOTING).await?;
        task.finish();
        self.freeze(host, work, &backing, key).await
    }

    /// Thaws a pristine host, prepares it and freezes it again.
    async fn make_prepared(
        &self,
        key: &str,
        base: &Snapshot,
        preparation: &Preparation,
    ) -> Result<Snapshot> {
        let task = self.progress.begin(Task::Prepare);
        task.step(preparation.name.clone(), None);
        let work = self.work_directory()?;
        let backing = base.disk();
        let size = virtual_size(&backing, ImageFormat::Qcow2)?;
        create_overlay(&work.path().join(DISK), &backing, ImageFormat::Qcow2, size)?;
        // This machine writes to its memory file, so it needs one of its own.
        let ram = work.path().join(RAM);
        let from = base.ram();
        let arguments: [&OsStr; 4] =
            ["--sparse=always".as_ref(), "--reflink=auto".as_ref(), from.as_ref(), ram.as_ref()];
        run(Path::new("cp"), &arguments, Duration::from_secs(120))
            .await?
            .output("copying a snapshot's memory")?;
        let host = self.start(work.path(), Some(base)).await?;
        host.settle().await?;
        let prepared = host.ssh().run(self.tools, &preparation.script, preparation.within).await?;
        prepared.output(&format!("the preparation `{}`", preparation.name))?;
        task.finish();
        self.freeze(host, work, &backing, key).await
    }

    /// Starts a machine whose memory and disk are in `work`, cold or from a snapshot.
    async fn start(&self, work: &Path, base: Option<&Snapshot>) -> Result<VirtualHost> {
        let run = Arc::new(RunDirectory::create(self.runs, false)?);
        let directory = run.path().join("host1");
        fs::create_dir_all(&directory).io("create", &directory)?;
        let name = format!("xenrt-{}-host1", run.id());
        let (ram, disk) = (work.join(RAM), work.join(DISK));
        let mut config = self.profile.machine(name, self.images, ram, true, &disk);
        config.incoming = base.is_some();
        let machine = Machine::start(self.tools, self.spawner, &directory, config, false).await?;
        if let Some(base) = base {
            machine.load_state(&base.state()).await?;
        }
        (self.host)(machine, run)
    }

    async fn freeze(
        &self,
        host: VirtualHost,
        work: tempfile::TempDir,
        backing: &Path,
        key: &str,
    ) -> Result<Snapshot> {
        let task = self.progress.begin(Task::Freeze);
        host.run("sync", Duration::from_secs(60)).await?;
        host.machine().save_state(&work.path().join(STATE)).await?;
        host.stop().await?;
        let snapshot = Snapshot::publish(work.path(), backing, &self.directory.join(key))?;
        task.finish();
        Ok(snapshot)
    }

    fn work_directory(&self) -> Result<tempfile::TempDir> {
        if let Some(free_mib) = free_mib(&self.directory).filter(|free| *free < SNAPSHOT_MIB) {
            let path = self.directory.clone();
            return Err(LabError::NoSpace { path, free_mib, needed_mib: SNAPSHOT_MIB });
        }
        tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&self.directory)
            .io("create a directory in", &self.directory)
    }

    /// Removes what somebody left who died while he made a snapshot. The lock is ours, so nobody
    /// makes one now.
    fn clean_up(&self) -> Result<()> {
        for entry in fs::read_dir(&self.directory).io("read", &self.directory)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_dir_all(entry.path()).io("remove", entry.path())?;
            }
        }
        Ok(())
    }

    /// The names of the snapshots in `directory` whose disks still lie on something.
    pub(super) fn usable(directory: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
        entries
            .flatten()
            .filter(|entry| matches!(Snapshot::open(&entry.path()), Ok(Some(_))))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }
}

/// What runs once in a booted host before it is frozen.
const WARM_UP: &str = "virsh -c xen:///system version > /dev/null && xl info > /dev/null";

fn derived_key(base: &str, preparation: &Preparation) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(base.as_bytes());
    hasher.update(preparation.script.as_bytes());
    hasher.finalize().to_hex()[..20].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::GuestKind;

    #[test]
    fn another_script_is_another_snapshot() {
        let key = |kind| derived_key("base", &Preparation::live_guest(kind));
        assert_ne!(key(GuestKind::Pv), key(GuestKind::Pvh));
        let renamed = Preparation { name: "x".into(), ..Preparation::live_guest(GuestKind::Pv) };
        assert_eq!(key(GuestKind::Pv), derived_key("base", &renamed));
    }
}
