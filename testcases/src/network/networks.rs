//! Networks that tests make.

use xenrt::prelude::*;

use crate::support::{count, guest_spec, in_round, up};

/// Networks are made, used by a guest, and removed, over and over. A VIF is on the network that was
/// asked for; a network that a guest uses is not removed under it; one that is removed is gone, and its
/// name can be used again.
///
/// Arguments: `distro` (generic-linux), `loops` (2).
#[testcase(
    id = "network.isolated_networks",
    timeout = "1h",
    requires(networks, vif_hotplug),
    claims(host = "exclusive"),
    tags("network")
)]
struct IsolatedNetworks {
    guest: Arc<dyn Guest>,
    loops: u32,
}

/// The name of the network: short enough for a Linux bridge.
const NAME: &str = "xrtisolated";

#[async_trait]
impl TestCase for IsolatedNetworks {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = count(cx, "loops", 2)?;
        Ok(Self { guest: up(&cx.default_host()?, &guest_spec(cx)?).await?, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        for round in 1..=self.loops {
            cx.step(format!("Make, use and remove a network, round {round} of {}", self.loops));
            self.once().await.map_err(in_round(round, self.loops))?;
        }
        Ok(())
    }
}

impl IsolatedNetworks {
    async fn once(&self) -> Result {
        let (guest, host) = (self.guest.as_ref(), self.guest.host());
        let listed = async || -> Result<bool> {
            Ok(host.networks().await?.iter().any(|network| network.name == NAME))
        };
        host.create_network(&NetworkSpec::isolated(NAME)).await?;
        if !listed().await? {
            return Err(TestError::product(format!("the new network {NAME} is not listed")));
        }
        let vif = guest.attach_vif(VifSpec::on(NAME)).await?;
        if vif.network != NAME {
            let message = format!("the VIF {} is on {}, not on {NAME}", vif.mac, vif.network);
            return Err(TestError::product(message));
        }
        if host.remove_network(NAME).await.is_ok() && !listed().await? {
            let message = format!("{NAME} was removed under guest {}", guest.name());
            return Err(TestError::product(message));
        }
        guest.detach_vif(vif.mac).await?;
        host.remove_network(NAME).await?;
        if listed().await? {
            return Err(TestError::product(format!("the network {NAME} is still there")));
        }
        Ok(())
    }
}
