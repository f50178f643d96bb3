//! Finding the address of a guest.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use uuid::Uuid;
use xenrt_core::Result;
use xenrt_core::model::MacAddress;
use xenrt_core::remote::{Shell, Wait};

use crate::error;
use crate::networks;
use crate::parse::{lease_for, neighbour_for, published_for, sections};
use crate::script::{Script, q};

/// The widest network that is searched: 254 addresses.
const SMALLEST_PREFIX: u8 = 24;

/// How often a network is searched for one guest.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(20);

/// When a guest's network was last searched.
#[derive(Debug, Default)]
pub(crate) struct Sweeps(std::sync::Mutex<Option<Instant>>);

impl Sweeps {
    /// Whether it is time to search; the time is noted.
    fn due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= BETWEEN_SWEEPS);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// Looks once for the address of the VIF `mac` on `network` of the guest `uuid`: DHCP leases of
/// dom0, what the guest published in xenstore, dom0's table of neighbours. Where none of them knows
/// it and dom0 is itself on the network, each address of it is sent a datagram, now and then, so that
/// the table of neighbours may know it the next time.
pub(crate) async fn find(
    shell: &dyn Shell,
    uuid: Uuid,
    mac: MacAddress,
    network: &str,
    sweeps: &Sweeps,
) -> Result<Wait<IpAddr>> {
    let script = Script::new()
        .section("leases")
        .step(
            "cat /var/lib/misc/dnsmasq.leases /var/lib/dnsmasq/dnsmasq.leases \
             /var/lib/libvirt/dnsmasq/*.status 2>/dev/null || true",
        )
        .domain(uuid)
        .section("xenstore")
        .step(
            "[ -z \"$id\" ] || for part in attr data; do \
             xenstore-ls -f \"/local/domain/$id/$part\" 2>/dev/null || true; done",
        )
        .section("neighbours")
        .step("ip neigh show || true")
        .section("links")
        .step(networks::LIST);
    let command = script.command().deadline(Duration::from_secs(60));
    let text =
        error::text(shell, &command, "find the address of", &format!("guest {uuid}")).await?;
    let mut links = "";
    for (name, part) in sections(&text)? {
        let found = match name {
            "leases" => lease_for(part, mac),
            "xenstore" => published_for(part),
            "neighbours" => neighbour_for(part, mac),
            _ => {
                links = part;
                None
            }
        };
        if let Some(address) = found {
            return Ok(Wait::Done(address));
        }
    }
    let nets: Vec<(Ipv4Addr, u8)> = networks::addresses_of(links, network)?
        .into_iter()
        .filter(|(_, prefix)| (SMALLEST_PREFIX..=30).contains(prefix))
        .collect();
    if !nets.is_empty() && sweeps.due() {
        sweep(shell, &nets).await?;
    }
    let seen = format!("no DHCP lease, xenstore entry or neighbour of dom0 has the VIF {mac}");
    Ok(Wait::NotYet(seen))
}

/// Makes dom0's kernel ask who has each address of small networks: one datagram to the discard port
/// (9, RFC 863) of each, since the question goes before it. bash sends them without a process each,
/// which matters on a slow host; without it pings do the same, a few at a time.
async fn sweep(shell: &dyn Shell, networks: &[(Ipv4Addr, u8)]) -> Result<()> {
    let addresses: Vec<String> = networks
        .iter()
        .flat_map(|(own, prefix)| hosts_of(*own, *prefix))
        .map(|address| address.to_string())
        .collect();
    let datagrams = "for a do echo >\"/dev/udp/$a/9\"; done 2>/dev/null; true";
    let script = Script::new()
        .step(format!("set -- {}", addresses.join(" ")))
        .step("if command -v bash >/dev/null; then")
        .step(format!("bash -c {} bash \"$@\"", q(datagrams)))
        .step("else n=0; for a do ping -c 1 -W 1 \"$a\" >/dev/null 2>&1 &")
        .step("n=$((n + 1)); [ $((n % 16)) != 0 ] || wait; done; wait; fi");
    let command = script.command().deadline(Duration::from_secs(120));
    error::run(shell, &command, "search", "the guest network").await?;
    Ok(())
}

/// The addresses of a network but its own, its broadcast address and `own`.
fn hosts_of(own: Ipv4Addr, prefix: u8) -> impl Iterator<Item = Ipv4Addr> {
    let size = 1u32 << (32 - u32::from(prefix.clamp(SMALLEST_PREFIX, 30)));
    let first = u32::from(own) & !(size - 1);
    (first + 1..first + size - 1).map(Ipv4Addr::from).filter(move |address| *address != own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_asks_everybody_but_ourselves() {
        let hosts: Vec<Ipv4Addr> = hosts_of("10.0.2.15".parse().unwrap(), 24).collect();
        assert_eq!(hosts.len(), 253);
        assert_eq!(hosts[0], Ipv4Addr::new(10, 0, 2, 1));
        assert!(!hosts.contains(&Ipv4Addr::new(10, 0, 2, 15)));
        assert_eq!(hosts_of("10.0.0.1".parse().unwrap(), 30).count(), 1);
    }

    #[test]
    fn a_network_is_not_searched_at_every_look() {
        let sweeps = Sweeps::default();
        assert!(sweeps.due());
        assert!(!sweeps.due());
    }
}
