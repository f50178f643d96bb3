//! The pool and its hosts: maintenance, membership, the coordinator.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{Ability, Host, PoolMember, Pooling};
use xenrt_core::remote::{Wait, wait_until};
use xenrt_core::{Error, Result};

use crate::host::XapiHost;
use crate::networks;
use crate::parse::{not_understood, records};
use crate::xe::{ApiCode, XeCommand, XeError};

/// A host of the pool as xapi lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolHost {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Whether guests may be started on it.
    pub enabled: bool,
    /// Whether it answers the coordinator.
    pub live: bool,
    /// Whether it is the coordinator.
    pub coordinator: bool,
}

impl XapiHost {
    /// The hosts of the pool. Two calls.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn pool_hosts(&self) -> Result<Vec<PoolHost>> {
        let hosts = XeCommand::new("host-list").fields(&[
            "uuid",
            "name-label",
            "address",
            "enabled",
            "host-metrics-live",
        ]);
        let pool = XeCommand::new("pool-list").fields(&["master"]);
        let answers = self.xe().run_all(&[hosts, pool]).await;
        let answers = answers.map_err(|error| error.during("list", "the hosts of the pool"))?;
        let [hosts, pool] = answers.as_slice() else {
            return Err(not_understood("xe", "two answers", ""));
        };
        let pool = records(pool).next().transpose()?.unwrap_or_default();
        let coordinator: Option<Uuid> = pool.get("master").and_then(|uuid| uuid.parse().ok());
        let host = |record: Result<crate::parse::Record<'_>>| {
            let record = record?;
            let uuid = record.parse("uuid")?;
            Ok(PoolHost {
                uuid,
                name: record.require("name-label")?.to_owned(),
                address: record.get("address").unwrap_or_default().to_owned(),
                enabled: record.get("enabled") == Some("true"),
                live: record.get("host-metrics-live") == Some("true"),
                coordinator: Some(uuid) == coordinator,
            })
        };
        records(hosts).map(host).collect()
    }

    pub(crate) async fn own(&self, verb: &'static str, command: XeCommand) -> Result<()> {
        let object = format!("host {:?}", self.name());
        // Each is the same when it is done twice.
        let done = self.xe().repeat(&command, |_| false).await;
        done.map_err(|error| error.during(verb, &object))
    }

    /// As [`own`](Self::own), for what is refused with the code `already` when it is done twice.
    pub(crate) async fn own_once(
        &self,
        verb: &'static str,
        command: XeCommand,
        already: &str,
    ) -> Result<()> {
        let told = |error: &XeError| error.code() == Some(&ApiCode::of(already));
        let done = self.xe().repeat(&command, told).await;
        let object = format!("host {:?}", self.name());
        done.map_err(|error| error.during(verb, &object))
    }

    /// Lets no guest be started on this host any more. After: it is disabled. Two calls.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn disable(&self) -> Result<()> {
        self.own("disable", XeCommand::new("host-disable").uuid(self.uuid())).await?;
        self.wait_until_enabled_is(false).await
    }

    /// Lets guests be started on it again. After: it is enabled. Two calls.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn enable(&self) -> Result<()> {
        self.own("enable", XeCommand::new("host-enable").uuid(self.uuid())).await?;
        self.wait_until_enabled_is(true).await
    }

    async fn wait_until_enabled_is(&self, enabled: bool) -> Result<()> {
        let waiting_for = format!("host {} to have enabled={enabled}", self.name());
        wait_until(waiting_for, || async {
            let xe = self.xe();
            let seen = xe.get("host", self.uuid(), "enabled").await;
            let seen = seen.map_err(|error| error.during("look at", self.name()))?;
            let seen = seen.unwrap_or_default();
            Ok(Wait::on(seen == enabled.to_string(), seen))
        })
        .within(self.entry().deadlines.state)
        .await
    }

    /// Moves all guests to other hosts of the pool while they run. One call.
    ///
    /// # Errors
    /// What xapi refuses: a guest that cannot move, no other host.
    pub async fn evacuate(&self) -> Result<()> {
        let evacuate = XeCommand::new("host-evacuate")
            .uuid(self.uuid())
            .deadline(self.entry().deadlines.migrate);
        self.own("evacuate", evacuate).await
    }

    /// Makes this host the coordinator of the pool. The toolstack restarts everywhere; after, xapi
    /// answers again and says so.
    ///
    /// # Errors
    /// What xapi refuses; [`Error::Timeout`](xenrt_core::Error::Timeout).
    pub async fn become_coordinator(&self) -> Result<()> {
        self.require(Ability::Pool)?;
        let command = XeCommand::new("pool-designate-new-master")
            .param("host-uuid", self.uuid().to_string())
            .deadline(self.entry().deadlines.state);
        self.own("make the coordinator of", command).await?;
        self.wait_until_coordinator().await
    }

    pub(crate) async fn wait_until_coordinator(&self) -> Result<()> {
        wait_until(format!("host {} to be the coordinator", self.name()), || async {
            let hosts = self.pool_hosts().await?;
            let own = hosts.iter().find(|host| host.coordinator);
            let seen = own.map_or("nobody is".to_owned(), |host| format!("{} is", host.name));
            Ok(Wait::on(own.is_some_and(|host| host.uuid == self.uuid()), seen))
        })
        .within(self.entry().deadlines.host_boot)
        .await
    }

    /// Takes another host out of the pool. *Its local storage is lost*, and it reboots. One call.
    ///
    /// # Errors
    /// What xapi refuses: the coordinator cannot be taken out.
    pub async fn eject_from_pool(&self, host: Uuid) -> Result<()> {
        let eject = XeCommand::new("pool-eject").param("host-uuid", host.to_string());
        let object = format!("host {host}");
        let eject = self.xe().run(&eject.deadline(self.entry().deadlines.state)).await;
        eject.map(drop).map_err(|error| error.during("eject", &object))
    }

    /// Joins the pool whose coordinator has this address. Before: no guest runs here. The toolstack
    /// restarts. The password is on no command line. One call, and looks until it is there.
    ///
    /// # Errors
    /// What xapi refuses; [`Error::Timeout`](xenrt_core::Error::Timeout) when this host is not seen
    /// among more than one.
    pub async fn join_pool(&self, coordinator: &str, user: &str, password: &str) -> Result<()> {
        self.require(Ability::Pool)?;
        let join = XeCommand::new("pool-join")
            .param("master-address", coordinator)
            .param("master-username", user)
            .secret("master-password", password)
            .deadline(self.entry().deadlines.state);
        let object = format!("host {:?}", self.name());
        let joined = self.xe().run(&join).await;
        joined.map_err(|error| error.during("join to a pool", &object))?;
        wait_until(format!("host {} to be live in the pool", self.name()), || async {
            let hosts = self.pool_hosts().await?;
            let own = hosts.iter().find(|host| host.uuid == self.uuid());
            let there = own.is_some_and(|host| host.enabled && host.live) && hosts.len() > 1;
            Ok(Wait::on(there, format!("{own:?} among {} hosts", hosts.len())))
        })
        .pausing_at_most(Duration::from_secs(5))
        .within(self.entry().deadlines.host_boot)
        .await
    }
}

