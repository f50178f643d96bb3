//! The guests that a dom0 of the lab can start.

/// A guest image on dom0's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestImage {
    /// `tiny` or `debian`.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Its kernel, for PV and PVH, as a path in dom0.
    pub kernel: &'static str,
    /// Its initramfs, as a path in dom0.
    pub ramdisk: &'static str,
    /// What holds its root file system.
    pub root: GuestRoot,
    /// The least memory with which it comes up reliably, in MiB.
    pub memory_mib: u32,
}

/// What holds a guest's root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestRoot {
    /// Its initramfs: the guest needs no disk.
    Memory,
    /// A raw disk image that the guest writes to; make a copy for each guest, and attach it as `xvda`.
    Disk {
        /// The pristine image, as a path in dom0.
        image: &'static str,
        /// Its size in MiB.
        size_mib: u32,
    },
}

impl GuestImage {
    /// The kernel command line of a guest called `name`.
    ///
    /// With `address` (`10.0.2.101/24`) the guest's `eth0` has that address and the lab's gateway;
    /// without, it asks by DHCP.
    pub fn command_line(&self, name: &str, address: Option<&str>) -> String {
        let root = match self.root {
            GuestRoot::Memory => "",
            GuestRoot::Disk { .. } => "root=/dev/xvda ",
        };
        let address = address
            .map(|address| format!(" xenrt.ip={address} xenrt.gw={GATEWAY}"))
            .unwrap_or_default();
        format!(
            "{root}console=hvc0 quiet net.ifnames=0 mitigations=off random.trust_cpu=on \
             systemd.show_status=0 systemd.hostname={name} xenrt.name={name}{address}"
        )
    }
}

/// The gateway of 10.0.2.0/24: QEMU.
pub(crate) const GATEWAY: &str = "10.0.2.2";

/// Size of the `debian` guest's disk.
pub(super) const DEBIAN_DISK_MIB: u32 = 500;

/// The guest images of the lab.
pub fn guest_images() -> &'static [GuestImage] {
    &[
        GuestImage {
            name: "tiny",
            description: "busybox, dropbear and iperf in an initramfs: boots in seconds",
            kernel: "/var/lib/xen/images/vmlinux",
            ramdisk: "/var/lib/xen/images/tiny.initrd",
            root: GuestRoot::Memory,
            memory_mib: 128,
        },
        GuestImage {
            name: "debian",
            description: "Debian with systemd, OpenSSH and iperf on a disk",
            kernel: "/var/lib/xen/images/vmlinux",
            ramdisk: "/var/lib/xen/images/guest.initrd",
            root: GuestRoot::Disk {
                image: "/var/lib/xen/images/debian.raw",
                size_mib: DEBIAN_DISK_MIB,
            },
            memory_mib: 256,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_on_the_command_line_only_when_there_is_one() {
        let tiny = &guest_images()[0];
        assert!(tiny.command_line("a", None).ends_with("xenrt.name=a"));
        assert!(
            tiny.command_line("a", Some("10.0.2.101/24"))
                .ends_with("xenrt.name=a xenrt.ip=10.0.2.101/24 xenrt.gw=10.0.2.2")
        );
        assert!(guest_images()[1].command_line("b", None).starts_with("root=/dev/xvda "));
    }
}
