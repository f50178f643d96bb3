//! A host that xl manages.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::Result;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{
    Abilities, DomainView, EvidenceSource, Guest, GuestKind, GuestSpec, Host, HostInfo,
    HostInventory, LogSource, Network, NetworkSpec, PowerState, Scope, XenConsoles,
    validate_guest_name_on,
};
use xenrt_core::remote::{Command, HostKeyPolicy, ObservedShell, Shell, SshTarget};

use crate::definition::Definition;
use crate::error::{self, TOOLSTACK};
use crate::guest::{GuestShared, XlGuest};
use crate::parse::{XlInfo, domain_list};
use crate::{define, evidence, inventory, networks, observe};

/// How long a look at a whole host may take.
const LOOK: Duration = Duration::from_secs(60);

/// Makes a shell on a machine, without connecting yet.
pub(crate) type Reach = Arc<dyn Fn(SshTarget) -> Arc<dyn Shell> + Send + Sync>;

/// A host that xl manages; see [`Host`]. Made by [`XlToolstack`](crate::XlToolstack).
#[derive(Debug, Clone)]
pub struct XlHost {
    pub(crate) shared: Arc<HostShared>,
    pub(crate) scope: Scope,
}

/// What all handles to one host share.
pub(crate) struct HostShared {
    pub(crate) entry: HostEntry,
    pub(crate) abilities: Abilities,
    /// Whether Xen can log the memory that a PV guest writes to, which live migration needs.
    pub(crate) shadow_paging: bool,
    /// The records of the guests' consoles, where they are kept.
    pub(crate) consoles: Option<XenConsoles>,
    shell: Arc<dyn Shell>,
    reach: Reach,
    guests: Mutex<HashMap<Uuid, Weak<GuestShared>>>,
    guest_shells: Mutex<HashMap<Login, Arc<dyn Shell>>>,
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
        f.debug_struct("XlHost").field("name", &self.entry.name).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holder makes one change to a map; none can leave it half made.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HostShared {
    pub(crate) fn new(
        entry: HostEntry,
        abilities: Abilities,
        shadow_paging: bool,
        consoles: Option<XenConsoles>,
        shell: Arc<dyn Shell>,
        reach: Reach,
    ) -> Self {
        Self {
            entry,
            abilities,
            shadow_paging,
            consoles,
            shell,
            reach,
            guests: Mutex::default(),
            guest_shells: Mutex::default(),
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

    /// Makes a guest that came from another host known here.
    pub(crate) fn take_in(&self, guest: &Arc<GuestShared>) {
        locked(&self.guests).insert(guest.uuid, Arc::downgrade(guest));
    }

    /// Forgets a guest that was deleted or went to another host.
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
}

impl XlHost {
    fn observed(&self, shell: Arc<dyn Shell>) -> Arc<dyn Shell> {
        match self.scope.observer() {
            Some(observer) => Arc::new(ObservedShell::new(shell, Arc::clone(observer))),
            None => shell,
        }
    }

    fn handle(&self, guest: Arc<GuestShared>) -> Arc<dyn Guest> {
        Arc::new(XlGuest::new(guest, self.scope.clone()))
    }
}

#[async_trait]
impl Host for XlHost {
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

    /// libxl keeps what the device model says in `qemu-dm-NAME.log`, and up to ten of them before it
    /// (libxl_create_logfile), whose names end with their number.
    fn longest_guest_name(&self) -> usize {
        /// NAME_MAX of Linux.
        const LONGEST_FILE_NAME: usize = 255;
        LONGEST_FILE_NAME - "qemu-dm-.log.10".len()
    }

    /// PV guests need shadow paging for that.
    fn moves(&self, kind: GuestKind) -> bool {
        kind != GuestKind::Pv || self.shared.shadow_paging
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
        let command = Command::new("xl").arg("info").deadline(LOOK);
        let object = format!("host {:?}", self.name());
        XlInfo::parse(&error::text(&self.dom0(), &command, "describe", &object).await?)?.host_info()
    }

    async fn domains(&self) -> Result<Vec<DomainView>> {
        let command = Command::new("xl").args(["list", "-v"]).deadline(LOOK);
        let text = error::text(&self.dom0(), &command, "list", "domains").await?;
        Ok(domain_list(&text)?.iter().map(|domain| domain.view()).collect())
    }

    async fn define_guest(&self, spec: &GuestSpec) -> Result<Arc<dyn Guest>> {
        validate_guest_name_on(self, &spec.name)?;
        let definition = define::define(&self.shared, &self.dom0(), spec).await?;
        let view = definition.view(PowerState::Halted);
        let guest = self.shared.guest(definition.uuid, || {
            GuestShared::new(definition, true, view, Arc::clone(&self.shared))
        });
        Ok(self.handle(guest))
    }

    async fn guests(&self) -> Result<Vec<Arc<dyn Guest>>> {
        let seen = observe::host(&self.dom0(), &self.shared.guests_folder()).await?;
        let mut guests = Vec::new();
        for (definition, _) in &seen.definitions {
            let view = seen.view(definition);
            let guest = self.shared.guest(definition.uuid, || {
                GuestShared::new(definition.clone(), true, view, Arc::clone(&self.shared))
            });
            guest.remember(definition.clone());
            guests.push(self.handle(guest));
        }
        for config in &seen.configs {
            let Some(uuid) = config.uuid.filter(|_| config.domid != 0) else { continue };
            if seen.definitions.iter().any(|(own, _)| own.uuid == uuid) {
                continue;
            }
            let definition = Definition::adopted(config, uuid);
            let view = seen.view(&definition);
            let guest = self.shared.guest(uuid, || {
                GuestShared::new(definition, false, view, Arc::clone(&self.shared))
            });
            guests.push(self.handle(guest));
        }
        Ok(guests)
    }

    async fn networks(&self) -> Result<Vec<Network>> {
        networks::list(&self.dom0()).await
    }

    async fn define_network(&self, spec: &NetworkSpec) -> Result<Network> {
        networks::define(&self.dom0(), spec).await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        networks::remove(&self.dom0(), name).await
    }

    async fn inventory(&self) -> Result<HostInventory> {
        inventory::take(&self.dom0(), &self.shared.entry.work_folder).await
    }

    fn log_sources(&self) -> Vec<LogSource> {
        evidence::logs()
    }

    fn evidence_sources(&self) -> Vec<EvidenceSource> {
        evidence::sources(&self.shared.entry.work_folder)
    }

    fn guest_shell(&self, image: Option<&str>, address: IpAddr) -> Result<Arc<dyn Shell>> {
        let entry = &self.shared.entry;
        let image = image.map(|name| entry.image_for(name)).transpose()?;
        let user = image.map_or("root", |image| &image.user).to_owned();
        let key = image.and_then(|image| image.key.clone()).or_else(|| entry.key.clone());
        let login = Login { address, user, key };
        let mut shells = locked(&self.shared.guest_shells);
        let shell = shells.entry(login.clone()).or_insert_with(|| {
            let Login { address, user, key } = login;
            let mut target = SshTarget::new(user, address.to_string())
                .host_key(HostKeyPolicy::AcceptAny)
                .through(&entry.ssh_target());
            target.key = key;
            (self.shared.reach)(target)
        });
        Ok(self.observed(Arc::clone(shell)))
    }
}
