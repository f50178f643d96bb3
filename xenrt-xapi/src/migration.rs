//! Moving guests to other hosts.

use std::sync::atomic::{AtomicBool, Ordering};

use xenrt_core::model::{Ability, Guest as _, Host, MacAddress};
use xenrt_core::remote::{Wait, wait_until};
use xenrt_core::{Error, Result};

use crate::error::TOOLSTACK;
use crate::guest::XapiGuest;
use crate::host::XapiHost;
use crate::observe;
use crate::parse::{not_understood, records};
use crate::xe::{Xe, XeCommand};

/// Moves a guest to another host of its pool while it runs. Three calls, and one or two more where
/// nobody knows whether it went: then it is looked for, and sent again where it is not there.
pub(crate) async fn migrate(guest: &XapiGuest, target: &dyn Host) -> Result<()> {
    let source = guest.xapi_host();
    let unsupported = |reason: String| Error::Unsupported {
        toolstack: TOOLSTACK.to_owned(),
        ability: Ability::LiveMigration,
        reason: Some(reason),
    };
    let Some(target) = XapiHost::of(target) else {
        let reason = format!("{} is managed by {}", target.name(), target.toolstack());
        return Err(unsupported(reason));
    };
    if target.uuid() == source.uuid() {
        let problem = format!("it is on host {:?} already", target.name());
        return Err(Error::invalid(guest.shared.object(), problem));
    }
    let xe = source.xe();
    let pool = xe.uuids(XeCommand::new("host-list")).await.map_err(guest.during("migrate"))?;
    if !pool.contains(&target.uuid()) {
        return Err(unsupported(format!(
            "{} is in another pool; use XapiGuest::migrate_to_pool",
            target.name()
        )));
    }
    let command = XeCommand::new("vm-migrate")
        .uuid(guest.uuid())
        .param("host-uuid", target.uuid().to_string())
        .flag("live")
        .deadline(source.entry().deadlines.migrate);
    let (lost, xe, command, there) = (&AtomicBool::new(false), &xe, &command, Some(target.uuid()));
    let went = xe.until_told(xe.time_for(command), |left| async move {
        if lost.load(Ordering::Relaxed) && resident_on(xe, guest).await? == there {
            return Ok(());
        }
        let Err(error) = xe.run(&command.clone().deadline(left)).await else { return Ok(()) };
        // It may have gone though the answer was lost, and be refused then as it is there already.
        let lost_before = lost.fetch_or(error.is_ambiguous(), Ordering::Relaxed);
        let refused = lost_before && !error.is_ambiguous();
        if refused && resident_on(xe, guest).await? == there { Ok(()) } else { Err(error) }
    });
    went.await.map_err(guest.during("migrate"))?;
    // Halted, it is of the host that it was on last.
    let prefer = XeCommand::new("vm-param-set")
        .uuid(guest.uuid())
        .param("affinity", target.uuid().to_string());
    xe.repeat(&prefer, |_| false).await.map_err(guest.during("migrate"))?;
    source.shared.forget(guest.uuid());
    target.shared.take_in(&guest.shared);
    guest.shared.moved_to(target.shared);
    Ok(())
}

async fn resident_on(xe: &Xe, guest: &XapiGuest) -> Result<Option<uuid::Uuid>> {
    let list = XeCommand::new("vm-list").uuid(guest.uuid()).fields(&["uuid", "resident-on"]);
    let text = xe.run(&list).await.map_err(guest.during("migrate"))?;
    let record = records(&text).next().transpose()?;
    Ok(record.and_then(|record| record.get("resident-on")?.parse().ok()))
}

/// Where a guest is sent that leaves its pool.
#[derive(Clone)]
pub struct RemotePool {
    address: String,
    user: String,
    password: String,
    host: Option<uuid::Uuid>,
    network: Option<uuid::Uuid>,
    /// The networks there for the VIFs with these addresses.
    vifs: Vec<(MacAddress, uuid::Uuid)>,
    /// The storage there for its disks.
    storage: Option<uuid::Uuid>,
}

/// Without the password.
impl std::fmt::Debug for RemotePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemotePool").field("address", &self.address).finish_non_exhaustive()
    }
}

impl RemotePool {
    /// The pool whose coordinator has this address, and a login there.
    pub fn new(
        coordinator: impl Into<String>,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Self {
            address: coordinator.into(),
            user: user.into(),
            password: password.into(),
            host: None,
            network: None,
            vifs: Vec::new(),
            storage: None,
        }
    }

