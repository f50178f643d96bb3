//! How a virtual Xen host is put together.

use std::path::{Path, PathBuf};

use crate::images::Images;
use crate::machine::{Accelerator, DirectBoot, ImageFormat, MachineConfig, Memory, Network, Nic};

/// Memory of a host. dom0 has 1 GiB of it; Xen and the guests share the rest, which holds 32 small
/// guests at once. What was never written to takes none of the memory of the machine below.
const MEMORY_MIB: u32 = 6144;
const DOM0_MIB: u32 = 1024;
const CPUS: u32 = 2;

/// What a host is on, as far as the machine below decides it.
///
/// One CPU model serves PV guests, PVH guests, live migration and libvirt. QEMU emulates AMD's SVM
/// with nested paging, which Xen needs for PVH and for a migration's dirty log (Debian's Xen has no
/// shadow paging). From QEMU's `max`, three features are taken away:
///
/// * `smap`: with it, a PV dom0 dies at its first `iretq` under emulation;
/// * `rdtscp`: with it, a PVH guest dies ("Insn mismatch: Expected opcode 0xf0031").
/// * `xsave`: with it, programs in dom0 and in guests were seen to compute garbage now and then (wrong
///   signatures, corrupted heaps), as if registers got lost between domains. None was seen without.
///
/// libvirt's driver refuses the result ("Cannot find suitable CPU model for given data"), since Xen
/// hides `sep` on AMD processors and QEMU has no `vme`, and each of libvirt's models wants one of them;
/// so dom0's image brings a model of its own (`assets/dom0/cpu-model.xml`). A `vendor=GenuineIntel`
/// would not do: Xen would then look for VMX, which QEMU does not emulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) accelerator: Accelerator,
}

impl Profile {
    fn cpu(self) -> &'static str {
        match self.accelerator {
            Accelerator::Tcg => "max,-smap,-rdtscp,-xsave",
            Accelerator::Kvm => "host",
        }
    }

    /// The machine of a host. `ram` and `disk` are its files.
    pub(crate) fn machine(
        self,
        name: String,
        images: &Images,
        ram: PathBuf,
        shared: bool,
        disk: &Path,
    ) -> MachineConfig {
        MachineConfig {
            name,
            accelerator: self.accelerator,
            cpu: self.cpu().into(),
            cpus: CPUS,
            memory: Memory { mib: MEMORY_MIB, file: ram, shared },
            disk: disk.to_owned(),
            disk_format: ImageFormat::Qcow2,
            nics: vec![
                Nic { mac: "52:54:00:00:00:01".into(), network: Network::Guests },
                Nic { mac: "52:54:00:00:01:01".into(), network: Network::Hub },
                Nic {
                    mac: "52:54:00:00:02:01".into(),
                    network: Network::Management { ssh_to: "10.0.4.15".into() },
                },
            ],
            boot: DirectBoot {
                hypervisor: images.hypervisor(),
                hypervisor_arguments: xen_command_line(),
                kernel: images.kernel(),
                kernel_arguments: LINUX_COMMAND_LINE.into(),
                initrd: images.initrd(),
            },
            incoming: false,
        }
    }

    /// Everything that makes a frozen machine fit another one, for the key of a snapshot.
    pub(crate) fn fingerprint(self, images: &Images) -> String {
        let machine = self.machine(String::new(), images, PathBuf::new(), false, Path::new("disk"));
        machine.arguments().join("\0")
    }
}

/// Xen's command line: its console on the serial port, and none of the work that means nothing under
/// emulation (mitigations, power management, scrubbing memory that is known to be zero).
fn xen_command_line() -> String {
    format!(
        "console=com1 com1=115200,8n1 dom0_mem={DOM0_MIB}M,max:{DOM0_MIB}M dom0_max_vcpus={CPUS} \
         loglvl=warning guest_loglvl=warning bootscrub=0 spec-ctrl=no xpti=no pcid=no pv-l1tf=no \
         cpufreq=none cpuidle=no iommu=no watchdog=no ucode=no smt=yes no-real-mode"
    )
}

/// dom0's command line, to the same end.
const LINUX_COMMAND_LINE: &str = "root=/dev/vda console=hvc0 quiet loglevel=3 net.ifnames=0 \
     mitigations=off nokaslr audit=0 random.trust_cpu=on raid=noautodetect systemd.show_status=0";
