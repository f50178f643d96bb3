//! Hosts of libvirt with QEMU on this machine as a source of hosts for a run: what
//! [`xenrt_lab::local`] closes off, `xenrt-libvirt` manages.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use xenrt_core::lab::{
    AddressPool, Deadlines, GuestImage, GuestNetwork, HostDemand, HostEntry, LabNote, LabProvider,
};
use xenrt_core::model::{GuestKind, Host, Memory, Toolstack};
use xenrt_core::remote::{LocalShell, Shell, SshShell, SshTarget};
use xenrt_core::{Error, Result};
use xenrt_lab::Accelerator;
use xenrt_lab::local::{BRIDGE, BRIDGE_ADDRESS, LocalHost, LocalHosts};
use xenrt_libvirt::LibvirtToolstack;

use crate::virtual_lab::{Missing, lab_error, open_lab};

/// Gives a run hosts of libvirt with QEMU on this machine, closed off from the rest of it
/// ([`xenrt_lab::local`]). They end with the run.
///
/// ```no_run
/// # use std::sync::Arc;
/// use xenrt::local_libvirt::LocalLibvirtProvider;
/// use xenrt::sequencer::RunOptions;
///
/// let options = RunOptions::new("runs/today").provider(Arc::new(LocalLibvirtProvider::new()));
/// ```
#[derive(Debug, Default)]
pub struct LocalLibvirtProvider {
    cache: Option<PathBuf>,
    missing: Missing,
    given: Mutex<Option<LocalHosts>>,
}

impl LocalLibvirtProvider {
    /// Hosts whose guests boot from the images of the virtual lab, in the usual place.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps images in this folder instead of the usual one ([`xenrt_lab::default_cache_dir`]).
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// Sets whether missing packages are installed.
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    fn given(&self) -> MutexGuard<'_, Option<LocalHosts>> {
        // Nothing is left half done in it by a panic.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry that describes such a host, in the terms of a lab file; [`toolstack`] reaches it.
pub fn host_entry(host: &LocalHost) -> HostEntry {
    let folder = |path: &Path| path.display().to_string();
    let accelerator = match host.accelerator() {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg => "qemu",
    };
    let attributes = [
        ("libvirt_uri", host.uri()),
        ("libvirt_accelerator", accelerator.to_owned()),
        ("shares_kernel", "true".to_owned()),
        ("spare_interface", host.spare_interface()),
        ("migration_uri", host.uri()),
        ("migration_address", BRIDGE_ADDRESS.to_string()),
        (HostEntry::SHARED_FOLDERS, folder(host.shared_folder())),
    ];
    let [a, b, c, _] = BRIDGE_ADDRESS.octets();
    let pool = AddressPool {
        first: Ipv4Addr::new(a, b, c, 101),
        last: Ipv4Addr::new(a, b, c, 200),
        prefix: 24,
        gateway: BRIDGE_ADDRESS,
    };
    HostEntry {
        // No name that could be reached by mistake (RFC 2606).
        address: format!("{}.invalid", host.name()),
        name: host.name(),
        port: 22,
        user: "root".to_owned(),
        key: Some(host.key().to_owned()),
        known_hosts: None,
        gateway: None,
        toolstack: "libvirt".to_owned(),
        guest_network: Some(GuestNetwork {
            network: BRIDGE.to_owned(),
            pool: Some(pool),
            dom0_address: Some(BRIDGE_ADDRESS),
        }),
        work_folder: folder(&host.work_folder()),
        nics: Vec::new(),
        vlans: BTreeMap::new(),
        private_vlans: Vec::new(),
        storage: Vec::new(),
        shared: false,
        images: vec![tiny(host)],
        deadlines: Deadlines {
            state: Duration::from_secs(120),
            boot: Duration::from_secs(240),
            device: Duration::from_secs(60),
            suspend: Duration::from_secs(240),
            migrate: Duration::from_secs(240),
            host_boot: Duration::from_secs(300),
            command: Duration::from_secs(60),
        },
        attributes: attributes.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
    }
}

fn tiny(host: &LocalHost) -> GuestImage {
    GuestImage {
        name: "tiny".to_owned(),
        aliases: vec!["generic-linux".to_owned()],
        kinds: vec![GuestKind::Hvm],
        kernel: Some(host.kernel().display().to_string()),
        ramdisk: Some(host.ramdisk().display().to_string()),
        disk: None,
        command_line:
            "console=ttyS0 quiet net.ifnames=0 mitigations=off random.trust_cpu=on panic=0 \
                       xenrt.name={name}"
                .to_owned(),
        address_command_line: "xenrt.ip={address}/{prefix} xenrt.gw={gateway}".to_owned(),
        memory: Memory::mib(128),
        user: "root".to_owned(),
        key: None,
    }
}

/// The toolstack of such hosts: commands run in the name spaces of `host`, and its guests are
/// reached from there.
pub fn toolstack(host: &LocalHost) -> LibvirtToolstack {
    let own = host_entry(host).address;
    let name = host.name();
    let (enter, proxy) = (host.space().on_host(), host.space().proxy());
    let root = host.space().seen_from_here("");
    LibvirtToolstack::reaching_by(move |target: SshTarget| -> Arc<dyn Shell> {
        if target.host == own {
            return Arc::new(LocalShell::within(name.clone(), enter.clone(), root.clone()));
        }
        let target = SshTarget { gateways: Vec::new(), ..target };
        Arc::new(SshShell::new(target.proxy(proxy.clone())))
    })
}

#[async_trait]
impl LabProvider for LocalLibvirtProvider {
    fn description(&self) -> String {
        "libvirt with QEMU on this machine".to_owned()
    }

