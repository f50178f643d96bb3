//! A guest's VIF between its network stack and the control domain: what crosses it, as far as
//! tests look at it, and what a broken netback makes of that.
//!
//! What a guest hands to its VIF is what Linux hands to `xen-netfront`: with segmentation offload
//! TCP gives it packets of many segments, up to 64 KiB with one set of headers; ICMP has no
//! offload and is cut into IP fragments.

use serde::{Deserialize, Serialize};

use super::pcap::{Packet, VifAddresses};

/// What is wrong with a VIF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NetbackFault {
    /// Netback disconnects a VIF for good that offers a packet which is longer than 64 KiB once it is
    /// cut into its segments (before Linux commit "xen-netback: don't disconnect frontend when
    /// seeing oversize packet").
    DisconnectsOversized,
    /// The VIF has no segmentation offload, so that no large packet is ever offered to it.
    NoOffload,
    /// Fragments of IP packets are lost.
    DropsFragments,
}

/// One VIF while its guest runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netback {
    mtu: u32,
    /// How many TCP connections went over it: TCP keeps what it learns of the way.
    connections: u32,
    connected: bool,
    fault: Option<NetbackFault>,
}

/// What a command inside a guest leaves: its status and output, and the packets that it sent or
/// caused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// The exit status.
    pub status: i32,
    /// Its standard output, or standard error where it failed.
    pub text: String,
    /// What crossed the VIF, in order.
    pub packets: Vec<Packet>,
    /// How long it took, in seconds.
    pub seconds: u32,
}

/// What `iperf` listens to unless told otherwise.
pub(super) const IPERF_PORT: u16 = 5001;

/// All that a packet of TCP may carry with offload: 64 KiB less the room that Linux keeps for
/// headers (`GSO_LEGACY_MAX_SIZE` less `MAX_TCP_HEADER`, include/net/tcp.h).
const MOST_DATA: u32 = 65_160;
/// The headers before the data: Ethernet, IP, TCP with its timestamp option.
const HEADERS: u32 = 14 + 20 + 32;
/// Longer than this, a packet is none (include/linux/if_ether.h and ip(7)).
const MOST: u32 = 65_535;
/// So many packets of each second of a connection are told.
const TOLD_EACH_SECOND: u32 = 16;
/// 1 Gbit/s.
const BYTES_EACH_SECOND: u64 = 125_000_000;

impl Netback {
    /// A VIF that was just connected, with the usual MTU.
    pub fn new(fault: Option<NetbackFault>) -> Self {
        Self { mtu: 1500, connections: 0, connected: true, fault }
    }

    /// Whether anything goes through it.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// What dom0's kernel says of a VIF that was disconnected; nothing where it was not.
    pub fn complaint(&self, backend: &str) -> Option<String> {
        let device = backend.strip_prefix("vif").unwrap_or(backend).replace('.', "-");
        // `xenvif_fatal_tx_err`, drivers/net/xen-netback/netback.c.
        let line = format!("vif vif-{device} {backend}: fatal error; disabling device");
        (!self.connected).then_some(line)
    }

