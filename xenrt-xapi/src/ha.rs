//! High availability of the pool, and what is done when its coordinator is gone.

use uuid::Uuid;
use xenrt_core::Result;
use xenrt_core::model::Host as _;
use xenrt_core::remote::{Wait, wait_until};

use crate::host::XapiHost;
use crate::parse::{Record, not_understood, records, values};
use crate::xe::XeCommand;

/// High availability of a pool, as xapi tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HighAvailability {
    /// Whether it is on.
    pub enabled: bool,
    /// What the heartbeat is written to, as xapi names it.
    pub heartbeats: Vec<String>,
    /// How many hosts may fail at once before guests stay down, as was asked for.
    pub failures_to_tolerate: u64,
    /// How many may fail by the plan that xapi has now.
    pub plan_exists_for: u64,
    /// Whether more is asked for than there is room.
    pub overcommitted: bool,
}

impl HighAvailability {
    fn read(pool: &Record<'_>) -> Result<Self> {
        let set = values::set(pool.get("ha-statefiles").unwrap_or_default());
        Ok(Self {
            enabled: pool.parse("ha-enabled")?,
            heartbeats: set.into_iter().filter(|one| !one.is_empty()).map(str::to_owned).collect(),
            failures_to_tolerate: pool.parse("ha-host-failures-to-tolerate")?,
            plan_exists_for: pool.parse("ha-plan-exists-for")?,
            overcommitted: pool.parse("ha-overcommitted")?,
        })
    }
}

impl XapiHost {
    /// How high availability of the pool stands. One call.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn high_availability(&self) -> Result<HighAvailability> {
        let list = XeCommand::new("pool-list").fields(&[
            "uuid",
            "ha-enabled",
            "ha-statefiles",
            "ha-host-failures-to-tolerate",
            "ha-plan-exists-for",
            "ha-overcommitted",
        ]);
        let text = self.xe().run(&list).await.map_err(|error| error.during("list", "the pool"))?;
        let pool = records(&text).next().transpose()?;
        let pool = pool.ok_or_else(|| not_understood("xe pool-list", "a pool", ""))?;
        HighAvailability::read(&pool)
    }

    /// Turns high availability on, with its heartbeat on these shared storages; xapi chooses where
    /// there are none. After: it is on. Two calls.
    ///
    /// # Errors
    /// What xapi refuses: a licence without it, a storage that is not shared, too few hosts.
    pub async fn enable_ha(&self, heartbeats: &[Uuid]) -> Result<()> {
        let all: Vec<String> = heartbeats.iter().map(Uuid::to_string).collect();
        let enable = XeCommand::new("pool-ha-enable")
            .maybe("heartbeat-sr-uuids", (!all.is_empty()).then(|| all.join(",")))
            .deadline(self.entry().deadlines.host_boot);
        self.own_once("enable HA of", enable, "HA_IS_ENABLED").await?;
        self.wait_until_ha_is(true).await
    }

    /// Turns high availability off. After: it is off. Two calls.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn disable_ha(&self) -> Result<()> {
        let disable = XeCommand::new("pool-ha-disable").deadline(self.entry().deadlines.host_boot);
        self.own_once("disable HA of", disable, "HA_NOT_ENABLED").await?;
        self.wait_until_ha_is(false).await
    }

    async fn wait_until_ha_is(&self, on: bool) -> Result<()> {
        wait_until(format!("HA of the pool of host {} to be on={on}", self.name()), || async {
            let seen = self.high_availability().await?.enabled;
            Ok(Wait::on(seen == on, format!("ha-enabled is {seen}")))
        })
        .within(self.entry().deadlines.host_boot)
        .await
    }

    /// Sets how many hosts may fail at once before guests stay down. Two calls.
    ///
    /// # Errors
    /// What xapi refuses: more than there is a plan for.
    pub async fn tolerate_failures(&self, hosts: u64) -> Result<()> {
        let xe = self.xe();
        let during = |error: crate::xe::XeError| error.during("configure HA of", "the pool");
        let pool = xe.uuids(XeCommand::new("pool-list")).await.map_err(during)?;
        let pool = pool.first().ok_or_else(|| not_understood("xe pool-list", "a pool", ""))?;
        let set = XeCommand::new("pool-param-set")
            .uuid(*pool)
            .param("ha-host-failures-to-tolerate", hosts.to_string());
        self.own("configure HA of", set).await
    }

    /// Whether this host has lost its coordinator and waits for somebody to decide (emergency mode).
    /// One call, which xapi answers even then.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn is_in_emergency_mode(&self) -> Result<bool> {
        let object = format!("host {:?}", self.name());
        let ask = XeCommand::new("host-is-in-emergency-mode");
        let text = self.xe().run(&ask).await.map_err(|error| error.during("look at", &object))?;
        text.trim().parse().map_err(|_| {
            not_understood("xe host-is-in-emergency-mode", "true or false", text.trim())
        })
    }

    /// Makes this host the coordinator when the old one is dead. *Only* then: two coordinators
    /// destroy a pool. After: xapi says that it is the coordinator. Two calls or more.
    ///
    /// # Errors
    /// What xapi refuses, `NOT_IN_EMERGENCY_MODE` where the coordinator is there;
    /// [`Error::Timeout`](xenrt_core::Error::Timeout).
    pub async fn emergency_become_coordinator(&self) -> Result<()> {
        let transition = XeCommand::new("pool-emergency-transition-to-master")
            .deadline(self.entry().deadlines.state);
        let verb = "make the coordinator of";
        self.own_once(verb, transition, "NOT_IN_EMERGENCY_MODE").await?;
        self.wait_until_coordinator().await
    }

    /// Has this host follow another coordinator than the one that it has lost. After: it is not in
    /// emergency mode. Two calls or more.
    ///
    /// # Errors
    /// What xapi refuses; [`Error::Timeout`](xenrt_core::Error::Timeout).
    pub async fn emergency_follow(&self, coordinator: &str) -> Result<()> {
        let reset = XeCommand::new("pool-emergency-reset-master")
            .param("master-address", coordinator)
            .deadline(self.entry().deadlines.state);
        self.own("lead to another coordinator", reset).await?;
        wait_until(format!("host {} to leave emergency mode", self.name()), || async {
            let there = self.is_in_emergency_mode().await?;
            Ok(Wait::on(!there, "it is in emergency mode"))
        })
        .within(self.entry().deadlines.host_boot)
        .await
    }

    /// Has the hosts that are in emergency mode follow this coordinator. One call; whom it reached
    /// is for [`pool_hosts`](Self::pool_hosts) to tell.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn recover_supporters(&self) -> Result<()> {
        let recover =
            XeCommand::new("pool-recover-slaves").deadline(self.entry().deadlines.host_boot);
        self.own("recover the pool of", recover).await
    }
}