    fn hosts_outlive_the_run(&self) -> bool {
        false
    }

    async fn acquire(
        &self,
        demands: &[HostDemand],
        note: &(dyn Fn(LabNote) + Send + Sync),
    ) -> Result<Vec<Arc<dyn Host>>> {
        match self.missing {
            Missing::Install => {
                let say = |message: String| note(LabNote { message, fraction: None });
                let installed = xenrt_lab::setup::install(xenrt_lab::setup::LOCAL, &say);
                installed.await.map_err(lab_error)?;
            }
            Missing::Refuse => {
                let missing = xenrt_lab::setup::missing(xenrt_lab::setup::LOCAL);
                let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
                if !missing.is_empty() {
                    let missing = missing.join(", ");
                    return Err(Error::lab(format!(
                        "not on this machine: {missing}; install that"
                    )));
                }
            }
        }
        let hosts = open_lab(self.cache.clone(), self.missing, note, async |lab| {
            lab.local_hosts(demands.len()).await
        });
        let hosts = hosts.await?;
        let ways: Vec<_> = hosts.iter().map(|host| (toolstack(host), host_entry(host))).collect();
        // They are taken back whatever becomes of the connections.
        *self.given() = Some(hosts);
        let connections = ways.iter().map(|(toolstack, entry)| toolstack.connect(entry));
        futures::future::try_join_all(connections).await
    }

    async fn collect_evidence(&self, folder: &Path) -> Result<()> {
        let logs: Vec<(String, PathBuf)> = self
            .given()
            .iter()
            .flat_map(LocalHosts::iter)
            .map(|host| (host.name(), host.log()))
            .collect();
        for (name, log) in logs {
            let copy = folder.join(format!("{name}-libvirtd.log"));
            let copied = async {
                tokio::fs::create_dir_all(folder).await?;
                tokio::fs::copy(&log, &copy).await
            };
            copied.await.map_err(|source| Error::Io {
                action: "cannot copy the log of libvirtd to",
                path: copy.display().to_string(),
                source,
            })?;
        }
        Ok(())
    }

    async fn release(&self) -> Result<()> {
        let hosts = self.given().take();
        // Waits for the processes in there.
        let ended = tokio::task::spawn_blocking(move || drop(hosts)).await;
        ended.map_err(|error| Error::lab(format!("cannot end the hosts of this machine: {error}")))
    }

    async fn keep(&self) -> Result<String> {
        Err(Error::lab("hosts of libvirt on this machine end with the run"))
    }
}
