//! The licence of a host: its edition, and what that keeps from the pool.

use std::collections::BTreeMap;

use xenrt_core::Result;
use xenrt_core::model::Host as _;
use xenrt_core::remote::{Wait, wait_until};

use crate::host::XapiHost;
use crate::parse::{not_understood, records, values};
use crate::xe::XeCommand;

/// The licence of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// Its edition: `xcp-ng`, `express`, `premium-per-socket`, ...
    pub edition: String,
    /// Where licences come from, as xapi keeps it.
    pub server: BTreeMap<String, String>,
    /// What the pool may not do: the names behind `restrict_`, each with whether it is kept from it.
    pub restrictions: BTreeMap<String, bool>,
}

impl XapiHost {
    /// The licence of this host. Two calls in one remote command.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn licence(&self) -> Result<Licence> {
        let host = XeCommand::new("host-list").uuid(self.uuid()).fields(&[
            "uuid",
            "edition",
            "license-server",
        ]);
        let pool = XeCommand::new("pool-list").fields(&["uuid", "restrictions"]);
        let answers = self.xe().run_all(&[host, pool]).await;
        let answers = answers.map_err(|error| error.during("look at", "the licence"))?;
        let [host, pool] = answers.as_slice() else {
            return Err(not_understood("xe", "two answers", ""));
        };
        let host = records(host).next().transpose()?;
        let host = host.ok_or_else(|| not_understood("xe host-list", "this host", ""))?;
        let pool = records(pool).next().transpose()?.unwrap_or_default();
        let server = values::map(host.get("license-server").unwrap_or_default());
        let restrictions = values::map(pool.get("restrictions").unwrap_or_default());
        let restricted = |(key, value): (&str, String)| {
            Some((key.strip_prefix("restrict_")?.to_owned(), value == "true"))
        };
        Ok(Licence {
            edition: host.require("edition")?.to_owned(),
            server: server.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            restrictions: restrictions.into_iter().filter_map(restricted).collect(),
        })
    }

    /// Gives this host another edition. After: xapi says that it has it. What the host can do from
    /// then on, a new connection finds out. Two calls or more.
    ///
    /// # Errors
    /// What xapi refuses: an edition that there is none (`INVALID_EDITION`), a licence that cannot be
    /// had (`LICENSE_CHECKOUT_ERROR`).
    pub async fn apply_edition(&self, edition: &str) -> Result<()> {
        let apply = XeCommand::new("host-apply-edition")
            .param("edition", edition)
            .param("host-uuid", self.uuid().to_string());
        self.own("license", apply).await?;
        wait_until(format!("host {} to have edition {edition}", self.name()), || async {
            let seen = self.xe().get("host", self.uuid(), "edition").await;
            let seen = seen.map_err(|error| error.during("look at", self.name()))?;
            let seen = seen.unwrap_or_default();
            Ok(Wait::on(seen == edition, format!("its edition is {seen:?}")))
        })
        .within(self.entry().deadlines.state)
        .await
    }
}
