//! What crosses the VIFs of guests, and the programs of dom0 that look at it: `tcpdump`, `iperf`,
//! `ss`, `ip`, `ping` and `dmesg`.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use xenrt_core::model::MacAddress;
use xenrt_core::sim::{Netback, NetbackFault, Packet, Sent, VifAddresses, capture_header};

use super::answer::Answer;
use super::store::{Double, HOST_VARIABLE};
use super::world::{Object, World};

/// What a VM keeps of its first VIF, beyond what xapi shows.
const NETBACK: &str = "netback";
/// What a host keeps of captures that were begun, and of who listens.
const CAPTURES: &str = "captures";
const LISTENING: &str = "listening";

/// The programs of dom0 that are here.
pub(super) const PROGRAMS: &[&str] = &["dmesg", "ip", "iperf", "ping", "ss", "tcpdump"];

/// Runs a program of dom0. One that runs until it is stopped does not return.
pub(super) fn program(double: &Double, name: &str, words: &[String]) -> std::io::Result<Answer> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (name, words.as_slice()) {
        ("dmesg", []) => double.look(|world| Answer::text(kernel_log(world))),
        ("ip", ["-o", "route", "get", address]) => double.look(|world| match own_address(world) {
            Some(own) => {
                Answer::text(format!("{address} dev xenbr0 src {own} uid 0 \n    cache \n"))
            }
            None => Answer::failed("RTNETLINK answers: Network is unreachable\n"),
        }),
        ("ss", ["-H", "-l", "-t", "-n", filter]) => {
            let port = filter.strip_prefix("sport = :").and_then(|port| port.parse().ok());
            let Some(port) = port else { return Ok(not_here(name, &words)) };
            let there = double.look(|world| listening(world).contains(&port))?;
            let line = format!("LISTEN 0      5            0.0.0.0:{port}      0.0.0.0:*   \n");
            Ok(Answer::text(if there { line } else { String::new() }))
        }
        ("ping", [.., address]) => double.look(|world| ping(world, &words, address)),
        ("iperf", ["-s", rest @ ..]) => {
            let port = rest.iter().skip_while(|word| **word != "-p").nth(1);
            let Some(port) = port.map_or(Some(5001), |port| port.parse::<u16>().ok()) else {
                return Ok(not_here(name, &words));
            };
            let process = std::process::id();
            double.change(|world| {
                note(world, LISTENING, &format!("{process} {port}"));
            })?;
            until_stopped()
        }
        ("tcpdump", words) => capture(double, words),
        _ => Ok(not_here(name, &words)),
    }
}

fn not_here(name: &str, words: &[&str]) -> Answer {
    let words = words.join(" ");
    Answer::failed(format!("{name} of the double: `{name} {words}` is not there\n"))
}

fn until_stopped() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Adds a line to what the host of this dom0 keeps.
fn note(world: &mut World, what: &str, line: &str) {
    let Some(host) = own_host(world).map(Object::uuid) else { return };
    if let Some(host) = world.object_mut("host", &host) {
        let lines = host.hidden.entry(what.to_owned()).or_default();
        lines.push_str(line);
        lines.push('\n');
    }
}

/// The host whose dom0 this is; the first one where nothing says.
pub(super) fn own_host(world: &World) -> Option<&Object> {
    let own = std::env::var(HOST_VARIABLE).unwrap_or_default();
    world.all("host").find(|host| host.is("name-label", &own)).or(world.all("host").next())
}

fn own_address(world: &World) -> Option<Ipv4Addr> {
    own_host(world)?.text("address").parse().ok()
}

/// The ports on which programs of dom0 listen that still run.
fn listening(world: &World) -> Vec<u16> {
    let port = |line: &str| {
        let (process, port) = line.split_once(' ')?;
        Path::new("/proc").join(process).exists().then(|| port.parse().ok()).flatten()
    };
    let lines = world.all("host").filter_map(|host| host.hidden(LISTENING));
    lines.flat_map(str::lines).filter_map(port).collect()
}

/// The name of the first VIF of a VM in dom0, as netback gives it.
fn backend(world: &World, vm: &Object) -> Option<String> {
    let vifs = world.all("vif").filter(|vif| vif.is("vm-uuid", &vm.uuid()));
    let first = vifs.min_by_key(|vif| vif.number("device"))?;
    (!vm.is("dom-id", "-1")).then(|| format!("vif{}.{}", vm.text("dom-id"), first.text("device")))
}

/// What is at the other end of a VM's first VIF: a new one where nothing went over it since it was
/// booted.
fn netback(world: &World, vm: &Object) -> Netback {
    // It goes with the boot that it was made for.
    let boot = vm.hidden("boot").unwrap_or_default();
    let kept = vm.hidden(NETBACK).and_then(|kept| kept.split_once(' '));
    let kept = kept.filter(|(own, _)| *own == boot);
    let kept = kept.and_then(|(_, kept)| serde_json::from_str(kept).ok());
    kept.unwrap_or_else(|| Netback::new(world.netback))
}