    /// What a command about the network does inside the guest: `ip link set eth0 mtu`, `ping` of dom0
    /// and the client of `iperf` (version 2). `least_segments` is `net.ipv4.tcp_min_tso_segs`; `listening` are
    /// the ports on which somebody listens in dom0. `None` for any other command.
    pub fn command(
        &mut self,
        words: &[&str],
        ends: &VifAddresses,
        least_segments: u32,
        listening: &[u16],
    ) -> Option<Sent> {
        match words {
            ["ip", "link", "set", "eth0", "mtu", mtu] => Some(self.set_mtu_as_told(mtu)),
            ["ping", options @ .., address] => {
                let options = options_of(options, &["-c", "-s", "-i", "-W"])?;
                let number = |name| options.value(name).map(str::parse::<u32>);
                let (count, data) =
                    (number("-c").unwrap_or(Ok(1)).ok()?, number("-s").unwrap_or(Ok(56)).ok()?);
                (address.parse() == Ok(ends.dom0)).then(|| self.ping(ends, count, data))
            }
            ["iperf", options @ ..] => {
                let options = options_of(options, &["-c", "-p", "-w", "-y", "-t", "-P"])?;
                let number = |name| options.value(name).map(str::parse::<u32>);
                let (to, "C") = (options.value("-c")?, options.value("-y")?) else { return None };
                let seconds = number("-t").unwrap_or(Ok(10)).ok()?;
                let connections = number("-P").unwrap_or(Ok(1)).ok()?;
                let port = options.value("-p").map_or(Ok(IPERF_PORT), str::parse).ok()?;
                let answers = to.parse() == Ok(ends.dom0) && listening.contains(&port);
                if !answers || !self.connected {
                    let text = format!("connect failed: {}\n", self.why_not());
                    return Some(Sent { status: 1, text, ..Sent::default() });
                }
                let mut sent = Sent { seconds, ..Sent::default() };
                for id in 1..=connections {
                    sent.packets.extend(self.connect(ends, port, seconds, least_segments));
                    let bytes = BYTES_EACH_SECOND * u64::from(seconds) / u64::from(connections);
                    sent.text.push_str(&format!(
                        "20261126120000,{},40000,{to},{port},{id},0.0-{seconds}.0,{bytes},{}\n",
                        ends.guest,
                        bytes * 8 / u64::from(seconds.max(1))
                    ));
                }
                if !self.connected {
                    let text = "write failed: Connection timed out\n".to_owned();
                    return Some(Sent { status: 1, text, ..sent });
                }
                Some(sent)
            }
            _ => None,
        }
    }

    fn why_not(&self) -> &'static str {
        if self.connected { "Connection refused" } else { "No route to host" }
    }

    /// Sets the guest's MTU, from 68 bytes, the least that IPv4 knows.
    pub fn set_mtu(&mut self, mtu: u32) {
        self.mtu = mtu.max(68);
    }

    fn set_mtu_as_told(&mut self, mtu: &str) -> Sent {
        match mtu.parse() {
            // The least is that of IPv4 (RFC 791), the most what netfront takes.
            Ok(mtu @ 68..=MOST) => {
                self.mtu = mtu;
                Sent::default()
            }
            _ => {
                let text = "Error: mtu less than device minimum.\n".to_owned();
                Sent { status: 2, text, ..Sent::default() }
            }
        }
    }

    fn ping(&self, ends: &VifAddresses, count: u32, data: u32) -> Sent {
        const ICMP: u32 = 8;
        let whole = data + ICMP;
        let fits = self.mtu - 20;
        // Each but the last carries a multiple of eight bytes (RFC 791, section 3.2).
        let each = if whole <= fits { whole } else { fits / 8 * 8 };
        let lost = each < whole && self.fault == Some(NetbackFault::DropsFragments);
        let answers = self.connected && !lost;
        let mut packets = Vec::new();
        for id in 1..=u16::try_from(count).unwrap_or(u16::MAX) {
            let mut offset = 0;
            while offset < whole && self.connected && !lost {
                let data = each.min(whole - offset);
                packets.push(Packet::echo(ends, id, offset, data, offset + data < whole));
                offset += data;
            }
            if answers {
                packets.push(Packet::echo_reply(ends, id, whole));
            }
        }
        let (received, loss) = if answers { (count, 0) } else { (0, 100) };
        let text = format!(
            "{count} packets transmitted, {received} received, {loss}% packet loss, time 0ms\n"
        );
        Sent { status: i32::from(!answers), text, packets, seconds: 0 }
    }

    /// One TCP connection that sends as much as it can for so long. A packet begins with the least
    /// number of segments and has twice as many each second, and with each connection before
    /// (`tcp_tso_autosize`, net/ipv4/tcp_output.c: what a millisecond sends).
    fn connect(
        &mut self,
        ends: &VifAddresses,
        port: u16,
        seconds: u32,
        least_segments: u32,
    ) -> Vec<Packet> {
        let announced = u16::try_from(self.mtu - 40).unwrap_or(u16::MAX);
        let segment = (self.mtu - 52).max(1);
        let most_segments = match self.fault {
            Some(NetbackFault::NoOffload) => 1,
            _ => (MOST_DATA / segment).max(1),
        };
        let mut packets = vec![Packet::syn(ends, port, announced)];
        for second in 0..seconds.max(1) {
            let doubled = 1_u32.checked_shl(self.connections + second).unwrap_or(u32::MAX);
            let segments = least_segments.max(2).saturating_mul(doubled).min(most_segments);
            let cut = segments.saturating_mul(segment + HEADERS);
            for _ in 0..TOLD_EACH_SECOND {
                packets.push(Packet::data(ends, port, segments * segment));
                if cut > MOST && self.fault == Some(NetbackFault::DisconnectsOversized) {
                    self.connected = false;
                    return packets;
                }
            }
        }
        self.connections += 1;
        packets
    }
}

