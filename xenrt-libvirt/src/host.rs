//! A host that libvirt manages.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use virt::connect::Connect;
use virt::error::Error as VirtError;
use virt_sys as sys;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{
    Abilities, DomainView, EvidenceSource, Guest, GuestKind, GuestSpec, Host, HostInfo,
    HostInventory, LogSource, Memory, Network, NetworkKind, NetworkSpec, Scope,
};
use xenrt_core::remote::{
    Command, HostKeyPolicy, ObservedShell, Shell, ShellExt as _, SshTarget, Wait, wait_until,
};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::connection::{Call, Connection, DomainEvent, Failure, Held};
use crate::driver::{Driver, Facts};
use crate::error::{TOOLSTACK, refusal};
use crate::guest::{GuestShared, LibvirtGuest, is_connection};
use crate::observe::Seen;
use crate::settle::is_interrupted;
use crate::sys::NodeMemory;
use crate::xml::Source;
use crate::{define, evidence, inventory, networks, observe, reach, reboot};

/// Makes a shell on a machine, without connecting yet.
pub(crate) type Reach = Arc<dyn Fn(SshTarget) -> Arc<dyn Shell> + Send + Sync>;

/// A host that libvirt manages; see [`Host`]. Made by
/// [`LibvirtToolstack`](crate::LibvirtToolstack).
#[derive(Debug, Clone)]
pub struct LibvirtHost {
    pub(crate) shared: Arc<HostShared>,
    pub(crate) scope: Scope,
}

/// What all handles to one host share.
pub(crate) struct HostShared {
    pub(crate) entry: HostEntry,
    pub(crate) facts: Facts,
    pub(crate) abilities: Abilities,
    pub(crate) connection: Connection,
    /// The version of the kernel of the host.
    kernel: String,
    shell: Arc<dyn Shell>,
    reach: Reach,
    guests: Mutex<HashMap<Uuid, Weak<GuestShared>>>,
    guest_shells: Mutex<HashMap<Login, Arc<dyn Shell>>>,
    /// What the URI of the connection names, where it names something; gone with the host.
    _folder: Option<tempfile::TempDir>,
}

/// A login into a guest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Login {
    address: IpAddr,
    user: String,
    key: Option<PathBuf>,
}

