//! The virtual lab as a source of hosts for a run: what `xenrt-lab` boots, `xenrt-xl` manages.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use xenrt_core::lab::{
    AddressPool, Deadlines, GuestImage, GuestNetwork, HostDemand, HostEntry, LabNote, LabProvider,
};
use xenrt_core::model::{GuestKind, Host, Memory, Toolstack};
use xenrt_core::{Error, Result};
use xenrt_lab::{
    GuestRoot, HostRequest, LabEvent, LabOptions, Preparation, Progress, Stage, VirtualHost,
    VirtualLab,
};
use xenrt_xl::XlToolstack;

/// What happens to the virtual hosts at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// They end with the run and, whatever happens, with the program.
    #[default]
    Run,
    /// They may be [kept](LabProvider::keep): they outlive the program unless the run gives them
    /// back.
    MayBeKept,
}

/// Whether Debian packages that the lab lacks are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// They are installed, as root or with password-less sudo, and it is said which and why first.
    #[default]
    Install,
    /// The lab fails with their names.
    Refuse,
}

/// By which toolstack the hosts are managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Manager {
    /// `xl`.
    #[default]
    Xl,
    /// The daemon of libvirt in dom0 (`xen:///system`), through ssh.
    #[cfg(feature = "libvirt")]
    Libvirt,
}

/// Gives a run real Xen hosts that need no hardware.
///
/// ```no_run
/// # use std::sync::Arc;
/// use xenrt::sequencer::RunOptions;
/// use xenrt::virtual_lab::VirtualLabProvider;
///
/// let options = RunOptions::new("runs/today").provider(Arc::new(VirtualLabProvider::new()));
/// ```
#[derive(Debug, Default)]
pub struct VirtualLabProvider {
    cache: Option<PathBuf>,
    lifetime: Lifetime,
    missing: Missing,
    preparation: Option<Preparation>,
    manager: Manager,
    given: Mutex<Given>,
}

/// What was given out and must be taken back.
#[derive(Debug, Default)]
struct Given {
    lab: Option<Arc<VirtualLab>>,
    hosts: Vec<VirtualHost>,
}

impl VirtualLabProvider {
    /// Hosts that end with the run, images in the usual place.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps images and snapshots in this folder instead of the usual one
    /// ([`xenrt_lab::default_cache_dir`]).
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// Sets what happens to the hosts at the end of the run.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets whether missing packages are installed.
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// Sets what is done to a host before it is frozen; hosts of the same preparation come from one
    /// snapshot.
    #[must_use]
    pub fn prepared(mut self, preparation: Preparation) -> Self {
        self.preparation = Some(preparation);
        self
    }

    /// Sets the toolstack that the hosts are managed by.
    #[must_use]
    pub fn manager(mut self, manager: Manager) -> Self {
        self.manager = manager;
        self
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        // Nothing is left half done in it by a panic.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn boot(
        &self,
        count: usize,
        note: &(dyn Fn(LabNote) + Send + Sync),
    ) -> Result<(Arc<VirtualLab>, Vec<VirtualHost>)> {
        let request = HostRequest {
            count,
            preparation: self.preparation.clone(),
            detached: self.lifetime == Lifetime::MayBeKept,
        };
        open_lab(self.cache.clone(), self.missing, note, async |lab| {
            let hosts = lab.hosts(&request).await?;
            Ok((Arc::new(lab), hosts))
        })
        .await
    }

    /// The toolstack of the hosts, and what of their entries it needs.
    fn managed(&self, entry: &mut HostEntry) -> Box<dyn Toolstack> {
        match self.manager {
            Manager::Xl => {
                entry.toolstack = "xl".to_owned();
                Box::new(XlToolstack::default())
            }
            #[cfg(feature = "libvirt")]
            Manager::Libvirt => {
                entry.toolstack = "libvirt".to_owned();
                entry.attributes.insert("libvirt_uri".to_owned(), "xen:///system".to_owned());
                // The first connection starts the daemon, which an emulated processor takes its time
                // for.
                entry.deadlines.command = entry.deadlines.command.max(Duration::from_secs(240));
                Box::new(xenrt_libvirt::LibvirtToolstack::new())
            }
        }
    }
}

