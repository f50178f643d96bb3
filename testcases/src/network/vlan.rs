//! Tagged frames, IPv6 and multicast between guests.

use std::net::{IpAddr, Ipv6Addr};

use xenrt::prelude::*;

use super::segment::{Station, v4};
use crate::support::{USUAL_PING, count, in_round};

/// What a ping of one packet of 1500 bytes carries beside the headers of IP and ICMP (RFC 791, RFC 792).
const FULL_V4: u32 = 1500 - 20 - 8;
/// The same for IPv6 (RFC 8200, RFC 4443).
const FULL_V6: u32 = 1500 - 40 - 8;

/// Guests that speak the same VLAN over one network reach one another, with packets of every size up to
/// the MTU, for the tag does not count to it, and beyond; guests that speak different ones do not, though
/// their addresses are of one subnet.
///
/// Skipped where the guest's kernel knows no VLANs.
///
/// Arguments: `distro` (generic-linux), `tags`: how many VLANs are tried (3).
#[testcase(
    id = "network.vlan",
    timeout = "2h",
    requires(networks),
    claims(host = "exclusive"),
    tags("network", "vlan")
)]
struct Vlan {
    stations: Vec<Station>,
    tags: u16,
}

/// The first tag, in steps of which the others follow: the lowest, the usual, and near the highest of 4094
/// (IEEE 802.1Q).
const TAGS: [u16; 6] = [2, 100, 4094, 1000, 2000, 3000];

#[async_trait]
impl TestCase for Vlan {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let tags: u16 = count(cx, "tags", 3)?;
        if usize::from(tags) > TAGS.len() {
            return Err(TestError::test(format!("`tags` is {tags}; {} can be tried", TAGS.len())));
        }
        Ok(Self { stations: Station::several(cx, "xrtvlan", 2).await?, tags })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let [one, two] = self.stations.as_slice() else {
            return Err(TestError::test("two guests are needed"));
        };
        for (net, tag) in (1_u8..).zip(TAGS).take(self.tags.into()) {
            cx.step(format!("Speak VLAN {tag}"));
            let both = [one.vlan(tag).await?, two.vlan(tag).await?];
            one.address(&format!("{}/24", v4(net, 1)), &both[0]).await?;
            two.address(&format!("{}/24", v4(net, 2)), &both[1]).await?;
            for bytes in [USUAL_PING, FULL_V4, FULL_V4 + 1, 8000] {
                one.reaches(v4(net, 2), bytes, &format!("in VLAN {tag}")).await?;
                two.reaches(v4(net, 1), bytes, &format!("in VLAN {tag}")).await?;
            }
        }
        cx.step("Speak different VLANs in one subnet");
        let [first, second] = [one.vlan(4001).await?, two.vlan(4002).await?];
        one.address(&format!("{}/24", v4(200, 1)), &first).await?;
        two.address(&format!("{}/24", v4(200, 2)), &second).await?;
        one.does_not_reach(v4(200, 2), "from VLAN 4001 to 4002").await?;
        two.does_not_reach(v4(200, 1), "from VLAN 4002 to 4001").await?;
        one.reaches(v4(1, 2), USUAL_PING, "in the first VLAN, afterwards").await?;
        one.guest.check().await?;
        Ok(two.guest.check().await?)
    }
}

/// Guests reach one another by IPv6, with packets of every size up to the MTU, with such as need fragments,
/// and again after their interfaces were down.
///
/// Arguments: `distro` (generic-linux), `loops` (2).
#[testcase(
    id = "network.ipv6",
    timeout = "1h",
    requires(networks),
    claims(host = "exclusive"),
    tags("network", "ipv6")
)]
struct Ipv6 {
    stations: Vec<Station>,
    loops: u32,
}