    /// Chooses the host there.
    #[must_use]
    pub fn host(mut self, host: uuid::Uuid) -> Self {
        self.host = Some(host);
        self
    }

    /// Chooses the network over which memory and disks travel.
    #[must_use]
    pub fn network(mut self, network: uuid::Uuid) -> Self {
        self.network = Some(network);
        self
    }

    /// Chooses the network there for the VIF with this address. xapi itself finds one only for VIFs
    /// whose network there has the same name.
    #[must_use]
    pub fn vif(mut self, mac: MacAddress, network: uuid::Uuid) -> Self {
        self.vifs.push((mac, network));
        self
    }

    /// Chooses the storage there for all of its disks, in the place of the pool's default.
    #[must_use]
    pub fn storage(mut self, sr: uuid::Uuid) -> Self {
        self.storage = Some(sr);
        self
    }
}

impl XapiGuest {
    /// Moves it, disks and all, to another pool while it runs. Before: Running. After: the source
    /// does not list it; the target does, and this handle is of no use any more. Two calls, and two
    /// more in one remote command where networks or storage are chosen.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a VIF that it has not; [`Error::Toolstack`] for what xapi refuses
    /// (`VIF_NOT_IN_MAP`, `VDI_NOT_IN_MAP`, a login that is not let in); [`Error::Timeout`] when the
    /// source still lists it. The password is on no command line.
    pub async fn migrate_to_pool(&self, pool: &RemotePool) -> Result<()> {
        let (host, during) = (self.xapi_host(), self.during("migrate"));
        let xe = host.xe();
        let command = XeCommand::new("vm-migrate")
            .uuid(self.uuid())
            .param("remote-master", pool.address.as_str())
            .param("remote-username", pool.user.as_str())
            .secret("remote-password", pool.password.as_str())
            .maybe("host-uuid", pool.host.map(|uuid| uuid.to_string()))
            .maybe("remote-network", pool.network.map(|uuid| uuid.to_string()))
            .flag("live")
            .deadline(host.entry().deadlines.migrate);
        let command = self.mapped(command, pool).await?;
        match xe.run(&command).await {
            Ok(_) => {}
            // Whether it went, the source tells.
            Err(error) if error.is_ambiguous() => {
                if !self.is_listed(&xe).await? {
                    host.shared.forget(self.uuid());
                    return Ok(());
                }
                return Err(during(error));
            }
            Err(error) => return Err(during(error)),
        }
        wait_until(format!("guest {} to be gone from its pool", self.name()), || async {
            let there = self.is_listed(&xe).await?;
            Ok(Wait::on(!there, "the source lists it"))
        })
        .within(host.entry().deadlines.state)
        .await?;
        host.shared.forget(self.uuid());
        Ok(())
    }

    async fn is_listed(&self, xe: &Xe) -> Result<bool> {
        let list = XeCommand::new("vm-list").uuid(self.uuid());
        Ok(!xe.uuids(list).await.map_err(self.during("migrate"))?.is_empty())
    }

    /// Adds where its VIFs and disks are to go.
    async fn mapped(&self, mut command: XeCommand, pool: &RemotePool) -> Result<XeCommand> {
        if pool.vifs.is_empty() && pool.storage.is_none() {
            return Ok(command);
        }
        let lists = [observe::vifs(self.uuid()), observe::vbds(self.uuid())];
        let answers = self.xapi_host().xe().run_all(&lists).await;
        let answers = answers.map_err(self.during("migrate"))?;
        let [vifs, vbds] = answers.as_slice() else {
            return Err(not_understood("xe", "two answers", ""));
        };
        let vifs = observe::read_vifs(vifs, &|uuid| uuid.to_string())?;
        for (mac, network) in &pool.vifs {
            let vif = vifs.iter().find(|(_, vif)| vif.mac == *mac);
            let (vif, _) = vif.ok_or_else(|| Error::NotFound {
                kind: "VIF",
                name: mac.to_string(),
                known: vifs.iter().map(|(_, vif)| vif.mac.to_string()).collect(),
            })?;
            command = command.param(format!("vif:{vif}"), network.to_string());
        }
        if let Some(storage) = pool.storage {
            let disks = observe::read_vbds(vbds)?;
            for disk in disks.iter().filter(|vbd| vbd.is_disk).filter_map(|vbd| vbd.vdi) {
                command = command.param(format!("vdi:{disk}"), storage.to_string());
            }
        }
        Ok(command)
    }
}