/// Options of a command, each with a value.
struct Options<'a>(Vec<(&'a str, &'a str)>);

impl Options<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }
}

/// Reads options; `None` where there is another than these.
fn options_of<'a>(words: &[&'a str], known: &[&str]) -> Option<Options<'a>> {
    let pairs = words.chunks(2).map(|pair| match pair {
        [name, value] if known.contains(name) => Some((*name, *value)),
        _ => None,
    });
    pairs.collect::<Option<_>>().map(Options)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::MacAddress;

    const ENDS: VifAddresses = VifAddresses {
        mac: MacAddress::new([0, 0x16, 0x3e, 0, 0, 1]),
        guest: Ipv4Addr::new(192, 0, 2, 101),
        dom0: Ipv4Addr::new(192, 0, 2, 10),
    };

    fn run(vif: &mut Netback, line: &str) -> Sent {
        let words: Vec<&str> = line.split(' ').collect();
        vif.command(&words, &ENDS, 255, &[IPERF_PORT]).unwrap()
    }

    const IPERF: &str = "iperf -c 192.0.2.10 -p 5001 -w 256K -y C -t 2";

    fn longest(sent: &Sent) -> u32 {
        sent.packets.iter().map(|packet| packet.length).max().unwrap()
    }

    #[test]
    fn a_small_mtu_cuts_pings_and_no_tcp() {
        let mut vif = Netback::new(None);
        assert_eq!(run(&mut vif, "ip link set eth0 mtu 100").status, 0);
        let pings = run(&mut vif, "ping -i 0.3 -c 6 -s 792 192.0.2.10");
        let small = pings.packets.iter().filter(|packet| packet.length <= 114).count();
        assert_eq!((pings.status, small, pings.packets.len()), (0, 60, 66));
        // 255 segments of 48 bytes, and twice as many in the second that follows.
        assert_eq!(longest(&run(&mut vif, IPERF)), 510 * 48 + 66);
        assert_eq!(longest(&run(&mut vif, IPERF)), 1020 * 48 + 66);
        assert_eq!(longest(&run(&mut vif, IPERF)), 1357 * 48 + 66);
        assert!(vif.is_connected() && vif.complaint("vif3.0").is_none());
    }

    #[test]
    fn each_fault_shows_in_what_crosses() {
        let mut vif = Netback::new(Some(NetbackFault::DisconnectsOversized));
        run(&mut vif, "ip link set eth0 mtu 100");
        assert_eq!(run(&mut vif, IPERF).status, 0, "58,140 bytes are not too many");
        assert_eq!(run(&mut vif, IPERF).status, 1);
        assert!(!vif.is_connected());
        let complaint = vif.complaint("vif3.0").unwrap();
        assert_eq!(complaint, "vif vif-3-0 vif3.0: fatal error; disabling device");
        assert_eq!(run(&mut vif, "ping -c 3 192.0.2.10").packets, []);
        let mut vif = Netback::new(Some(NetbackFault::NoOffload));
        assert_eq!(longest(&run(&mut vif, IPERF)), 1514);
        let mut vif = Netback::new(Some(NetbackFault::DropsFragments));
        assert_eq!(run(&mut vif, "ping -c 1 192.0.2.10").status, 0);
        assert_eq!(run(&mut vif, "ping -c 1 -s 2000 192.0.2.10").packets, []);
    }

    #[test]
    fn what_is_not_known_is_not_answered() {
        let mut vif = Netback::new(None);
        for line in [
            "ping -f 192.0.2.10",
            "ping -c 1 192.0.2.9",
            "iperf -s",
            "ip link",
            "iperf -c 192.0.2.10 -t 2",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(vif.command(&words, &ENDS, 2, &[]), None, "{line}");
        }
        assert_eq!(run(&mut vif, "ip link set eth0 mtu 67").status, 2);
        let words: Vec<&str> = IPERF.split(' ').collect();
        assert_eq!(vif.command(&words, &ENDS, 2, &[]).unwrap().status, 1, "nobody listens");
    }
}
