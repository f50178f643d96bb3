//! Network interfaces of simulated guests, and who answers at which address.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::commands::{Session, SimAnswer};

impl Session<'_> {
    /// The interface with this hardware address, as `grep -l` finds it in sysfs.
    pub(super) fn interface_of(&self, mac: &str) -> SimAnswer {
        let seen = self.with_vm(|vm| vm.inside_view()).flatten();
        let macs = seen.map(|view| view.macs).unwrap_or_default();
        match macs.iter().position(|own| own.to_string().eq_ignore_ascii_case(mac)) {
            Some(index) => SimAnswer::text(format!("/sys/class/net/eth{index}/address\n")),
            None => SimAnswer::failure(1, ""),
        }
    }

    /// The MTU of an interface of a guest, as sysfs tells it in `path`: until the next boot it is the
    /// one that was set.
    pub(super) fn mtu(&self, path: &str) -> Option<u32> {
        let name = path.strip_prefix("/sys/class/net/")?.strip_suffix("/mtu")?;
        let index: usize = name.strip_prefix("eth")?.parse().ok()?;
        let seen = self.with_vm(|vm| vm.inside_view()).flatten()?;
        seen.macs.get(index)?;
        let set = self.with_files("/run/", |files| files.get(&mtu_file(name)).cloned()).flatten();
        let set = set.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok());
        Some(set.unwrap_or(1500))
    }

    pub(super) fn set_mtu(&self, name: &str, mtu: &str) -> SimAnswer {
        let there = self.mtu(&format!("/sys/class/net/{name}/mtu")).is_some();
        // Linux takes 68 bytes at the least, and Ethernet's largest jumbo frames.
        match mtu.parse::<u32>() {
            Ok(mtu @ 68..=65_535) if there => {
                let bytes = Arc::from(mtu.to_string().into_bytes());
                self.with_files("/run/", |files| files.insert(mtu_file(name), bytes));
                SimAnswer::success()
            }
            _ if !there => SimAnswer::failure(1, format!("Cannot find device \"{name}\"\n")),
            _ => SimAnswer::failure(2, "RTNETLINK answers: Invalid argument\n"),
        }
    }

    /// Who answers at `address`.
    pub(super) fn ping(&self, options: &[&str], address: IpAddr) -> SimAnswer {
        let count = options.iter().skip_while(|word| **word != "-c").nth(1).copied().unwrap_or("1");
        let dom0 = self.machine.entry.guest_network.as_ref().and_then(|own| own.dom0_address);
        let answers = match self.machine.world.guest_at(address) {
            Some((machine, uuid)) => {
                let mut state = machine.state();
                let vm = state.vm(&machine, uuid);
                vm.is_some_and(|vm| vm.login_problem(Instant::now(), false).is_none())
            }
            None => dom0.map(IpAddr::V4) == Some(address),
        };
        let (received, lost) = if answers { (count, 0) } else { ("0", 100) };
        let text =
            format!("{count} packets transmitted, {received} received, {lost}% packet loss\n");
        SimAnswer { code: i32::from(!answers), ..SimAnswer::text(text) }
    }
}

/// Where the MTU of an interface is kept: memory, which a boot clears.
fn mtu_file(interface: &str) -> String {
    format!("/run/sim/mtu-{interface}")
}