#[async_trait]
impl TestCase for Ipv6 {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = count(cx, "loops", 2)?;
        Ok(Self { stations: Station::several(cx, "xrtipv6", 2).await?, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let [one, two] = self.stations.as_slice() else {
            return Err(TestError::test("two guests are needed"));
        };
        for round in 1..=self.loops {
            // Addresses of IPv6 go when an interface goes down (Linux, ip-sysctl, keep_addr_on_down).
            let own = |host| Ipv6Addr::new(0xfd00, 0x99, 0, round as u16, 0, 0, 0, host);
            cx.step(format!("Reach one another by IPv6, round {round} of {}", self.loops));
            let once = async {
                for (station, host) in [(one, 1), (two, 2)] {
                    station.address(&format!("{}/64", own(host)), &station.interface).await?;
                }
                for bytes in [USUAL_PING, FULL_V6, FULL_V6 + 1, 8000] {
                    one.reaches(IpAddr::V6(own(2)), bytes, "by IPv6").await?;
                    two.reaches(IpAddr::V6(own(1)), bytes, "by IPv6").await?;
                }
                for station in [one, two] {
                    station.ip(&["link", "set", "dev", &station.interface, "down"]).await?;
                    station.ip(&["link", "set", "dev", &station.interface, "up"]).await?;
                }
                Ok(())
            };
            once.await.map_err(in_round(round, self.loops))?;
        }
        one.guest.check().await?;
        Ok(two.guest.check().await?)
    }
}

/// What one guest sends to all on its network arrives at each of them: pings to the group of all hosts are
/// answered by every other guest.
///
/// Arguments: `distro` (generic-linux), `guests` (3).
#[testcase(
    id = "network.multicast",
    timeout = "1h",
    requires(networks),
    claims(host = "exclusive"),
    tags("network", "multicast")
)]
struct Multicast {
    stations: Vec<Station>,
}

#[async_trait]
impl TestCase for Multicast {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let guests: u8 = count(cx, "guests", 3)?;
        let stations = Station::several(cx, "xrtmulticast", usize::from(guests.max(2))).await?;
        Ok(Self { stations })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let minute = Duration::from_secs(60);
        for (host, station) in (1..).zip(&self.stations) {
            station.address(&format!("{}/24", v4(3, host)), &station.interface).await?;
            // Linux answers no pings to groups unless it is told to (ip-sysctl).
            let answer = "echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_broadcasts";
            let answer = Command::shell_line(answer).deadline(minute);
            station.guest.shell().await?.run(&answer).await?;
        }
        for (host, station) in (1..).zip(&self.stations) {
            let name = station.guest.name();
            cx.step(format!("Ping all hosts from {name}"));
            // RFC 1112, 4: everybody is in this group. Whole seconds, as busybox has them.
            let ping = Command::new("ping").args(["-c", "3", "-W", "5", "-I", &station.interface]);
            let ping = ping.arg("224.0.0.1").deadline(minute);
            let shell = station.guest.shell().await?;
            let others: Vec<IpAddr> =
                (1..).zip(&self.stations).map(|(own, _)| v4(3, own)).collect();
            let mut silent: Vec<IpAddr> =
                others.into_iter().filter(|own| *own != v4(3, host)).collect();
            // One may be lost on any network.
            for _ in 0..3 {
                let said = shell.execute(&ping).await?.text();
                silent.retain(|other| !answered(&said, *other));
                if silent.is_empty() {
                    break;
                }
            }
            if !silent.is_empty() {
                let silent: Vec<String> = silent.iter().map(ToString::to_string).collect();
                return Err(TestError::product(format!(
                    "what guest {name} sends to all hosts does not reach {}",
                    silent.join(", ")
                )));
            }
        }
        Ok(())
    }
}

/// Whether ping tells of an answer from this address: `64 bytes from 10.99.3.2: ...`.
fn answered(said: &str, address: IpAddr) -> bool {
    let mut from = said.lines().filter_map(|line| line.split_once(" from "));
    from.any(|(_, rest)| {
        rest.split([':', ' ']).next().and_then(|word| word.parse().ok()) == Some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_both_pings_are_told_from_lines_that_are_none() {
        // iputils 20221126 and busybox 1.35 of Debian 12.
        let iputils = "PING 224.0.0.1 (224.0.0.1) from 10.99.3.1 eth1: 56(84) bytes of data.\n\
                       64 bytes from 10.99.3.2: icmp_seq=1 ttl=64 time=0.3 ms\n";
        let busybox = "64 bytes from 10.99.3.3: seq=0 ttl=64 time=0.4 ms (DUP!)\n";
        assert!(answered(iputils, v4(3, 2)) && answered(busybox, v4(3, 3)));
        assert!(!answered(iputils, v4(3, 20)) && !answered("", v4(3, 2)));
    }
}