/// Opens the lab and has it make something, with progress; installs what is missing first, where
/// that is wanted.
pub(crate) async fn open_lab<T>(
    cache: Option<PathBuf>,
    missing: Missing,
    note: &(dyn Fn(LabNote) + Send + Sync),
    make: impl AsyncFnOnce(VirtualLab) -> xenrt_lab::Result<T>,
) -> Result<T> {
    let say = |message: String| note(LabNote { message, fraction: None });
    if missing == Missing::Install {
        xenrt_lab::setup::install(&xenrt_lab::setup::lab(), &say).await.map_err(lab_error)?;
    }
    let (events, mut heard) = mpsc::unbounded_channel();
    let progress = Progress::new(move |event| {
        // Nobody listens any more once the hosts are there; then there is nobody to tell.
        let _ = events.send(event);
    });
    let options = LabOptions { cache_dir: cache, progress, ..LabOptions::default() };
    let making = async { make(VirtualLab::open(options).await?).await };
    tokio::pin!(making);
    loop {
        tokio::select! {
            Some(event) = heard.recv() => note(lab_note(&event)),
            made = &mut making => return made.map_err(lab_error),
        }
    }
}

fn lab_note(event: &LabEvent) -> LabNote {
    let fraction = match event.stage {
        Stage::Step { percent, .. } => percent.map(|percent| f32::from(percent) / 100.0),
        _ => None,
    };
    LabNote { message: event.to_string(), fraction }
}

pub(crate) fn lab_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Lab {
        message: format!("the virtual lab cannot give hosts: {error}"),
        source: Some(Box::new(error)),
    }
}

/// The entry that describes a virtual host, in the terms of a lab file.
pub fn host_entry(host: &VirtualHost) -> HostEntry {
    let ssh = host.ssh();
    let network = xenrt_lab::guest_network();
    let parse = |address: &str| address.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
    let pool = AddressPool {
        first: *network.addresses.start(),
        last: *network.addresses.end(),
        prefix: network.prefix,
        gateway: parse(network.gateway),
    };
    let attributes = [
        ("virtual".to_owned(), "true".to_owned()),
        ("migration_address".to_owned(), host.link_address().to_string()),
    ];
    HostEntry {
        name: host.name(),
        address: ssh.address.to_string(),
        port: ssh.port,
        user: ssh.user.clone(),
        key: Some(ssh.key.clone()),
        known_hosts: Some(ssh.known_hosts.clone()),
        gateway: None,
        toolstack: "xl".to_owned(),
        guest_network: Some(GuestNetwork {
            network: network.bridge.to_owned(),
            pool: Some(pool),
            dom0_address: Some(parse(network.dom0)),
        }),
        work_folder: "/var/lib/xenrt".to_owned(),
        nics: Vec::new(),
        vlans: BTreeMap::new(),
        private_vlans: Vec::new(),
        storage: Vec::new(),
        shared: false,
        images: xenrt_lab::guest_images().iter().map(guest_image).collect(),
        deadlines: Deadlines {
            state: Duration::from_secs(120),
            boot: Duration::from_secs(180),
            device: Duration::from_secs(60),
            suspend: Duration::from_secs(180),
            migrate: Duration::from_secs(600),
            host_boot: Duration::from_secs(300),
            command: Duration::from_secs(300),
        },
        attributes: attributes.into_iter().collect(),
    }
}

