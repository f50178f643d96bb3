//! What real guests and control domains know and simulated ones do not: networks beside the first one, with
//! tags, IPv6, groups and filters; xenstore; programs that keep them busy.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use xenrt::sim::{SimAnswer, SimLab, SimPlace};

/// One guest's interface, or an interface for a VLAN on it: the guest and the name.
type Port = (String, String);

/// What was set up on the wires of a lab.
#[derive(Debug, Default)]
struct Wires {
    /// Who has an address.
    addresses: BTreeMap<IpAddr, Port>,
    /// Hardware addresses that were changed, of the guest.
    macs: BTreeMap<String, String>,
    /// The first hardware address that a lock of dom0 lets through, and the IP address.
    lock: Vec<String>,
    /// Links of dom0 that are up.
    links: BTreeMap<String, bool>,
}

fn lost() -> SimAnswer {
    let text = "3 packets transmitted, 0 packets received, 100% packet loss\n";
    SimAnswer::failure(1, text).taking(Duration::from_secs(8))
}

impl Wires {
    /// The tag of an interface: 100 of `eth1.100`.
    fn tag(port: &str) -> Option<&str> {
        port.split_once('.').map(|(_, tag)| tag)
    }

    fn subnet(address: &IpAddr) -> Vec<u8> {
        match address {
            IpAddr::V4(address) => address.octets()[..3].to_vec(),
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        }
    }

    /// Whether what a guest sends to an address arrives there.
    fn reaches(&self, guest: &str, to: IpAddr) -> Option<bool> {
        let from = |(address, (owner, port)): (&IpAddr, &Port)| {
            (owner == guest && Self::subnet(address) == Self::subnet(&to))
                .then_some((*address, port.clone()))
        };
        let from = self.addresses.iter().find_map(from);
        let Some((_, (_, there))) = self.addresses.iter().find(|(address, _)| **address == to)
        else {
            // Nobody has it; one of another network is not ours to say.
            return from.map(|_| false);
        };
        let Some((source, here)) = from else { return Some(false) };
        let same = Self::tag(&here) == Self::tag(there);
        Some(same && self.passes(guest, source) && self.bonded())
    }

    /// Whether a filter in dom0 lets a guest's packets through.
    fn passes(&self, guest: &str, source: IpAddr) -> bool {
        let locked = |rule: &str, own: &str| {
            let wanted = self.lock.iter().find_map(|line| {
                let rest = line.split_once(rule)?.1;
                rest.split_whitespace().next().map(str::to_owned)
            });
            wanted.is_some_and(|wanted| wanted != own)
        };
        let first = self.addresses.values().next().map(|(owner, _)| owner.as_str());
        // The lock is on the first guest of the test.
        if self.lock.is_empty()
            || first.is_some_and(|first| first != guest && source.to_string().ends_with(".2"))
        {
            return true;
        }
        let mac = self.macs.get(guest).cloned();
        let ip = locked("ip saddr != ", &source.to_string());
        let changed = mac.is_some_and(|mac| locked("ether saddr != ", &mac));
        !ip && !changed
    }

    /// Whether one link of the bond is up, where there is one.
    fn bonded(&self) -> bool {
        self.links.is_empty() || self.links.values().any(|up| *up)
    }

    fn guest(&mut self, guest: &str, line: &str) -> Option<SimAnswer> {
        let words: Vec<&str> =
            line.split_whitespace().map(|word| word.trim_matches('\'')).collect();
        match words.as_slice() {
            ["ip", "link", "add", "link", ..] => Some(SimAnswer::success()),
            ["ip", "link", "set", "dev", port, "down"] => {
                // Addresses of IPv6 go with it.
                self.addresses.retain(|address, own| {
                    address.is_ipv4() || *own != (guest.to_owned(), (*port).to_owned())
                });
                Some(SimAnswer::success())
            }
            ["ip", "link", "set", "dev", _, "up"] => Some(SimAnswer::success()),
            ["ip", "link", "set", "dev", _, "address", mac] => {
                self.macs.insert(guest.to_owned(), (*mac).to_owned());
                Some(SimAnswer::success())
            }
            ["ip", "address", verb, address, "dev", port] => {
                let address: IpAddr = address.split('/').next()?.parse().ok()?;
                match *verb {
                    "add" => self.addresses.insert(address, (guest.to_owned(), (*port).to_owned())),
                    _ => self.addresses.remove(&address),
                };
                Some(SimAnswer::success())
            }
            ["ping", .., "-I", port, "224.0.0.1"] => {
                let others =
                    self.addresses.iter().filter(|(_, (owner, own))| owner != guest && own == port);
                let lines =
                    others.map(|(address, _)| format!("64 bytes from {address}: seq=0 ttl=64\n"));
                Some(SimAnswer::text(lines.collect::<String>()).taking(Duration::from_secs(3)))
            }
            ["ping", .., to] => match self.reaches(guest, to.parse().ok()?)? {
                true => Some(SimAnswer::text("0% packet loss\n").taking(Duration::from_secs(2))),
                false => Some(lost()),
            },
            _ => None,
        }
    }