impl std::fmt::Debug for HostShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LibvirtHost").field("name", &self.entry.name).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holder makes one change to a map; none can leave it half made.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HostShared {
    pub(crate) fn new(
        entry: HostEntry,
        facts: Facts,
        connection: Connection,
        kernel: String,
        shell: Arc<dyn Shell>,
        reach: Reach,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let abilities = facts.abilities();
        Self {
            entry,
            facts,
            abilities,
            connection,
            kernel,
            shell,
            reach,
            guests: Mutex::default(),
            guest_shells: Mutex::default(),
            _folder: folder,
        }
    }

    /// The folder of the guests' folders.
    pub(crate) fn guests_folder(&self) -> String {
        format!("{}/guests", self.entry.work_folder)
    }

    /// The folder of one guest.
    pub(crate) fn guest_folder(&self, uuid: Uuid) -> String {
        format!("{}/{uuid}", self.guests_folder())
    }

    /// Does `work` with the connection, within the deadline of a command.
    pub(crate) async fn call<T, W>(&self, verb: &'static str, object: &str, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connect) -> Result<T, Failure> + Send + 'static,
    {
        self.call_within(self.entry.deadlines.command, verb, object, work).await
    }

    /// The connection itself, for a call that needs those of two hosts.
    pub(crate) async fn held(&self, verb: &'static str, object: &str) -> Result<Held> {
        let deadline = self.entry.deadlines.command;
        self.connection.held(&Call { verb, object: object.to_owned(), deadline }).await
    }

    /// Does `work` with the connection.
    pub(crate) async fn call_within<T, W>(
        &self,
        deadline: Duration,
        verb: &'static str,
        object: &str,
        work: W,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connect) -> Result<T, Failure> + Send + 'static,
    {
        let call = Call { verb, object: object.to_owned(), deadline };
        self.connection.call(call, work).await
    }

    /// Does `work` when there is a connection again, waiting for it as long as a command may take.
    ///
    /// # Errors
    /// [`Error::Timeout`] where there is none by then; what `work` itself returns.
    pub(crate) async fn when_back<T, W>(
        &self,
        verb: &'static str,
        object: &str,
        work: W,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connect) -> Result<T, Failure> + Clone + Send + 'static,
    {
        let waiting_for = format!("libvirt of host {:?} to be back", self.entry.name);
        wait_until(waiting_for, || async {
            match self.call(verb, object, work.clone()).await {
                Err(error) if is_connection(&error) => Ok(Wait::NotYet(error.to_string())),
                result => result.map(Wait::Done),
            }
        })
        .within(self.entry.deadlines.command)
        .await
    }

    /// Does `work`, which changes nothing when it is done once more, and does it again when the
    /// connection was lost in the middle of it.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(crate) async fn call_surely<T, W>(
        &self,
        verb: &'static str,
        object: &str,
        work: W,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connect) -> Result<T, Failure> + Clone + Send + 'static,
    {
        match self.call(verb, object, work.clone()).await {
            Err(lost) if is_interrupted(&lost) => match self.when_back(verb, object, work).await {
                Err(Error::Timeout { .. }) => Err(lost),
                result => result,
            },
            result => result,
        }
    }

    /// The handle data of a guest: the one that there is, or the one that `make` makes.
    pub(crate) fn guest(&self, uuid: Uuid, make: impl FnOnce() -> GuestShared) -> Arc<GuestShared> {
        let mut guests = locked(&self.guests);
        if let Some(known) = guests.get(&uuid).and_then(Weak::upgrade) {
            return known;
        }
        guests.retain(|_, guest| guest.strong_count() > 0);
        let made = Arc::new(make());
        guests.insert(uuid, Arc::downgrade(&made));
        made
    }

    /// Takes in the handle data of a guest that came from another host.
    pub(crate) fn take_in(&self, guest: &Arc<GuestShared>) {
        locked(&self.guests).insert(guest.uuid, Arc::downgrade(guest));
    }

    /// Forgets a guest that was deleted, or is on another host now.
    pub(crate) fn forget(&self, uuid: Uuid) {
        locked(&self.guests).remove(&uuid);
    }

    /// Drops the connections to `address`: what answers there from now on is not what was
    /// connected to.
    pub(crate) async fn drop_connections(&self, address: IpAddr) {
        let doomed: Vec<Arc<dyn Shell>> = {
            let mut shells = locked(&self.guest_shells);
            let logins: Vec<Login> =
                shells.keys().filter(|login| login.address == address).cloned().collect();
            logins.iter().filter_map(|login| shells.remove(login)).collect()
        };
        for shell in doomed {
            shell.reset().await;
        }
    }

    /// What a VIF on the network of this name is connected to: a network of libvirt's, or a bridge
    /// of the host.
    ///
    /// # Errors
    /// [`Toolstack`](xenrt_core::Error::Toolstack) of kind `NoSuchObject` where there is neither.
    pub(crate) async fn source(
        &self,
        shell: &dyn Shell,
        name: &str,
        verb: &'static str,
        object: &str,
    ) -> Result<Source> {
        let (driver, own) = (self.facts.driver, name.to_owned());
        let find = move |connect: &Connect| networks::source(connect, driver, &own);
        match self.call(verb, object, find).await? {
            Some(source) => Ok(source),
            None => self.bridge(shell, name, verb, object).await,
        }
    }

    /// The same of a network that libvirt does not have.
    pub(crate) async fn bridge(
        &self,
        shell: &dyn Shell,
        name: &str,
        verb: &'static str,
        object: &str,
    ) -> Result<Source> {
        let plain = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        if self.facts.driver != Driver::Test && plain {
            let folder = format!("/sys/class/net/{name}/bridge");
            if shell.exists(&folder).await? {
                return Ok(Source { bridge: Some(name.to_owned()), ..Source::default() });
            }
        }
        let message = format!("host {:?} has no network or bridge {name}", self.entry.name);
        Err(refusal(ToolstackErrorKind::NoSuchObject, verb, object, message))
    }
}

impl LibvirtHost {
    /// The host of this toolstack behind `host`, if it is one.
    pub fn of(host: &dyn Host) -> Option<Self> {
        let any: &dyn std::any::Any = host;
        any.downcast_ref::<Self>().cloned()
    }

    /// The URI of the connection to it.
    pub fn uri(&self) -> &str {
        self.shared.connection.uri()
    }

