//! What is done to a host before it is frozen.

use std::time::Duration;

use crate::images::{GATEWAY, guest_images};

/// Address of the guest that [`Preparation::live_guest`] starts.
pub const LIVE_GUEST_ADDRESS: &str = "10.0.2.100";

/// How a guest is virtualised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GuestKind {
    /// Paravirtualised: Xen's first way, with no help of the processor.
    Pv,
    /// Paravirtualised in a hardware container: what live migration needs here.
    Pvh,
}

/// A shell script that dom0 runs once, before the host is frozen.
///
/// Hosts with the same preparation are clones of one snapshot, kept in the cache: however long the
/// script takes, a later host with its result comes back in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preparation {
    /// What it is called in progress and errors.
    pub name: String,
    /// The script, run by root's shell in dom0. Anything but 0 at its end is an error.
    pub script: String,
    /// How long it may take.
    pub within: Duration,
}

impl Preparation {
    /// A preparation with a deadline of ten minutes.
    pub fn new(name: impl Into<String>, script: impl Into<String>) -> Self {
        Self { name: name.into(), script: script.into(), within: Duration::from_secs(600) }
    }

    /// A tiny guest called `live` that runs and answers ssh at [`LIVE_GUEST_ADDRESS`]. Its `xl`
    /// configuration is `/etc/xen/live.cfg`.
    pub fn live_guest(kind: GuestKind) -> Self {
        let kind = match kind {
            GuestKind::Pv => "pv",
            GuestKind::Pvh => "pvh",
        };
        let tiny = &guest_images()[0];
        let address = format!("{LIVE_GUEST_ADDRESS}/24");
        let script = format!(
            r#"set -e
cat > /etc/xen/live.cfg <<CFG
name = "live"
type = "{kind}"
kernel = "{kernel}"
ramdisk = "{ramdisk}"
extra = "{command_line}"
memory = {memory}
vcpus = 1
vif = [ "mac=00:16:3e:00:00:64,bridge=xenbr0" ]
on_poweroff = "destroy"
on_reboot = "restart"
on_crash = "destroy"
CFG
xl create /etc/xen/live.cfg > /dev/null
tries=0
until ssh -o ConnectTimeout=20 root@{LIVE_GUEST_ADDRESS} true 2>/dev/null; do
    tries=$((tries + 1))
    if [ $tries -gt 200 ]; then
        echo "the guest does not answer; its console:" >&2
        tail -n 20 /var/log/xen/console/guest-live.log >&2
        exit 1
    fi
    sleep 0.5
done
"#,
            kernel = tiny.kernel,
            ramdisk = tiny.ramdisk,
            command_line = tiny.command_line("live", Some(&address)),
            memory = tiny.memory_mib,
        );
        Self::new(format!("a live {kind} guest"), script)
    }
}

/// The network of the guests on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestNetwork {
    /// The bridge in dom0 that guests are plugged into.
    pub bridge: &'static str,
    /// Addresses for guests, from `10.0.2.100` to this last one; nobody else uses them.
    pub addresses: std::ops::RangeInclusive<std::net::Ipv4Addr>,
    /// Length of the network prefix.
    pub prefix: u8,
    /// The gateway: QEMU. It leads nowhere outside.
    pub gateway: &'static str,
    /// dom0's own address there.
    pub dom0: &'static str,
}

/// The network that every host has to itself. A DHCP server (QEMU's) gives addresses from 10.0.2.200.
pub fn guest_network() -> GuestNetwork {
    use std::net::Ipv4Addr;
    GuestNetwork {
        bridge: "xenbr0",
        addresses: Ipv4Addr::new(10, 0, 2, 100)..=Ipv4Addr::new(10, 0, 2, 199),
        prefix: 24,
        gateway: GATEWAY,
        dom0: "10.0.2.15",
    }
}