    fn dom0(&mut self, line: &str) -> Option<SimAnswer> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["nft", ..] => {
                if line.contains("add rule") {
                    self.lock.push(line.trim_matches('\'').to_owned());
                }
                Some(SimAnswer::success())
            }
            ["ip", "link", "show", "dev", name, "type", "bridge"] => {
                Some(SimAnswer::text(format!("7: {name}: <BROADCAST> mtu 1500\n")))
            }
            ["ip", "link", "set", "dev", name, state @ ("up" | "down")] => {
                if name.starts_with("xrtbp") {
                    self.links.insert((*name).to_owned(), *state == "up");
                }
                Some(SimAnswer::success())
            }
            ["ip", "link", "add" | "delete", ..] | ["ip", "link", "set", "dev", _, "master", _] => {
                Some(SimAnswer::success())
            }
            _ => None,
        }
    }
}

/// xenstore, as far as guests are let.
#[derive(Debug, Default)]
struct Store {
    /// The domain that dom0 looked at first: that of the guest which is tried.
    domain: Option<String>,
}

/// How many nodes a guest may have (xenstored(8), `--entry-nb`).
const QUOTA: u32 = 1000;

impl Store {
    /// A guest may read and write what is its own: what does not begin with a slash.
    fn guest(&self, line: &str) -> Option<SimAnswer> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["xenstore-read", "domid"] => {
                self.domain.as_ref().map(|id| SimAnswer::text(format!("{id}\n")))
            }
            ["xenstore-read", path] | ["xenstore-write", path, _] if path.starts_with('/') => {
                Some(SimAnswer::failure(1, "xenstore: Permission denied\n"))
            }
            ["xenstore-write", ..] => Some(SimAnswer::success()),
            ["i=0;", ..] if line.contains("xenstore-write") => {
                Some(SimAnswer::text(format!("{QUOTA}\n")).taking(Duration::from_secs(20)))
            }
            _ => None,
        }
    }

    fn dom0(&mut self, line: &str) -> Option<SimAnswer> {
        let path = line.strip_prefix("xenstore-read ")?;
        let domain = path.strip_prefix("/local/domain/").and_then(|rest| rest.split_once('/'));
        Some(match domain {
            Some((id, "domid")) => {
                self.domain.get_or_insert_with(|| id.to_owned());
                SimAnswer::text(format!("{id}\n"))
            }
            Some((_, "vm")) => SimAnswer::text("/vm/1\n"),
            _ => SimAnswer::failure(1, "xenstore-read: couldn't read path\n"),
        })
    }
}

fn of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Teaches a lab all of it.
pub(crate) fn teach(lab: &SimLab) {
    let (wires, store) = (Mutex::new(Wires::default()), Mutex::new(Store::default()));
    lab.answer(move |place: &SimPlace<'_>, line: &str| {
        if line.starts_with("command -v xenstore-") {
            return Some(SimAnswer::text("/usr/bin/xenstore\n"));
        }
        match place.guest {
            Some(guest) => {
                let known = of(&store).guest(line).or_else(|| of(&wires).guest(guest, line));
                known.or_else(|| program(line))
            }
            None => of(&store).dom0(line).or_else(|| of(&wires).dom0(line)),
        }
    });
}

/// Programs of guests.
fn program(line: &str) -> Option<SimAnswer> {
    let minute = Duration::from_secs(60);
    if line.starts_with("timeout 600 sh -c ") && line.contains("dd if=/dev/zero") {
        return Some(SimAnswer::failure(124, "").taking(minute * 10));
    }
    if line.starts_with("if (Test-Path ")
        || line == "test -e /var/tmp/xenrt-media/lmbench/lat_syscall"
    {
        return Some(SimAnswer::success());
    }
    if line.starts_with("cd /var/tmp/xenrt-media/lmbench") {
        return Some(
            SimAnswer::text("Simple syscall: 0.07 microseconds\n8.00 9876.5\n").taking(minute),
        );
    }
    line.starts_with("Set-Location C:\\xenrt\\burnintest")
        .then(|| SimAnswer::text("TEST RUN PASSED\n").taking(minute))
}
