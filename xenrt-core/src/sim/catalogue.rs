//! What a simulated host has where a lab does not say otherwise.

use std::net::Ipv4Addr;

use crate::lab::{AddressPool, Deadlines, GuestImage, GuestNetwork, HostEntry};
use crate::model::{GuestKind, Memory};

/// The network of the first VIF.
pub(super) const GUEST_NETWORK: &str = "simbr0";
/// dom0's address on it.
pub(super) const DOM0_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// A second network interface of each host, for networks with an uplink.
pub(super) const SPARE_INTERFACE: &str = "eth1";
/// A file on each host that a disk can be copied from.
pub(super) const IMAGE_DISK: &str = "/srv/images/debian.raw";
/// The kernel of the images.
pub(super) const KERNEL: &str = "/srv/images/vmlinuz";

/// An entry for the host `name`.
pub(super) fn entry(name: String) -> HostEntry {
    complete(HostEntry {
        name,
        address: "sim".to_owned(),
        port: 22,
        user: "root".to_owned(),
        key: None,
        known_hosts: None,
        gateway: None,
        toolstack: super::TOOLSTACK.to_owned(),
        guest_network: None,
        work_folder: "/var/lib/xenrt".to_owned(),
        images: Vec::new(),
        nics: Vec::new(),
        vlans: std::collections::BTreeMap::new(),
        private_vlans: Vec::new(),
        storage: Vec::new(),
        shared: false,
        deadlines: Deadlines::default(),
        attributes: std::collections::BTreeMap::new(),
    })
}

/// `entry` with images and a guest network where it has none.
pub(super) fn complete(mut entry: HostEntry) -> HostEntry {
    if entry.images.is_empty() {
        entry.images = images();
    }
    entry.guest_network.get_or_insert_with(|| GuestNetwork {
        network: GUEST_NETWORK.to_owned(),
        pool: Some(AddressPool {
            first: Ipv4Addr::new(10, 1, 0, 0),
            last: Ipv4Addr::new(10, 255, 255, 255),
            prefix: 8,
            gateway: DOM0_ADDRESS,
        }),
        dom0_address: Some(DOM0_ADDRESS),
    });
    entry
}

fn images() -> Vec<GuestImage> {
    let image = |name: &str, aliases: &[&str], disk: Option<&str>, memory| GuestImage {
        name: name.to_owned(),
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
        kinds: vec![GuestKind::Pvh, GuestKind::Pv, GuestKind::Hvm],
        kernel: Some(KERNEL.to_owned()),
        ramdisk: None,
        disk: disk.map(str::to_owned),
        command_line: "console=hvc0".to_owned(),
        address_command_line: "ip={address}::{gateway}".to_owned(),
        memory,
        user: "root".to_owned(),
        key: None,
    };
    let distros = ["debian60", "debian70", "debian80", "debian12", "centos57", "centos65"];
    vec![
        image("tiny", &["generic-linux"], None, Memory::mib(128)),
        image("debian", &distros, Some(IMAGE_DISK), Memory::mib(256)),
    ]
}
