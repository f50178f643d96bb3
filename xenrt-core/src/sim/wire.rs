//! The commands of simulated shells about the network: traffic between a guest and its dom0, and
//! looking at what crosses the guest's VIF.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::catalogue::DOM0_ADDRESS;
use super::commands::{Session, SimAnswer};
use super::netback::{IPERF_PORT, Netback, NetbackFault};
use super::pcap::{Packet, VifAddresses, capture_header};
use super::vm::Vm;

/// What runs until it is stopped takes so long.
const UNTIL_STOPPED: Duration = Duration::from_secs(24 * 3600);
/// What Linux sets when nobody does.
const LEAST_SEGMENTS: u32 = 2;
/// Where a guest's kernel is told.
const LEAST_SEGMENTS_FILE: &str = "/proc/sys/net/ipv4/tcp_min_tso_segs";

/// A capture that was begun in dom0: packets are written as they come.
#[derive(Debug, Clone)]
pub(super) struct Capture {
    backend: String,
    file: String,
}

impl Vm {
    /// Its first VIF, where it runs and has one that is its own.
    fn first_vif(&mut self, fault: Option<NetbackFault>) -> Option<(String, &mut Netback)> {
        let index = self.vifs.first()?.index;
        let domain = self.domain.as_mut()?;
        let backend = format!("vif{}.{index}", domain.domid);
        Some((backend, domain.netback.get_or_insert_with(|| Box::new(Netback::new(fault)))))
    }
}

impl Session<'_> {
    /// What becomes of a command about the network; `None` where it is none.
    pub(super) fn network(&self, words: &[&str]) -> Option<SimAnswer> {
        match (self.guest, words) {
            (Some(_), ["iperf" | "ping", ..]) => self.traffic(words),
            (None, ["ip", "-o", "route", "get", address]) => {
                let (to, own): (IpAddr, _) = (address.parse().ok()?, self.dom0_address());
                let text = format!("{to} dev simbr0 src {own} uid 0\n    cache\n");
                Some(SimAnswer::text(text))
            }
            (None, ["ss", "-H", "-l", "-t", "-n", filter]) => {
                let port = filter.strip_prefix("sport = :")?.parse().ok()?;
                let listens = self.listening().contains(&port);
                let line = format!("LISTEN 0 5 *:{port} *:*\n");
                Some(SimAnswer::text(if listens { line } else { String::new() }))
            }
            (None, ["iperf", "-s", ..]) => Some(SimAnswer::success().taking(UNTIL_STOPPED)),
            (None, ["mktemp", template]) => {
                let number = self.machine.state().new_pid();
                let path = template.strip_suffix("XXXXXX")?.to_owned() + &format!("{number:06}");
                self.write(&path, Vec::new());
                Some(SimAnswer::text(format!("{path}\n")))
            }
            (None, ["tcpdump", words @ ..]) => Some(self.capture(words)),
            _ => None,
        }
    }

    /// What the kernel of dom0 says of VIFs, a line each.
    pub(super) fn netback_complaints(&self) -> String {
        let mut state = self.machine.state();
        let fault = self.machine.world.netback_fault;
        let vifs = state.vms.values_mut().filter_map(|vm| vm.first_vif(fault));
        let lines = vifs.filter_map(|(backend, netback)| netback.complaint(&backend));
        lines.map(|line| format!("[  100.000000] {line}\n")).collect()
    }

    fn dom0_address(&self) -> Ipv4Addr {
        let network = self.machine.entry.guest_network.as_ref();
        network.and_then(|network| network.dom0_address).unwrap_or(DOM0_ADDRESS)
    }

    /// The ports on which somebody in dom0 listens.
    fn listening(&self) -> Vec<u16> {
        let port = |line: &String| {
            let mut words = line.split_whitespace();
            words.by_ref().find(|word| *word == "iperf").filter(|_| words.next() == Some("-s"))?;
            let named = words.skip_while(|word| *word != "-p").nth(1);
            named.map_or(Some(IPERF_PORT), |port| port.parse().ok())
        };
        self.machine.state().processes.values().filter_map(port).collect()
    }

    /// Traffic of a guest to dom0, written into the captures that watch its VIF.
    fn traffic(&self, words: &[&str]) -> Option<SimAnswer> {
        let least = self.read(LEAST_SEGMENTS_FILE);
        let least = least.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
        let (listening, dom0) = (self.listening(), self.dom0_address());
        let fault = self.machine.world.netback_fault;
        let mtu = self.mtu("/sys/class/net/eth0/mtu")?;
        let mut state = self.machine.state();
        let vm = state.vm(self.machine, self.guest?)?;
        let (mac, Some(IpAddr::V4(guest))) = (vm.vifs.first()?.mac, vm.address) else {
            return None;
        };
        let ends = VifAddresses { mac, guest, dom0 };
        let (backend, netback) = vm.first_vif(fault)?;
        netback.set_mtu(mtu);
        let sent = netback.command(words, &ends, least.unwrap_or(LEAST_SEGMENTS), &listening)?;
        let captures = state.captures.clone();
        for capture in captures.iter().filter(|capture| capture.backend == backend) {
            // One that was stopped and removed is written to no more.
            let Some(file) = state.files.get(&capture.file) else { continue };
            let records = sent.packets.iter().flat_map(Packet::record);
            let bytes: Vec<u8> = file.iter().copied().chain(records).collect();
            state.files.insert(capture.file.clone(), bytes.into());
        }
        let answer = match sent.status {
            0 => SimAnswer::text(sent.text),
            status => SimAnswer::failure(status, sent.text),
        };
        Some(answer.taking(Duration::from_secs(sent.seconds.into())))
    }

    /// Begins a capture that runs until it is stopped.
    fn capture(&self, words: &[&str]) -> SimAnswer {
        let after = |option: &str| {
            let mut words = words.iter().skip_while(|word| **word != option);
            words.nth(1).map(|word| (*word).to_owned())
        };
        let (Some(backend), Some(file)) = (after("-i"), after("-w")) else {
            return SimAnswer::failure(1, "tcpdump: the simulated one needs -i and -w\n");
        };
        let mut state = self.machine.state();
        let there = state.vms.values_mut().any(|vm| {
            vm.first_vif(self.machine.world.netback_fault).is_some_and(|(own, _)| own == backend)
        });
        if !there {
            let message = format!("tcpdump: {backend}: No such device exists\n");
            return SimAnswer::failure(1, message);
        }
        state.files.insert(file.clone(), capture_header().into());
        state.captures.retain(|capture| capture.file != file);
        let said = format!(
            "tcpdump: listening on {backend}, link-type EN10MB (Ethernet), snapshot length 160 bytes\n"
        );
        state.captures.push(Capture { backend, file });
        SimAnswer { stderr: said.into_bytes(), ..SimAnswer::default() }.taking(UNTIL_STOPPED)
    }
}