impl XapiHost {
    /// Asks for the storage that new disks go to. One call.
    pub(crate) async fn learn_default_storage(&self) -> Result<()> {
        let list = XeCommand::new("pool-list").fields(&["uuid", "default-SR"]);
        let text = self.xe().run(&list).await;
        let text = text.map_err(|error| error.during("describe", "the pool"))?;
        let pool = records(&text).next().transpose()?.unwrap_or_default();
        self.shared.set_default_sr(pool.get("default-SR").and_then(|uuid| uuid.parse().ok()));
        Ok(())
    }

    /// Learns what belongs to the pool that it has joined. Three calls.
    async fn learn_pool(&self) -> Result<()> {
        self.learn_default_storage().await?;
        // Those that are used are asked for then.
        self.shared.know_templates(Vec::new());
        networks::list(&self.shared, &self.xe()).await.map(drop)
    }
}

/// The pool of a host, as the object model has it.
#[derive(Debug, Clone)]
pub(crate) struct XapiPooling(pub(crate) XapiHost);

/// As whom a coordinator lets other hosts in, from the attributes of its entry in the lab.
fn credentials(entry: &HostEntry) -> Result<(String, String)> {
    let attribute = |name: &str| entry.attributes.get(name).map(String::as_str);
    let file = attribute("xe_password_file").ok_or_else(|| {
        let problem = "its pool is joined with its password: say in `xe_password_file` of its \
                       `attributes` in the lab file where that is";
        Error::invalid(format!("host {:?}", entry.name), problem)
    })?;
    let password = std::fs::read_to_string(file).map_err(|source| Error::Io {
        action: "cannot read",
        path: file.to_owned(),
        source,
    })?;
    let user = attribute("xe_user").unwrap_or("root").to_owned();
    Ok((user, password.trim_end_matches(['\n', '\r']).to_owned()))
}

#[async_trait]
impl Pooling for XapiPooling {
    fn host(&self) -> &dyn Host {
        &self.0
    }

    fn handle(&self) -> Arc<dyn Pooling> {
        Arc::new(self.clone())
    }

    async fn own_id(&self) -> Result<String> {
        Ok(self.0.uuid().to_string())
    }

    /// Two calls.
    async fn members(&self) -> Result<Vec<PoolMember>> {
        let hosts = self.0.pool_hosts().await?.into_iter();
        let member = |host: PoolHost| PoolMember {
            id: host.uuid.to_string(),
            name: host.name,
            coordinator: host.coordinator,
            live: host.enabled && host.live,
        };
        Ok(hosts.map(member).collect())
    }

    /// By the address that the coordinator itself says, and with the password that the lab file
    /// names (`xe_password_file`).
    async fn request_join(&self, coordinator: &Arc<dyn Host>) -> Result<()> {
        let Some(head) = XapiHost::of(coordinator.as_ref()) else {
            let problem = format!("it is managed by {}, not by xapi", coordinator.toolstack());
            return Err(Error::invalid(format!("host {:?}", coordinator.name()), problem));
        };
        let hosts = head.pool_hosts().await?;
        let own = hosts.iter().find(|host| host.uuid == head.uuid());
        let Some(own) = own.filter(|own| own.coordinator) else {
            let problem = "it is not the coordinator of its pool";
            return Err(Error::invalid(format!("host {:?}", coordinator.name()), problem));
        };
        let (user, password) = credentials(coordinator.entry())?;
        self.0.join_pool(&own.address, &user, &password).await?;
        self.0.learn_pool().await
    }

    /// One call. The host reboots, and its local storage is made anew.
    async fn request_leave(&self) -> Result<()> {
        self.0.eject_from_pool(self.0.uuid()).await
    }
}