    /// What happens to its domains from now on. A reader that falls behind misses the oldest
    /// events, and is told how many.
    pub fn events(&self) -> tokio::sync::broadcast::Receiver<DomainEvent> {
        self.shared.connection.events()
    }

    fn observed(&self, shell: Arc<dyn Shell>) -> Arc<dyn Shell> {
        match self.scope.observer() {
            Some(observer) => Arc::new(ObservedShell::new(shell, Arc::clone(observer))),
            None => shell,
        }
    }

    fn handle(&self, guest: Arc<GuestShared>) -> Arc<dyn Guest> {
        Arc::new(LibvirtGuest::new(guest, self.scope.clone()))
    }

    /// The handle for a guest that was seen.
    fn known(&self, seen: &Seen) -> Result<Arc<dyn Guest>> {
        let (view, origin) = seen.view_and_origin()?;
        let guest = self
            .shared
            .guest(seen.uuid, || GuestShared::new(seen, origin, view, Arc::clone(&self.shared)));
        guest.renamed(&seen.name);
        Ok(self.handle(guest))
    }
}

/// The memory of the host, and what of it new guests can have, in KiB.
fn memory(connect: &Connect, driver: Driver) -> Result<NodeMemory, VirtError> {
    let mut memory = observe::host_memory(connect, driver)?;
    if driver == Driver::Xen {
        return Ok(memory);
    }
    // What guests were promised and do not hold yet is not free, whatever the kernel says.
    for domain in connect.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)? {
        // It may go while the others are looked at.
        let Ok(info) = domain.get_info() else { continue };
        let held = match driver {
            Driver::Qemu => domain.memory_stats(0).unwrap_or_default().into_iter(),
            _ => Vec::new().into_iter(),
        };
        let held = held.filter(|stat| stat.tag == sys::VIR_DOMAIN_MEMORY_STAT_RSS);
        let promised = info.memory.saturating_sub(held.map(|stat| stat.val).sum());
        memory.available = memory.available.saturating_sub(promised);
    }
    Ok(memory)
}

/// `7002011` as `7.2.11` (virConnectGetVersion).
fn version(number: u32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000)
}

#[async_trait]
impl Host for LibvirtHost {
    fn name(&self) -> &str {
        &self.shared.entry.name
    }

