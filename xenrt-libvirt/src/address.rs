//! Finding the address of a guest.

use std::net::IpAddr;

use virt::connect::Connect;
use virt::domain::Interface;
use virt::error::ErrorNumber;
use virt_sys as sys;
use xenrt_core::Result;
use xenrt_core::model::{Host as _, MacAddress};
use xenrt_core::remote::{Command, Shell, Wait};

use crate::connection::Failure;
use crate::guest::GuestShared;
use crate::host::LibvirtHost;
use crate::observe;
use crate::xml::Domain;

/// Looks once for the address of the first VIF: leases of libvirt's DHCP server, the guest's agent,
/// the host's table of neighbours.
pub(crate) async fn find(host: &LibvirtHost, guest: &GuestShared) -> Result<Wait<IpAddr>> {
    let uuid = guest.uuid;
    let look = move |connect: &Connect| {
        let domain = observe::find(connect, uuid)?;
        let document = Domain::parse(&domain.get_xml_desc(0)?)
            .map_err(|error| crate::error::not_understood("the document of a domain", &error))?;
        let Some(vif) = document.devices.interfaces.first() else { return Ok((None, None)) };
        let mac = vif
            .mac()
            .map_err(|error| crate::error::not_understood("the document of a domain", &error))?;
        if !domain.is_active()? {
            return Ok((Some(mac), None));
        }
        let sources = [
            sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
            sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
            sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
        ];
        for source in sources {
            let interfaces = match domain.interface_addresses(source, 0) {
                Ok(interfaces) => interfaces,
                // A driver or guest without this one.
                Err(error) if is_absent(error.code()) => continue,
                // libvirt 9.0 does not understand every answer of a kernel; the table of neighbours
                // is read below as well.
                Err(_) if source == sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP => continue,
                Err(error) => return Err(Failure::from(error)),
            };
            if let Some(address) = address_of(&interfaces, mac) {
                return Ok((Some(mac), Some(address)));
            }
        }
        Ok((Some(mac), None))
    };
    let found = host.shared.call("find the address of", &guest.object(), look).await?;
    let mac = match found {
        (_, Some(address)) => return Ok(Wait::Done(address)),
        (None, None) => return Ok(Wait::NotYet("it has no VIF".to_owned())),
        (Some(mac), None) => mac,
    };
    if let Some(address) = neighbour(&host.dom0(), mac).await? {
        return Ok(Wait::Done(address));
    }
    let seen = format!("no lease, agent or neighbour of the host tells the address of VIF {mac}");
    Ok(Wait::NotYet(seen))
}

fn is_absent(code: ErrorNumber) -> bool {
    matches!(
        code,
        ErrorNumber::NoSupport
            | ErrorNumber::OperationUnsupported
            | ErrorNumber::ArgumentUnsupported
            | ErrorNumber::InvalidArg
            | ErrorNumber::AgentUnresponsive
            | ErrorNumber::OperationInvalid
    )
}

/// An IPv4 address is preferred; link-local ones do not count.
fn best(mut addresses: Vec<IpAddr>) -> Option<IpAddr> {
    addresses.retain(|address| match address {
        IpAddr::V4(own) => !own.is_link_local() && !own.is_loopback() && !own.is_unspecified(),
        IpAddr::V6(own) => !own.is_unicast_link_local() && !own.is_loopback(),
    });
    addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied()
}

fn address_of(interfaces: &[Interface], mac: MacAddress) -> Option<IpAddr> {
    let own = interfaces.iter().filter(|own| own.hwaddr.parse().ok() == Some(mac));
    best(own.flat_map(|own| &own.addrs).filter_map(|own| own.addr.parse().ok()).collect())
}

/// The address of `mac` in the host's table: `10.0.2.101 dev xenbr0 lladdr 00:16:... STALE`
/// (ip-neighbour(8)). Entries that FAILED have no address.
async fn neighbour(shell: &dyn Shell, mac: MacAddress) -> Result<Option<IpAddr>> {
    let command = Command::new("ip").args(["neigh", "show"]);
    let output = shell.execute(&command.deadline(std::time::Duration::from_secs(60))).await?;
    Ok(neighbour_in(&output.text(), mac))
}

fn neighbour_in(text: &str, mac: MacAddress) -> Option<IpAddr> {
    let lines = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "lladdr")?;
        let own: MacAddress = words.get(at + 1)?.parse().ok()?;
        if own == mac { words.first()?.parse().ok() } else { None }
    });
    best(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_known_by_its_hardware_address() {
        let text = "10.0.2.2 dev virbr0 lladdr 52:55:0a:00:02:02 REACHABLE\n\
                    fe80::216:3eff:fe01:203 dev virbr0 lladdr 00:16:3e:01:02:03 STALE\n\
                    10.0.2.7 dev virbr0 lladdr 00:16:3E:01:02:03 STALE\n\
                    10.0.2.8 dev virbr0 FAILED\n";
        let of = |mac: &str| neighbour_in(text, mac.parse().unwrap());
        assert_eq!(of("00:16:3e:01:02:03"), Some("10.0.2.7".parse().unwrap()));
        assert_eq!(of("00:16:3e:01:02:04"), None);
    }
}
