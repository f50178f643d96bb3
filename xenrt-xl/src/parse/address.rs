//! Where a guest's address may be seen from dom0: lease files, xenstore, the neighbour table.
//!
//! These outputs are looked through, not understood whole: each line that speaks of the guest in
//! the known form counts, others are somebody else's.

use std::net::IpAddr;

use xenrt_core::model::MacAddress;

/// The address that a DHCP server of dom0 leased to `mac`. Understood are dnsmasq's leases (`expiry
/// mac address name client`, dnsmasq(8)) and libvirt's status files (JSON with `ip-address` and
/// `mac-address`). The last lease counts.
pub(crate) fn lease_for(text: &str, mac: MacAddress) -> Option<IpAddr> {
    let mac = mac.to_string();
    let mut json_address = None;
    let mut found = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let json = |key: &str| {
            let (own, value) = line.trim().split_once(':')?;
            let unquoted = |text: &str| text.trim_matches([' ', ',', '"']).to_owned();
            (unquoted(own) == key).then(|| unquoted(value))
        };
        if let [_, own, address, ..] = words.as_slice()
            && own.eq_ignore_ascii_case(&mac)
        {
            found = address.parse().ok().or(found);
        } else if let Some(address) = json("ip-address") {
            json_address = address.parse().ok();
        } else if json("mac-address").is_some_and(|own| own.eq_ignore_ascii_case(&mac)) {
            found = json_address.or(found);
        }
    }
    found
}

/// The address that the guest's agent published in xenstore, from `xenstore-ls -f` of its folder:
/// `.../attr/vif/0/ipv4/0 = "10.0.0.1"` (xe-guest-utilities), `.../attr/eth0/ip` (older ones), or
/// `.../data/.../ip`.
pub(crate) fn published_for(text: &str) -> Option<IpAddr> {
    text.lines().find_map(|line| {
        let (path, value) = line.split_once(" = ")?;
        let known = path.contains("/attr/vif/0/ipv4")
            || path.ends_with("/attr/eth0/ip")
            || (path.contains("/data/") && path.ends_with("/ip"));
        let address: IpAddr = value.trim().trim_matches('"').parse().ok()?;
        (known && !address.is_unspecified() && !address.is_loopback()).then_some(address)
    })
}

/// The address of `mac` in the output of `ip neigh`: `10.0.2.101 dev xenbr0 lladdr 00:16:... STALE`.
/// An IPv4 address is preferred; link-local ones do not count, and neither do entries that FAILED.
pub(crate) fn neighbour_for(text: &str, mac: MacAddress) -> Option<IpAddr> {
    let mac = mac.to_string();
    let mut addresses: Vec<IpAddr> = text
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "lladdr")?;
            let own = words.get(at + 1)?.eq_ignore_ascii_case(&mac);
            let failed = words.last() == Some(&"FAILED");
            let address: IpAddr = words.first()?.parse().ok()?;
            let local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            (own && !failed && !local).then_some(address)
        })
        .collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mac() -> MacAddress {
        "00:16:3e:00:00:65".parse().unwrap()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn leases_of_dnsmasq_and_libvirt_are_found() {
        let dnsmasq = "1732400000 00:16:3e:00:00:01 10.0.0.4 a *\n\
                       1732400000 00:16:3E:00:00:65 10.0.0.5 tiny ff:00\nduid 00:01\n";
        assert_eq!(lease_for(dnsmasq, mac()), ip("10.0.0.5"));
        let libvirt = "[\n  {\n    \"ip-address\": \"192.168.122.7\",\n    \
                       \"mac-address\": \"00:16:3e:00:00:65\",\n    \"expiry-time\": 1\n  }\n]\n";
        assert_eq!(lease_for(libvirt, mac()), ip("192.168.122.7"));
        assert_eq!(lease_for("", mac()), None);
    }

    #[test]
    fn what_a_guest_publishes_is_found() {
        let text = "/local/domain/5/attr/vif/0/ipv4/0 = \"10.1.2.3\"\n";
        assert_eq!(published_for(text), ip("10.1.2.3"));
        assert_eq!(published_for("/local/domain/5/data/nic/ip = \"10.1.2.4\"\n"), ip("10.1.2.4"));
        assert_eq!(published_for("/local/domain/5/data/nic/ip = \"\"\n"), None);
        assert_eq!(published_for("/local/domain/5/name = \"10.1.2.3\"\n"), None);
    }

    #[test]
    fn neighbours_are_found_by_hardware_address() {
        let text = "fe80::216:3eff:fe00:65 dev xenbr0 lladdr 00:16:3e:00:00:65 STALE\n\
                    fd00::65 dev xenbr0 lladdr 00:16:3e:00:00:65 STALE\n\
                    10.0.2.101 dev xenbr0 lladdr 00:16:3e:00:00:65 REACHABLE\n\
                    10.0.2.102 dev xenbr0  FAILED\n10.0.2.103 dev xenbr0 INCOMPLETE\n";
        assert_eq!(neighbour_for(text, mac()), ip("10.0.2.101"));
        assert_eq!(neighbour_for("10.0.2.9 dev b lladdr 00:16:3e:00:00:66 STALE", mac()), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text: String) {
            let _ = (lease_for(&text, mac()), published_for(&text), neighbour_for(&text, mac()));
        }
    }
}
