//! Links of a bond that are cut.

use tokio::time::Instant;
use xenrt::model::Undo;
use xenrt::prelude::*;

use super::segment::{Station, v4};
use crate::support::USUAL_PING;

const MINUTE: Duration = Duration::from_secs(60);
/// The networks at both ends of the bond.
const ENDS: [&str; 2] = ["xrtbonda", "xrtbondb"];
/// The bond, on the network of the first end.
const BOND: &str = "xrtbond";
/// Its links, and the other end of each.
const LINKS: [(&str, &str); 2] = [("xrtbl0", "xrtbp0"), ("xrtbl1", "xrtbp1")];

/// Two networks are joined by a bond of two links in dom0. Guests at both ends reach one another; when the
/// link in use is cut, they do again within `max_outage`, and so for the other link once the first one is
/// back; with both cut they do not.
///
/// Skipped where networks are no bridges of dom0's, or its kernel knows no bonds.
///
/// Arguments: `distro` (generic-linux), `max_outage` (30s).
#[testcase(
    id = "network.bond_link_cut",
    timeout = "1h",
    requires(networks),
    claims(host = "exclusive"),
    tags("network", "bond", "fault")
)]
struct BondLinkCut {
    here: Station,
    there: Station,
    max_outage: Duration,
}

/// Runs `ip` with these words in dom0.
async fn ip(dom0: &dyn Shell, words: &[&str]) -> Result {
    dom0.run(&Command::new("ip").args(words.iter().copied()).deadline(MINUTE)).await?;
    Ok(())
}

#[async_trait]
impl TestCase for BondLinkCut {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let max_outage = cx.args().get_or("max_outage", Duration::from_secs(30))?;
        let host = cx.default_host()?;
        let dom0 = host.dom0();
        for end in ENDS {
            host.create_network(&NetworkSpec::isolated(end)).await?;
            let bridge = Command::new("ip").args(["link", "show", "dev", end, "type", "bridge"]);
            if dom0.text(&bridge.deadline(MINUTE)).await.is_ok_and(|said| !said.is_empty()) {
                continue;
            }
            let reason = format!("network {end} is no bridge of dom0's, which a bond could join");
            return Err(TestError::skip(reason));
        }
        let add = Command::new("ip").args(["link", "add", BOND, "type", "bond"]);
        // The link is looked at every tenth of a second (Linux, Documentation/networking/bonding.rst).
        let add = add.args(["mode", "active-backup", "miimon", "100"]).deadline(MINUTE);
        let said = dom0.execute(&add).await?;
        if !said.status.success() {
            let reason = format!("dom0 makes no bonds: {}", said.error_text().trim());
            return Err(TestError::skip(reason));
        }
        let shell = Arc::clone(&dom0);
        cx.on_cleanup(Undo::new(format!("remove the bond {BOND}"), move || async move {
            // Each end of a link takes the other one with it.
            for name in [BOND, LINKS[0].0, LINKS[1].0] {
                shell
                    .execute(&Command::new("ip").args(["link", "delete", name]).deadline(MINUTE))
                    .await?;
            }
            Ok(())
        }));
        let dom0 = dom0.as_ref();
        for (link, peer) in LINKS {
            ip(dom0, &["link", "add", link, "type", "veth", "peer", "name", peer]).await?;
            ip(dom0, &["link", "set", "dev", link, "master", BOND]).await?;
            ip(dom0, &["link", "set", "dev", peer, "master", ENDS[1]]).await?;
            ip(dom0, &["link", "set", "dev", peer, "up"]).await?;
        }
        ip(dom0, &["link", "set", "dev", BOND, "master", ENDS[0]]).await?;
        ip(dom0, &["link", "set", "dev", BOND, "up"]).await?;
        let missing = || TestError::test("each end needs a guest");
        let here = Station::on(cx, ENDS[0], 1).await?.pop().ok_or_else(missing)?;
        let there = Station::on(cx, ENDS[1], 1).await?.pop().ok_or_else(missing)?;
        Ok(Self { here, there, max_outage })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let dom0 = self.here.guest.host().dom0();
        let dom0 = dom0.as_ref();
        self.here.address(&format!("{}/24", v4(4, 1)), &self.here.interface).await?;
        self.there.address(&format!("{}/24", v4(4, 2)), &self.there.interface).await?;
        self.here.reaches(v4(4, 2), USUAL_PING, "over the whole bond").await?;
        for (_, peer) in LINKS {
            cx.step(format!("Cut the link at {peer}"));
            ip(dom0, &["link", "set", "dev", peer, "down"]).await?;
            let outage = self.away(&format!("with the link at {peer} cut")).await?;
            cx.value(format!("outage, {peer}"), outage.as_secs_f64(), "s");
            ip(dom0, &["link", "set", "dev", peer, "up"]).await?;
            self.away(&format!("with the link at {peer} back")).await?;
        }
        cx.step("Cut both links");
        for (_, peer) in LINKS {
            ip(dom0, &["link", "set", "dev", peer, "down"]).await?;
        }
        // Who is reached then is reached some other way, and all that was seen before proves nothing.
        self.here.does_not_reach(v4(4, 2), "with both links cut").await?;
        for (_, peer) in LINKS {
            ip(dom0, &["link", "set", "dev", peer, "up"]).await?;
        }
        self.away("with both links back").await?;
        self.here.guest.check().await?;
        Ok(self.there.guest.check().await?)
    }
}

impl BondLinkCut {
    /// How long it takes until the guests reach one another.
    async fn away(&self, when: &str) -> Result<Duration> {
        let began = Instant::now();
        let reach = wait_until(
            format!("guests at both ends of the bond to reach one another {when}"),
            || async {
                let problem = self.here.problem(v4(4, 2), USUAL_PING).await;
                // Who cannot log in any more has a problem as well.
                let problem = problem.unwrap_or_else(|error| Some(error.to_string()));
                Ok(Wait::on(problem.is_none(), problem.unwrap_or_default()))
            },
        );
        match reach.within(self.max_outage).await {
            Ok(()) => Ok(began.elapsed()),
            Err(error) => Err(TestError::product(error.to_string())),
        }
    }
}
