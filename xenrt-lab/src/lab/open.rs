//! Opening a lab and asking it for hosts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;

use super::host::VirtualHost;
use super::preparation::Preparation;
use super::profile::Profile;
use super::run::{self, RunDirectory, RunningLab};
use super::snapshot::Snapshot;
use super::snapshots::Snapshots;
use super::ssh::SshAccess;
use crate::error::{IoContext as _, LabError, Result};
use crate::images::{ImageStore, Images, Keys, prune};
use crate::local::LocalHosts;
use crate::machine::{
    Accelerator, ImageFormat, Machine, best_accelerator, create_overlay, virtual_size,
};
use crate::paths::default_cache_dir;
use crate::process::Spawner;
use crate::progress::{Progress, Task};
use crate::tools::Tools;

/// The most hosts that one group can have.
pub const MAX_HOSTS: usize = 8;

/// How to open a lab.
#[derive(Clone, Debug, Default)]
pub struct LabOptions {
    /// Where images and snapshots are kept; [`default_cache_dir`] when absent. About 3 GB.
    pub cache_dir: Option<PathBuf>,
    /// Where running hosts have their files; `run` in the cache directory when absent.
    pub run_dir: Option<PathBuf>,
    /// What executes the hosts; the best that works when absent.
    pub accelerator: Option<Accelerator>,
    /// Where progress goes.
    pub progress: Progress,
}

/// Which hosts are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRequest {
    /// How many, from 1 to [`MAX_HOSTS`]. They are linked by a cable: `xenbr1`, 192.168.99.N.
    pub count: usize,
    /// What is done to a host before it is frozen; nothing when absent.
    pub preparation: Option<Preparation>,
    /// Whether they go on running when this program ends. [`VirtualLab::down`] ends them.
    pub detached: bool,
}

impl HostRequest {
    /// That many pristine hosts, which end with this program.
    pub fn new(count: usize) -> Self {
        Self { count, preparation: None, detached: false }
    }

    /// With something done to them before.
    pub fn prepared(mut self, preparation: Preparation) -> Self {
        self.preparation = Some(preparation);
        self
    }

    /// To outlive this program.
    pub fn detached(mut self) -> Self {
        self.detached = true;
        self
    }
}

/// A place where virtual Xen hosts are made.
///
/// The first host takes two or three minutes (images, a boot, a snapshot); every later one, in this
/// program or another, two or three seconds.
#[derive(Debug)]
pub struct VirtualLab {
    cache: PathBuf,
    runs: PathBuf,
    tools: Arc<Tools>,
    keys: Keys,
    spawner: Spawner,
    profile: Profile,
    progress: Progress,
}

impl VirtualLab {
    /// Opens the lab: looks for the programs it needs, makes its directories and keys, and ends what
    /// programs have left behind that are dead.
    ///
    /// # Errors
    ///
    /// [`LabError::MissingTools`], or the directories cannot be used.
    pub async fn open(options: LabOptions) -> Result<Self> {
        let tools = Tools::find().await?;
        let cache = absolute(&options.cache_dir.unwrap_or_else(default_cache_dir))?;
        let runs = options.run_dir.map_or_else(|| Ok(cache.join("run")), |run| absolute(&run))?;
        fs::create_dir_all(&runs).io("create", &runs)?;
        let keys = Keys::open(&tools, &cache.join("keys")).await?;
        for id in run::reap(&runs)? {
            tracing::info!(target: "xenrt_lab", id, "ended what a dead program had left running");
        }
        let accelerator = match options.accelerator {
            Some(accelerator) => accelerator,
            None => best_accelerator(&tools).await,
        };
        Ok(Self {
            cache,
            runs,
            tools: Arc::new(tools),
            keys,
            spawner: Spawner::new()?,
            profile: Profile { accelerator },
            progress: options.progress,
        })
    }

    /// What executes the hosts of this lab.
    pub fn accelerator(&self) -> Accelerator {
        self.profile.accelerator
    }

    /// The boot images, built now if there are none for the packages of today.
    pub async fn images(&self) -> Result<Images> {
        self.image_store().get(&self.progress).await
    }

    /// Boots or restores hosts and waits until their dom0s answer.
    ///
    /// Every host is pristine: a clone of a snapshot, whose changes go when it goes.
    ///
    /// # Errors
    ///
    /// [`LabError::HostCount`]; the images cannot be built; a host does not come up. No host stays
    /// behind then.
    pub async fn hosts(&self, request: &HostRequest) -> Result<Vec<VirtualHost>> {
        if !(1..=MAX_HOSTS).contains(&request.count) {
            return Err(LabError::HostCount { asked: request.count, most: MAX_HOSTS });
        }
        let images = self.images().await?;
        let snapshot = self.snapshots(&images).get(request.preparation.as_ref()).await?;
        let run = Arc::new(RunDirectory::create(&self.runs, request.detached)?);
        let hosts = try_join_all((1..=request.count as u8).map(|number| {
            self.restore(&images, &snapshot, Arc::clone(&run), number, request.detached)
        }))
        .await;
        let linked = match hosts {
            Ok(hosts) => link(&hosts).await.map(|()| hosts),
            Err(error) => Err(error),
        };
        if linked.is_err() && request.detached {
            // Detached machines survive their handles; half a group is of no use to anybody.
            run::end(&self.runs, &run.id())?;
        }
        linked
    }