fn guest_image(image: &xenrt_lab::GuestImage) -> GuestImage {
    let (disk, aliases): (_, &[&str]) = match image.root {
        GuestRoot::Memory => (None, &["generic-linux"]),
        GuestRoot::Disk { image, .. } => {
            (Some(image.to_owned()), &["debian50", "debian60", "debian70", "debian80"])
        }
    };
    GuestImage {
        name: image.name.to_owned(),
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
        kinds: vec![GuestKind::Pv, GuestKind::Pvh],
        kernel: Some(image.kernel.to_owned()),
        ramdisk: Some(image.ramdisk.to_owned()),
        disk,
        command_line: image.command_line("{name}", None),
        address_command_line: "xenrt.ip={address}/{prefix} xenrt.gw={gateway}".to_owned(),
        memory: Memory::mib(u64::from(image.memory_mib)),
        user: "root".to_owned(),
        key: None,
    }
}

#[async_trait]
impl LabProvider for VirtualLabProvider {
    fn description(&self) -> String {
        match self.manager {
            Manager::Xl => "the virtual lab".to_owned(),
            #[cfg(feature = "libvirt")]
            Manager::Libvirt => "the virtual lab, by libvirt".to_owned(),
        }
    }

    fn hosts_outlive_the_run(&self) -> bool {
        // Each run has fresh ones; those of a run that was killed end with it, or are kept.
        false
    }

    async fn acquire(
        &self,
        demands: &[HostDemand],
        note: &(dyn Fn(LabNote) + Send + Sync),
    ) -> Result<Vec<Arc<dyn Host>>> {
        let (lab, hosts) = self.boot(demands.len(), note).await?;
        let entries: Vec<HostEntry> = hosts.iter().map(host_entry).collect();
        {
            let mut given = self.given();
            given.lab = Some(lab);
            given.hosts.extend(hosts);
        }
        let connections = entries.into_iter().map(async |mut entry| {
            let toolstack = self.managed(&mut entry);
            toolstack.connect(&entry).await
        });
        futures::future::try_join_all(connections).await
    }

    async fn collect_evidence(&self, folder: &Path) -> Result<()> {
        let consoles: Vec<(String, PathBuf)> =
            self.given().hosts.iter().map(|host| (host.name(), host.console_log())).collect();
        for (name, console) in consoles {
            let copy = folder.join(format!("{name}-serial.log"));
            let copied = async {
                tokio::fs::create_dir_all(folder).await?;
                tokio::fs::copy(&console, &copy).await
            };
            copied.await.map_err(|source| Error::Io {
                action: "cannot copy the serial console to",
                path: copy.display().to_string(),
                source,
            })?;
        }
        Ok(())
    }

    async fn release(&self) -> Result<()> {
        let Given { lab, hosts } = std::mem::take(&mut *self.given());
        let groups: Vec<String> = hosts.iter().map(VirtualHost::group).collect();
        let mut first_error = None;
        for host in hosts {
            first_error = first_error.or(host.stop().await.err());
        }
        if let (Lifetime::MayBeKept, Some(lab)) = (self.lifetime, lab) {
            for group in groups.into_iter().collect::<std::collections::BTreeSet<_>>() {
                first_error = first_error.or(lab.down(&group).err());
            }
        }
        first_error.map_or(Ok(()), |error| Err(lab_error(error)))
    }

    async fn keep(&self) -> Result<String> {
        if self.lifetime != Lifetime::MayBeKept {
            return Err(Error::lab(
                "the virtual hosts end with the run; it was not said that they may be kept",
            ));
        }
        let given = self.given();
        let logins = given.hosts.iter().map(|host| {
            let words = host.ssh().arguments();
            format!("  {}: ssh {}", host.name(), words.join(" "))
        });
        let logins: Vec<String> = logins.collect();
        let groups: std::collections::BTreeSet<String> =
            given.hosts.iter().map(VirtualHost::group).collect();
        let ends: Vec<String> = groups
            .iter()
            .map(|group| format!("  cargo run --example lab -- down {group}"))
            .collect();
        Ok(format!("log in with\n{}\nand end it with\n{}", logins.join("\n"), ends.join("\n")))
    }
}
