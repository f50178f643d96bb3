//! The pool and its hosts: maintenance, membership, the coordinator.

use std::time::Duration;

use uuid::Uuid;
use xenrt_core::Result;
use xenrt_core::model::{Ability, Host as _};
use xenrt_core::remote::{Wait, wait_until};

use crate::host::XapiHost;
use crate::parse::{not_understood, records};
use crate::xe::{ApiCode, XeCommand};

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
        let xe = self.xe();
        // Each is the same when it is done twice.
        let done = match xe.run(&command).await {
            Err(error) if error.is_ambiguous() => xe.run(&command).await,
            result => result,
        };
        done.map(drop).map_err(|error| error.during(verb, &object))
    }

    /// As [`own`](Self::own), for what is refused with the code `already` when it is done twice.
    pub(crate) async fn own_once(
        &self,
        verb: &'static str,
        command: XeCommand,
        already: &str,
    ) -> Result<()> {
        let xe = self.xe();
        let done = match xe.run(&command).await {
            Err(error) if error.is_ambiguous() => match xe.run(&command).await {
                Err(error) if error.code() == Some(&ApiCode::of(already)) => return Ok(()),
                result => result,
            },
            result => result,
        };
        let object = format!("host {:?}", self.name());
        done.map(drop).map_err(|error| error.during(verb, &object))
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
