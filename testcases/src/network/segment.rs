//! Guests with a network of their own, beside the one over which they are reached.

use std::net::IpAddr;

use xenrt::prelude::*;

use crate::support::{guest_spec, pings, up};

/// How long a command about an interface may take.
const MINUTE: Duration = Duration::from_secs(60);

/// A guest and its interface on the network of the test.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) guest: Arc<dyn Guest>,
    /// Its interface there, as it knows it: `eth1`.
    pub(crate) interface: String,
    /// The VIF.
    pub(crate) vif: xenrt::model::Vif,
}

impl Station {
    /// So many guests with an interface on a new network for guests alone, which is up and has no address.
    pub(crate) async fn several(
        cx: &TestContext,
        network: &str,
        count: usize,
    ) -> Result<Vec<Self>> {
        let host = cx.default_host()?;
        host.create_network(&NetworkSpec::isolated(network)).await?;
        Self::on(cx, network, count).await
    }

    /// The same on a network that is there.
    pub(crate) async fn on(cx: &TestContext, network: &str, count: usize) -> Result<Vec<Self>> {
        let host = cx.default_host()?;
        let mut stations = Vec::new();
        for _ in 0..count {
            let mac = MacAddress::random_xen();
            let spec = guest_spec(cx)?.vif(VifSpec::on(network).mac(mac));
            let guest = up(&host, &spec).await?;
            let vifs = guest.view().await?.vifs;
            let missing = || TestError::product(format!("guest {} has no VIF {mac}", guest.name()));
            let vif = vifs.into_iter().find(|vif| vif.mac == mac).ok_or_else(missing)?;
            let find = format!("grep -l -i {mac} /sys/class/net/*/address");
            let path = guest.shell().await?.text(&Command::shell_line(find)).await?;
            let interface = path.split('/').nth(4).unwrap_or_default().to_owned();
            if interface.is_empty() {
                return Err(missing());
            }
            let station = Self { guest, interface, vif };
            let name = station.interface.clone();
            station.ip(&["link", "set", "dev", &name, "up"]).await?;
            stations.push(station);
        }
        Ok(stations)
    }

    /// Runs `ip` with these words in the guest.
    ///
    /// # Errors
    /// A skip where the guest's `ip` or kernel does not know how; whatever the login brings.
    pub(crate) async fn ip(&self, words: &[&str]) -> Result {
        let command = Command::new("ip").args(words.iter().copied()).deadline(MINUTE);
        let said = self.guest.shell().await?.execute(&command).await?;
        if said.status.success() {
            return Ok(());
        }
        let (name, why) = (self.guest.name(), said.error_text());
        // "Not supported" of the kernel (EOPNOTSUPP), and of an `ip` without this part.
        let lacks =
            ["not supported", "nknown device type", "invalid argument", "not found", "Usage:"];
        let reason = format!("guest {name} cannot do `{command}`: {}", why.trim());
        if lacks.iter().any(|words| why.contains(words)) {
            return Err(TestError::skip(reason));
        }
        Err(TestError::infrastructure(reason))
    }

    /// Gives an interface of the guest an address, with its prefix.
    pub(crate) async fn address(&self, address: &str, interface: &str) -> Result {
        self.ip(&["address", "add", address, "dev", interface]).await
    }

    /// Gives the guest an interface for a VLAN of its network, which is up, and returns its name.
    pub(crate) async fn vlan(&self, tag: u16) -> Result<String> {
        let (below, tag) = (self.interface.as_str(), tag.to_string());
        let name = format!("{below}.{tag}");
        self.ip(&["link", "add", "link", below, "name", &name, "type", "vlan", "id", &tag]).await?;
        self.ip(&["link", "set", "dev", &name, "up"]).await?;
        Ok(name)
    }

    /// What ping says where somebody at this address does not answer.
    pub(crate) async fn problem(&self, to: IpAddr, bytes: u32) -> Result<Option<String>> {
        Ok(pings(self.guest.shell().await?.as_ref(), to, bytes).await?.err())
    }

    /// Nothing where an address answers pings with so many bytes.
    ///
    /// # Errors
    /// The product's, with what ping says.
    pub(crate) async fn reaches(&self, to: IpAddr, bytes: u32, when: &str) -> Result {
        match self.problem(to, bytes).await? {
            None => Ok(()),
            Some(said) => Err(TestError::product(format!(
                "{when} guest {} does not reach {to} with {bytes} bytes: {said}",
                self.guest.name()
            ))),
        }
    }

    /// Nothing where an address does not answer.
    ///
    /// # Errors
    /// The product's, where it does.
    pub(crate) async fn does_not_reach(&self, to: IpAddr, when: &str) -> Result {
        match self.problem(to, crate::support::USUAL_PING).await? {
            Some(_) => Ok(()),
            None => Err(TestError::product(format!(
                "{when} guest {} reaches {to}, and must not",
                self.guest.name()
            ))),
        }
    }
}

/// An address of IPv4 in a /24 of the test's own: the net, and the host in it.
pub(crate) fn v4(net: u8, host: u8) -> IpAddr {
    IpAddr::from([10, 99, net, host])
}