    fn toolstack(&self) -> &'static str {
        TOOLSTACK
    }

    fn entry(&self) -> &HostEntry {
        &self.shared.entry
    }

    fn abilities(&self) -> &Abilities {
        &self.shared.abilities
    }

    /// Xen moves PV guests where it has shadow paging, of which libvirt says nothing.
    fn moves(&self, kind: GuestKind) -> bool {
        self.shared.facts.driver != Driver::Xen || kind != GuestKind::Pv
    }

    /// libvirt keeps a domain in a file of its name, and writes it under a longer one first; libxl
    /// keeps what the device model says in `qemu-dm-NAME.log`, and up to ten of them before it
    /// (libxl_create_logfile).
    fn longest_guest_name(&self) -> usize {
        /// NAME_MAX of Linux.
        const LONGEST_FILE_NAME: usize = 255;
        match self.shared.facts.driver {
            Driver::Test => LONGEST_FILE_NAME,
            Driver::Qemu => LONGEST_FILE_NAME - ".xml.new".len(),
            Driver::Xen => LONGEST_FILE_NAME - "qemu-dm-.log.10".len(),
        }
    }

    fn dom0(&self) -> Arc<dyn Shell> {
        self.observed(Arc::clone(&self.shared.shell))
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn in_scope(&self, scope: Scope) -> Arc<dyn Host> {
        Arc::new(Self { shared: Arc::clone(&self.shared), scope })
    }

    async fn info(&self) -> Result<HostInfo> {
        let object = format!("host {:?}", self.name());
        let (driver, kernel) = (self.shared.facts.driver, self.shared.kernel.clone());
        let capabilities = self.shared.facts.capabilities.clone();
        let ask = move |connect: &Connect| {
            let node = connect.get_node_info()?;
            let (own, library) = (connect.get_hyp_version()?, connect.get_lib_version()?);
            let name = connect.get_type()?;
            let memory = memory(connect, driver)?;
            Ok(HostInfo {
                hostname: connect.get_hostname()?,
                hypervisor: format!("{name} {} (libvirt {})", version(own), version(library)),
                kernel,
                cpus: node.cpus,
                memory: Memory::kib(memory.total),
                free_memory: Memory::kib(memory.available),
                capabilities,
            })
        };
        self.shared.call("describe", &object, ask).await
    }

    async fn domains(&self) -> Result<Vec<DomainView>> {
        let driver = self.shared.facts.driver;
        let ask = move |connect: &Connect| Ok(observe::domains(connect, driver)?);
        self.shared.call("list", "domains", ask).await
    }

    async fn define_guest(&self, spec: &GuestSpec) -> Result<Arc<dyn Guest>> {
        self.known(&define::define(self, spec).await?)
    }

    async fn guests(&self) -> Result<Vec<Arc<dyn Guest>>> {
        let seen = self.shared.call("list", "guests", observe::guests).await?;
        seen.iter().map(|seen| self.known(seen)).collect()
    }

    async fn networks(&self) -> Result<Vec<Network>> {
        let own = self.shared.call("list", "networks", networks::list).await?;
        let mut all: Vec<Network> = own.iter().map(|own| own.network()).collect();
        if self.shared.facts.driver != Driver::Test {
            let bridge_of = |name: &str| {
                own.iter().any(|own| {
                    own.bridge.as_ref().is_some_and(|own| own.name.as_deref() == Some(name))
                })
            };
            let bridges = networks::bridges(&self.dom0()).await?;
            all.extend(bridges.into_iter().filter(|bridge| !bridge_of(&bridge.name)));
        }
        Ok(all)
    }

    async fn define_network(&self, spec: &NetworkSpec) -> Result<Network> {
        networks::validate(spec)?;
        let has_interface = match &spec.kind {
            NetworkKind::Uplink(dev) => {
                self.dom0().exists(&format!("/sys/class/net/{dev}")).await?
            }
            NetworkKind::Isolated => true,
        };
        let (object, spec) = (format!("network {:?}", spec.name), spec.clone());
        let uuid = networks::new_uuid();
        let make = move |connect: &Connect| networks::define(connect, &spec, uuid, has_interface);
        self.shared.call_surely("create", &object, make).await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        let (object, own) = (format!("network {name:?}"), name.to_owned());
        let remove = move |connect: &Connect| networks::remove(connect, &own);
        let removed = self.shared.call_surely("remove", &object, remove).await?;
        let is_bridge = !removed && self.networks().await?.iter().any(|own| own.name == name);
        if is_bridge { Err(networks::foreign(name)) } else { Ok(()) }
    }

    async fn inventory(&self) -> Result<HostInventory> {
        inventory::take(self).await
    }

    fn log_sources(&self) -> Vec<LogSource> {
        evidence::logs(self.shared.facts.driver)
    }

    fn evidence_sources(&self) -> Vec<EvidenceSource> {
        evidence::sources(&self.shared.entry.work_folder)
    }

    /// Whether the machine is there and libvirt answers.
    async fn is_reachable(&self) -> bool {
        let probe = Command::new("true").deadline(Duration::from_secs(60));
        let hostname = |connect: &Connect| Ok(connect.get_hostname()?);
        let object = format!("host {:?}", self.name());
        self.dom0().succeeds(&probe).await.unwrap_or(false)
            && self.shared.call("look at", &object, hostname).await.is_ok()
    }

    async fn reboot(&self) -> Result<()> {
        reboot::reboot(self).await
    }

    fn guest_shell(&self, image: Option<&str>, address: IpAddr) -> Result<Arc<dyn Shell>> {
        self.shared.facts.driver.require_running_code()?;
        let entry = &self.shared.entry;
        let image = image.map(|name| entry.image_for(name)).transpose()?;
        let user = image.map_or("root", |image| &image.user).to_owned();
        let key = image.and_then(|image| image.key.clone()).or_else(|| entry.key.clone());
        let login = Login { address, user, key };
        let mut shells = locked(&self.shared.guest_shells);
        let shell = shells.entry(login.clone()).or_insert_with(|| {
            let Login { address, user, key } = login;
            let mut target =
                SshTarget::new(user, address.to_string()).host_key(HostKeyPolicy::AcceptAny);
            if !reach::is_local(entry) {
                target = target.through(&entry.ssh_target());
            }
            target.key = key;
            (self.shared.reach)(target)
        });
        Ok(self.observed(Arc::clone(shell)))
    }
}
