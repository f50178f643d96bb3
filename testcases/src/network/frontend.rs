//! Finding a guest's VIF from both of its ends.

use std::net::IpAddr;

use xenrt::prelude::*;

use crate::support::source_towards;

/// A guest's VIF as the guest and the control domain know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VifEnds {
    /// The hardware address that the guest uses.
    pub mac: MacAddress,
    /// The interface in the guest: `eth0`.
    pub frontend: String,
    /// The interface in the control domain: `vif3.0`.
    pub backend: String,
}

impl VifEnds {
    /// Both ends of the first VIF of a running, reachable guest.
    ///
    /// # Errors
    /// When the guest has no VIF or no domain, or does not show an interface with the VIF's
    /// address.
    pub async fn of_first_vif(guest: &dyn Guest) -> Result<Self> {
        let vifs = guest.view().await?.vifs;
        let Some(vif) = vifs.first() else {
            return Err(TestError::test(format!("guest {} has no VIF", guest.name())));
        };
        let backend = match guest.vif_backend(vif).await {
            Err(xenrt::Error::WrongState { .. }) => {
                return Err(TestError::product(format!("guest {} has no domain", guest.name())));
            }
            result => result?,
        };
        let find = format!("grep -l -i {} /sys/class/net/*/address", vif.mac);
        let path = guest.shell().await?.text(&Command::shell_line(find)).await?;
        let frontend = path.lines().next().and_then(|path| path.split('/').nth(4));
        let Some(frontend) = frontend else {
            return Err(TestError::product(format!(
                "no interface of guest {} has the address {} of its VIF",
                guest.name(),
                vif.mac
            )));
        };
        Ok(Self { mac: vif.mac, frontend: frontend.to_owned(), backend })
    }
}

/// The address of the control domain on the network of `guest`: the one from which it talks to it.
///
/// # Errors
/// When dom0 has no route to the guest, or says what is not understood.
pub async fn dom0_address_towards(host: &dyn Host, guest: &dyn Guest) -> Result<IpAddr> {
    let address = guest.wait_for_address().await?;
    source_towards(host.dom0().as_ref(), address).await
}