    /// Makes hosts of libvirt with QEMU on this machine, closed off from the rest of it. Guests boot
    /// from the images of this lab.
    ///
    /// # Errors
    ///
    /// The images cannot be built, this user may not make name spaces, or a daemon does not come up.
    pub async fn local_hosts(&self, count: usize) -> Result<LocalHosts> {
        let images = self.images().await?;
        LocalHosts::start(&images, &self.keys.login(), self.profile.accelerator, count).await
    }

    async fn restore(
        &self,
        images: &Images,
        snapshot: &Snapshot,
        run: Arc<RunDirectory>,
        number: u8,
        detached: bool,
    ) -> Result<VirtualHost> {
        let task = self.progress.begin(Task::Restore(format!("xenhost{number}")));
        let directory = run.path().join(format!("host{number}"));
        fs::create_dir_all(&directory).io("create", &directory)?;
        let disk = directory.join("disk.qcow2");
        let base = snapshot.disk();
        let size = virtual_size(&base, ImageFormat::Qcow2)?;
        create_overlay(&disk, &base, ImageFormat::Qcow2, size)?;
        let name = format!("xenrt-{}-host{number}", run.id());
        let mut config = self.profile.machine(name, images, snapshot.ram(), false, &disk);
        config.incoming = true;
        let machine =
            Machine::start(&self.tools, &self.spawner, &directory, config, detached).await?;
        machine.load_state(&snapshot.state()).await?;
        task.step("the machine runs", Some(50));
        let host = self.host(machine, run, number)?;
        host.settle().await?;
        task.finish();
        Ok(host)
    }

    /// A host around a machine whose dom0 answers, or will.
    fn host(&self, machine: Machine, run: Arc<RunDirectory>, number: u8) -> Result<VirtualHost> {
        let known = run.path().join(format!("host{number}")).join("known_hosts");
        let port = machine.ssh_port();
        fs::write(&known, self.keys.known_hosts(port)?).io("write", &known)?;
        let ssh = SshAccess::new(port, self.keys.login(), known);
        let (tools, progress) = (Arc::clone(&self.tools), self.progress.clone());
        Ok(VirtualHost::new(machine, run, number, ssh, tools, progress))
    }

    fn image_store(&self) -> ImageStore<'_> {
        ImageStore::new(&self.cache, &self.tools, &self.spawner, &self.keys)
    }

    fn snapshots<'a>(&'a self, images: &'a Images) -> Snapshots<'a> {
        Snapshots {
            directory: self.cache.join("snapshots"),
            runs: &self.runs,
            tools: &self.tools,
            spawner: &self.spawner,
            profile: self.profile,
            progress: &self.progress,
            images,
            host: Box::new(|machine, run| self.host(machine, run, 1)),
        }
    }

    /// The groups of hosts that run in this lab's run directory, whoever started them.
    pub fn running(&self) -> Vec<RunningLab> {
        run::list(&self.runs)
    }

    /// Takes up a detached group: handles to its hosts. Dropping them leaves the hosts running.
    ///
    /// # Errors
    ///
    /// [`LabError::NotRunning`] when there is no such group, or one of its machines has ended.
    pub async fn attach(&self, id: &str) -> Result<Vec<VirtualHost>> {
        let path = self.runs.join(id);
        let lab = self.running().into_iter().find(|lab| lab.id == id && lab.detached);
        let lab = lab.ok_or_else(|| LabError::NotRunning(id.to_owned()))?;
        let run = Arc::new(RunDirectory::attach(path));
        let mut hosts = Vec::new();
        for (name, _) in lab.hosts {
            let number = name.strip_prefix("host").and_then(|number| number.parse().ok());
            let number = number.ok_or_else(|| LabError::NotRunning(name.clone()))?;
            let machine = Machine::attach(&run.path().join(&name)).await?;
            hosts.push(self.host(machine, Arc::clone(&run), number)?);
        }
        Ok(hosts)
    }

    /// Ends a group of hosts by its name, whoever started it.
    pub fn down(&self, id: &str) -> Result<()> {
        if !self.running().iter().any(|lab| lab.id == id) {
            return Err(LabError::NotRunning(id.to_owned()));
        }
        run::end(&self.runs, id)
    }

    /// Ends what programs have left behind that are dead; [`open`](Self::open) does this too. Detached
    /// groups stay. Returns the names of the groups that went.
    pub fn reap(&self) -> Result<Vec<String>> {
        run::reap(&self.runs)
    }

    /// Removes images and snapshots that were made longer than `older_than` ago and do not belong to
    /// the packages of today. Hosts that run from them are not disturbed. Returns how many went.
    pub async fn prune(&self, older_than: Duration) -> Result<usize> {
        let keys = self.image_store().current_key().await?;
        let images = prune(&self.cache.join("images"), &[&keys], older_than)?;
        // A snapshot lies on images; without them it is of no use.
        let keep = Snapshots::usable(&self.cache.join("snapshots"));
        let keep: Vec<&str> = keep.iter().map(String::as_str).collect();
        Ok(images + prune(&self.cache.join("snapshots"), &keep, Duration::ZERO)?)
    }
}

/// Plugs the cables in: a star around the first host, whose QEMU is the switch.
async fn link(hosts: &[VirtualHost]) -> Result<()> {
    let Some((switch, others)) = hosts.split_first() else { return Ok(()) };
    let there = format!("../host{}", switch.number());
    for host in others {
        let cable = format!("cable{}", host.number());
        switch.machine().plug_cable(&cable, host.machine(), &there).await?;
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path).io("create", path)?;
    fs::canonicalize(path).io("find", path)
}
