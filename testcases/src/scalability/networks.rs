//! How many networks a host bears.

use xenrt::prelude::*;

use crate::support::{Timings, count, in_round};

/// Many networks are made on one host, each is listed with the ones before it, and all are removed
/// again, the last ones first. How long each took is kept.
///
/// Arguments: `networks` (16), `loops` (2).
#[testcase(
    id = "scalability.many_networks",
    timeout = "2h",
    requires(networks),
    claims(host = "exclusive"),
    tags("scalability", "network")
)]
struct ManyNetworks {
    host: Arc<dyn Host>,
    networks: u32,
    loops: u32,
}

#[async_trait]
impl TestCase for ManyNetworks {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (networks, loops) = (count(cx, "networks", 16)?, count(cx, "loops", 2)?);
        Ok(Self { host: cx.default_host()?, networks, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut times = Timings::default();
        for round in 1..=self.loops {
            cx.step(format!("Make and remove {} networks, round {round}", self.networks));
            self.once(&mut times).await.map_err(in_round(round, self.loops))?;
        }
        times.tell(cx);
        Ok(())
    }
}

impl ManyNetworks {
    async fn once(&self, times: &mut Timings) -> Result {
        // Short enough for a Linux bridge, which has 15 bytes at the most.
        let names: Vec<String> =
            (1..=self.networks).map(|number| format!("xrtn{number}")).collect();
        for name in &names {
            times.of("create", self.host.create_network(&NetworkSpec::isolated(name))).await?;
        }
        let listed = self.host.networks().await?;
        let known = |name: &String| listed.iter().any(|network| network.name == *name);
        let missing: Vec<&str> =
            names.iter().filter(|name| !known(name)).map(String::as_str).collect();
        if !missing.is_empty() {
            let message =
                format!("{} of {} new networks are not listed", missing.len(), names.len());
            return Err(TestError::product(format!("{message}: {}", missing.join(", "))));
        }
        for name in names.iter().rev() {
            times.of("remove", self.host.remove_network(name)).await?;
        }
        let listed = self.host.networks().await?;
        let left: Vec<&str> = listed
            .iter()
            .map(|network| network.name.as_str())
            .filter(|name| names.iter().any(|own| own == name))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        let message = format!("{} of {} networks were removed and are", left.len(), names.len());
        Err(TestError::product(format!("{message} still there: {}", left.join(", "))))
    }
}
