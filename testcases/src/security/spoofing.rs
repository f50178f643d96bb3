//! Guests that speak under the addresses of others.

use xenrt::prelude::*;

use crate::network::segment::{Station, v4};
use crate::support::{Filter, USUAL_PING};

/// The table of the test in dom0's filter of bridges.
const TABLE: &str = "bridge xrtlock";

/// A guest whose VIF is locked to its addresses in dom0 is heard under them, and not under an IP or hardware
/// address of another one; without the lock it is, which shows that the lock is what keeps it.
///
/// The lock is a filter of nftables on dom0's bridge. Skipped where dom0 has no nftables, or its VIFs are on
/// no bridge.
///
/// Arguments: `distro` (generic-linux).
#[testcase(
    id = "security.spoofing_locked",
    timeout = "1h",
    requires(networks),
    claims(host = "exclusive"),
    tags("security", "network")
)]
struct SpoofingLocked {
    filter: Filter,
    stations: Vec<Station>,
}

#[async_trait]
impl TestCase for SpoofingLocked {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let filter = Filter::make(cx, cx.default_host()?.as_ref(), TABLE).await?;
        Ok(Self { filter, stations: Station::several(cx, "xrtspoof", 2).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let [liar, other] = self.stations.as_slice() else {
            return Err(TestError::test("two guests are needed"));
        };
        let (own, false_ip, target) = (v4(5, 1), v4(5, 77), v4(5, 2));
        liar.address(&format!("{own}/24"), &liar.interface).await?;
        other.address(&format!("{target}/24"), &other.interface).await?;
        let false_mac = MacAddress::random_xen();
        cx.step("Speak under other addresses without a lock");
        liar.reaches(target, USUAL_PING, "under its own addresses").await?;
        self.pretend(false_mac).await?;
        liar.reaches(target, USUAL_PING, "under another hardware address without a lock").await?;
        self.pretend(liar.vif.mac).await?;
        cx.step("Lock the VIF");
        self.lock(own).await?;
        liar.reaches(target, USUAL_PING, "under its own addresses with a lock").await?;
        cx.step("Speak under another hardware address");
        self.pretend(false_mac).await?;
        liar.does_not_reach(target, "under another hardware address").await?;
        self.pretend(liar.vif.mac).await?;
        liar.reaches(target, USUAL_PING, "under its own hardware address again").await?;
        cx.step("Speak under another IP address");
        liar.ip(&["address", "del", &format!("{own}/24"), "dev", &liar.interface]).await?;
        liar.address(&format!("{false_ip}/24"), &liar.interface).await?;
        liar.does_not_reach(target, "under another IP address").await?;
        other.does_not_reach(false_ip, "at the IP address of another").await?;
        liar.guest.check().await?;
        Ok(other.guest.check().await?)
    }
}

impl SpoofingLocked {
    /// Has the first guest use this hardware address, where its kernel lets it.
    async fn pretend(&self, mac: MacAddress) -> Result {
        let liar = &self.stations[0];
        let (name, mac) = (liar.interface.as_str(), mac.to_string());
        liar.ip(&["link", "set", "dev", name, "down"]).await?;
        liar.ip(&["link", "set", "dev", name, "address", &mac]).await?;
        liar.ip(&["link", "set", "dev", name, "up"]).await
    }

    /// Lets nothing through the VIF of the first guest but what is under its addresses.
    async fn lock(&self, ip: std::net::IpAddr) -> Result {
        let liar = &self.stations[0];
        let missing = || TestError::product(format!("guest {} has no domain", liar.guest.name()));
        let domid = liar.guest.domain().await?.ok_or_else(missing)?.domid;
        // The name that netback gives its interfaces (xl-network-configuration(5), `vifname`).
        let (port, mac) = (format!("vif{domid}.{}", liar.vif.index), liar.vif.mac);
        let rules = [
            format!("ether saddr != {mac} drop"),
            format!("ether type ip ip saddr != {ip} drop"),
            format!("ether type arp arp saddr ip != {ip} drop"),
        ];
        let rules = rules.map(|rule| format!("iifname \"{port}\" {rule}"));
        let hook = "{ type filter hook prerouting priority 0; policy accept; }";
        self.filter.chain("lock", hook, &rules).await
    }
}