/// Whether anything reaches a VM through its first VIF.
pub(super) fn is_connected(world: &World, vm: &Object) -> bool {
    netback(world, vm).is_connected()
}

fn kernel_log(world: &World) -> String {
    let mut log = String::from("[    0.000000] Linux version 4.19.0+1\n");
    for vm in world.all("vm").filter(|vm| vm.is("power-state", "running")) {
        let said = backend(world, vm).and_then(|own| netback(world, vm).complaint(&own));
        log.extend(said.map(|line| format!("[  100.000000] {line}\n")));
    }
    log
}

/// The running VM that has this address.
pub(super) fn at_address<'a>(world: &'a World, address: &str) -> Option<&'a Object> {
    let own = format!("0/ip: {address}");
    world.all("vm").find(|vm| {
        vm.is("power-state", "running") && vm.text("networks").split("; ").any(|part| part == own)
    })
}

fn ping(world: &World, words: &[&str], address: &str) -> Answer {
    let count = words.iter().skip_while(|word| **word != "-c").nth(1).copied().unwrap_or("1");
    let there = at_address(world, address).is_some_and(|vm| is_connected(world, vm));
    let (received, lost) = if there { (count, 0) } else { ("0", 100) };
    let text = format!(
        "{count} packets transmitted, {received} received, {lost}% packet loss, time 0ms\n"
    );
    Answer { status: i32::from(!there), ..Answer::text(text) }
}

/// A capture: the packets of a VIF are written to its file as they come, for as long as the file is
/// there.
fn capture(double: &Double, words: &[&str]) -> std::io::Result<Answer> {
    let after = |option: &str| words.iter().skip_while(|word| **word != option).nth(1).copied();
    let (Some(interface), Some(file)) = (after("-i"), after("-w")) else {
        return Ok(not_here("tcpdump", words));
    };
    let there = double
        .look(|world| world.all("vm").any(|vm| backend(world, vm).as_deref() == Some(interface)))?;
    if !there {
        let message = format!(
            "tcpdump: {interface}: No such device exists\n(SIOCGIFHWADDR: No such device)\n"
        );
        return Ok(Answer::failed(message));
    }
    std::fs::write(file, capture_header())?;
    double.change(|world| note(world, CAPTURES, &format!("{interface} {file}")))?;
    eprintln!(
        "tcpdump: listening on {interface}, link-type EN10MB (Ethernet), snapshot length 160 bytes"
    );
    until_stopped()
}

impl World {
    /// Breaks the VIFs of guests that boot from now on, or mends them.
    pub fn set_netback(&mut self, fault: Option<NetbackFault>) {
        self.netback = fault;
    }

    /// Carries out what a guest does with its first VIF; `None` where the command is about something
    /// else. Packets go into the captures of dom0 that look at it.
    pub(super) fn send(
        &mut self,
        vm: &str,
        words: &[&str],
        least_segments: u32,
    ) -> Option<std::io::Result<Sent>> {
        let object = self.object("vm", vm)?;
        let mut vifs: Vec<&Object> = self.all("vif").filter(|vif| vif.is("vm-uuid", vm)).collect();
        vifs.sort_by_key(|vif| vif.number("device"));
        let mac: MacAddress = vifs.first()?.text("MAC").parse().ok()?;
        let networks = object.text("networks");
        let guest = networks.split("; ").find_map(|part| part.strip_prefix("0/ip: "))?;
        let dom0 = self.object("host", &object.text("resident-on"))?.text("address");
        let (guest, dom0) = (guest.parse().ok()?, dom0.parse().ok()?);
        let mut netback = netback(self, object);
        let ends = VifAddresses { mac, guest, dom0 };
        let sent = netback.command(words, &ends, least_segments, &listening(self))?;
        let own = backend(self, object)?;
        let boot = object.hidden("boot").unwrap_or_default().to_owned();
        let kept = match serde_json::to_string(&netback) {
            Ok(kept) => kept,
            Err(error) => return Some(Err(error.into())),
        };
        let files: Vec<String> = self
            .all("host")
            .filter_map(|host| host.hidden(CAPTURES))
            .flat_map(str::lines)
            .filter_map(|line| line.split_once(' '))
            .filter(|(interface, _)| *interface == own)
            .map(|(_, file)| file.to_owned())
            .collect();
        if let Some(vm) = self.object_mut("vm", vm) {
            vm.hidden.insert(NETBACK.to_owned(), format!("{boot} {kept}"));
        }
        let records: Vec<u8> = sent.packets.iter().flat_map(Packet::record).collect();
        for file in files {
            // A capture that was stopped and removed is written to no more.
            match std::fs::File::options().append(true).open(file) {
                Ok(mut file) => {
                    if let Err(error) = file.write_all(&records) {
                        return Some(Err(error));
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(sent))
    }
}
