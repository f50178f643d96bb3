//! Moving guests to other hosts.

use xenrt_core::model::{Ability, Guest as _, Host};
use xenrt_core::{Error, Result};

use crate::error::TOOLSTACK;
use crate::guest::XapiGuest;
use crate::host::XapiHost;
use crate::parse::records;
use crate::xe::{Xe, XeCommand};

/// Moves a guest to another host of its pool while it runs. Three calls, and one more where nobody
/// knows whether it went.
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
    match xe.run(&command).await {
        Ok(_) => {}
        Err(error) if error.is_ambiguous() => {
            if resident_on(&xe, guest).await? != Some(target.uuid()) {
                return Err(guest.during("migrate")(error));
            }
        }
        Err(error) => return Err(guest.during("migrate")(error)),
    }
    // Halted, it is of the host that it was on last.
    let prefer = XeCommand::new("vm-param-set")
        .uuid(guest.uuid())
        .param("affinity", target.uuid().to_string());
    xe.run(&prefer).await.map_err(guest.during("migrate"))?;
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
}

impl XapiGuest {
    /// Moves it, disks and all, to another pool while it runs. Before: Running. After: the source
    /// does not list it; the target does, and this handle is of no use any more. One call.
    ///
    /// # Errors
    /// [`Error::Toolstack`] for what xapi refuses. The password is on no command line.
    pub async fn migrate_to_pool(&self, pool: &RemotePool) -> Result<()> {
        let host = self.xapi_host();
        let command = XeCommand::new("vm-migrate")
            .uuid(self.uuid())
            .param("remote-master", pool.address.as_str())
            .param("remote-username", pool.user.as_str())
            .secret("remote-password", pool.password.as_str())
            .maybe("host-uuid", pool.host.map(|uuid| uuid.to_string()))
            .maybe("remote-network", pool.network.map(|uuid| uuid.to_string()))
            .flag("live")
            .deadline(host.entry().deadlines.migrate);
        host.xe().run(&command).await.map_err(self.during("migrate"))?;
        host.shared.forget(self.uuid());
        Ok(())
    }
}
