//! Packets as tcpdump writes them (pcap-savefile(5), link type Ethernet).

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::MacAddress;

/// How much of each packet is kept: all headers with all their options.
const SNAP_LENGTH: usize = 160;

/// The control domain's end of a VIF has this address (`vif` interfaces of Linux bridges).
const BACKEND: MacAddress = MacAddress::new([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]);

/// Who speaks over a VIF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VifAddresses {
    /// The guest's hardware address.
    pub mac: MacAddress,
    /// The guest's address.
    pub guest: Ipv4Addr,
    /// The control domain's address on the guest's network.
    pub dom0: Ipv4Addr,
}

/// One packet that crossed a VIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its length in bytes, Ethernet header included.
    pub length: u32,
    /// Its first bytes.
    kept: Vec<u8>,
}

/// What stands at the beginning of a capture: byte order, version 2.4, snap length, Ethernet.
pub fn capture_header() -> Vec<u8> {
    let words = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, SNAP_LENGTH as u32, 1];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

impl Packet {
    /// As a capture holds it.
    pub fn record(&self) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        let words = [seconds, now.subsec_micros(), self.kept.len() as u32, self.length];
        let mut record: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        record.extend(&self.kept);
        record
    }

    /// A part of an ICMP echo request, or all of it: `data` bytes behind its IP header, `offset`
    /// bytes into the whole.
    pub(super) fn echo(ends: &VifAddresses, id: u16, offset: u32, data: u32, more: bool) -> Self {
        let flags = u16::from(more) << 13 | u16::try_from(offset / 8).unwrap_or(0x1fff);
        let mut body = Vec::new();
        if offset == 0 {
            // Echo request, code 0, checksum, identifier, sequence number.
            body.extend([8, 0, 0, 0, 0x12, 0x34, id.to_be_bytes()[0], id.to_be_bytes()[1]]);
        }
        Self::from_guest(ends, 1, id, flags, body, data)
    }

    /// The answer to an echo request of so many bytes.
    pub(super) fn echo_reply(ends: &VifAddresses, id: u16, data: u32) -> Self {
        let body = vec![0, 0, 0, 0, 0x12, 0x34, id.to_be_bytes()[0], id.to_be_bytes()[1]];
        let backwards = (BACKEND, ends.mac, ends.dom0, ends.guest);
        Self::new(backwards, 1, id, 0, body, data)
    }

    /// The first packet of a TCP connection, which announces a maximum segment size.
    pub(super) fn syn(ends: &VifAddresses, port: u16, mss: u16) -> Self {
        let [high, low] = mss.to_be_bytes();
        // MSS, SACK permitted, timestamps, no operation, window scale 7.
        let options = [2, 4, high, low, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        Self::tcp(ends, port, 0x02, &options, 0)
    }

    /// A packet of a TCP connection with so many bytes of data.
    pub(super) fn data(ends: &VifAddresses, port: u16, data: u32) -> Self {
        let options = [1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 1];
        Self::tcp(ends, port, 0x18, &options, data)
    }

    fn tcp(ends: &VifAddresses, port: u16, flags: u8, options: &[u8], data: u32) -> Self {
        let mut header = Vec::new();
        header.extend(40_000_u16.to_be_bytes());
        header.extend(port.to_be_bytes());
        header.extend(1_u32.to_be_bytes());
        header.extend(1_u32.to_be_bytes());
        let words = u8::try_from((20 + options.len()) / 4).unwrap_or(15);
        header.extend([words << 4, flags]);
        // Window, checksum, urgent pointer.
        header.extend([0xff, 0xff, 0, 0, 0, 0]);
        header.extend(options);
        let length = header.len() as u32 + data;
        // Do not fragment.
        Self::from_guest(ends, 6, 1, 0x4000, header, length)
    }

    fn from_guest(
        ends: &VifAddresses,
        protocol: u8,
        id: u16,
        flags: u16,
        begin: Vec<u8>,
        length: u32,
    ) -> Self {
        let ways = (ends.mac, BACKEND, ends.guest, ends.dom0);
        Self::new(ways, protocol, id, flags, begin, length)
    }

    /// A packet whose `length` bytes behind the IP header begin like this.
    fn new(
        (from, to, source, destination): (MacAddress, MacAddress, Ipv4Addr, Ipv4Addr),
        protocol: u8,
        id: u16,
        flags: u16,
        begin: Vec<u8>,
        length: u32,
    ) -> Self {
        const ETHERNET: u32 = 14;
        const IP: u32 = 20;
        let total = u16::try_from(IP + length).unwrap_or(u16::MAX);
        let mut ip = vec![0x45, 0];
        ip.extend(total.to_be_bytes());
        ip.extend(id.to_be_bytes());
        ip.extend(flags.to_be_bytes());
        ip.extend([64, protocol, 0, 0]);
        ip.extend(source.octets());
        ip.extend(destination.octets());
        let sum = checksum(&ip).to_be_bytes();
        ip[10..12].copy_from_slice(&sum);
        let mut kept = Vec::new();
        kept.extend(to.bytes());
        kept.extend(from.bytes());
        kept.extend([0x08, 0x00]);
        kept.extend(ip);
        kept.extend(begin);
        let whole = ETHERNET + IP + length;
        kept.resize(SNAP_LENGTH.min(whole as usize), 0);
        Self { length: whole, kept }
    }
}

/// The checksum of a header (RFC 1071), whose own field is zero.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_its_checksum_sums_up_to_nothing() {
        let ends = VifAddresses {
            mac: MacAddress::new([0, 0x16, 0x3e, 0, 0, 1]),
            guest: Ipv4Addr::new(192, 0, 2, 101),
            dom0: Ipv4Addr::new(192, 0, 2, 10),
        };
        let packet = Packet::echo(&ends, 7, 80, 80, true);
        assert_eq!(checksum(&packet.kept[14..34]), 0);
        assert_eq!((packet.length, packet.kept.len()), (114, 114));
        let large = Packet::data(&ends, 5001, 65_136);
        assert_eq!((large.length, large.kept.len()), (65_202, SNAP_LENGTH));
        assert_eq!(large.record().len(), 16 + SNAP_LENGTH);
    }
}
