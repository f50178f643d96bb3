//! What goes into the images, and the key that follows from it.

use std::path::Path;

use super::keys::Keys;
use super::memo::{Answers, Versions};
use super::sources::{Sources, candidates, xen_version};
use super::{assets, catalogue, memo};
use crate::error::Result;
use crate::tools::Tools;

/// Raised when this crate builds something else from the same input.
const BUILDER_VERSION: u32 = 1;

/// Size of dom0's disk. It is a sparse file; about 700 MiB of it are used.
pub(super) const DOM0_DISK_MIB: u32 = 6144;

/// Packages of both Debian roots.
const COMMON_PACKAGES: &[&str] = &[
    "busybox-static",
    "dbus",
    "iperf",
    "iproute2",
    "iputils-ping",
    "kmod",
    "openssh-server",
    "procps",
    "systemd-sysv",
    "udev",
];

/// What dom0 has besides, next to Xen itself.
const DOM0_PACKAGES: &[&str] = &[
    "bridge-utils",
    "dnsmasq-base",
    "dropbear-bin",
    "ethtool",
    "iptables",
    "less",
    "libvirt-clients",
    "libvirt-daemon",
    "libvirt-daemon-driver-xen",
    "libvirt-daemon-system",
    "linux-image-amd64",
    "lvm2",
    "netcat-openbsd",
    "nfs-common",
    "nfs-kernel-server",
    "nftables",
    "open-iscsi",
    "openssh-client",
    "polkitd",
    "tcpdump",
    "tgt",
    "xz-utils",
    "zstd",
];

/// The kernel modules of dom0 that are kept; of the others, a fifth of the image, none has a device.
/// A power button and what tells a hypervisor of a panic are for guests of QEMU with the same kernel.
const DRIVERS: &[&str] = &[
    "acpi/button*",
    "block/*",
    "input/evdev*",
    "md/*",
    "misc/pvpanic/*",
    "net/bonding/*",
    "net/dummy*",
    "net/net_failover*",
    "net/tap*",
    "net/tun*",
    "net/veth*",
    "net/virtio_net*",
    "net/vxlan/*",
    "net/xen-*",
    "scsi/iscsi_*",
    "scsi/libiscsi*",
    "scsi/scsi_*",
    "scsi/sd_mod*",
    "virtio/*",
    "xen/*",
];

/// Everything that decides what the images are.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) sources: Sources,
    dom0: Versions,
    guest: Versions,
    /// What the images are called in the cache: a hash of all that goes in.
    pub(super) key: String,
}

impl Recipe {
    /// Asks apt for the versions, unless the answers in the file `memory` still hold, and hashes
    /// everything.
    pub(super) async fn find(tools: &Tools, keys: &Keys, memory: &Path) -> Result<Self> {
        let question = [COMMON_PACKAGES, DOM0_PACKAGES].concat().join(" ");
        let about = memo::about(&question);
        let answers = match memo::recall(memory, &about) {
            Some(answers) => answers,
            None => {
                let answers = ask(tools).await?;
                memo::remember(memory, about, answers.clone());
                answers
            }
        };
        let Answers { sources, dom0, guest } = answers;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&BUILDER_VERSION.to_le_bytes());
        for (package, version) in dom0.iter().chain(&guest) {
            hasher.update(format!("{package}={version}\n").as_bytes());
        }
        for option in dpkg_options(true) {
            hasher.update(option.as_bytes());
        }
        hasher.update(&DOM0_DISK_MIB.to_le_bytes());
        hasher.update(&catalogue::DEBIAN_DISK_MIB.to_le_bytes());
        hasher.update(sources.release.as_bytes());
        assets::hash(&mut hasher);
        keys.hash(&mut hasher)?;
        let key = hasher.finalize().to_hex()[..20].to_owned();
        Ok(Self { sources, dom0, guest, key })
    }

    /// Packages of dom0, for mmdebstrap's `--include`.
    pub(super) fn dom0_packages(&self) -> String {
        names(&self.dom0)
    }

    /// Packages of the Debian guest.
    pub(super) fn guest_packages(&self) -> String {
        names(&self.guest)
    }
}

/// Asks apt for the sources and for the version of each package.
async fn ask(tools: &Tools) -> Result<Answers> {
    let sources = Sources::find(tools).await?;
    let xen = xen_version(tools, &sources.release).await?;
    let xen = [format!("xen-hypervisor-{xen}-amd64"), format!("xen-utils-{xen}")];
    let names = COMMON_PACKAGES.iter().chain(DOM0_PACKAGES).map(|name| (*name).to_owned());
    let dom0 = candidates(tools, &names.chain(xen).collect::<Vec<_>>()).await?;
    let guest = dom0[..COMMON_PACKAGES.len()].to_vec();
    Ok(Answers { sources, dom0, guest })
}

fn names(packages: &[(String, String)]) -> String {
    packages.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",")
}

/// dpkg's options: what is not unpacked at all.
pub(super) fn dpkg_options(dom0: bool) -> Vec<String> {
    let mut options = vec!["force-unsafe-io".to_owned()];
    for folder in ["doc", "man", "locale", "info", "lintian", "bug"] {
        options.push(format!("path-exclude=/usr/share/{folder}/*"));
    }
    if dom0 {
        for folder in ["drivers", "sound", "net/wireless", "net/mac80211", "net/bluetooth"] {
            options.push(format!("path-exclude=/lib/modules/*/kernel/{folder}/*"));
            options.push(format!("path-exclude=/usr/lib/modules/*/kernel/{folder}/*"));
        }
        for driver in DRIVERS {
            options.push(format!("path-include=/lib/modules/*/kernel/drivers/{driver}"));
            options.push(format!("path-include=/usr/lib/modules/*/kernel/drivers/{driver}"));
        }
    }
    options
}
