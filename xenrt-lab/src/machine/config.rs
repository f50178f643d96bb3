//! What a machine is made of, and the QEMU command line that says so.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::overlay::ImageFormat;

/// What executes the machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Accelerator {
    /// QEMU's translator: needs nothing, and is ten to thirty times slower than hardware.
    Tcg,
    /// The kernel's virtualisation, with nesting.
    Kvm,
}

/// Where a machine's memory lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Size in MiB.
    pub mib: u32,
    /// The file that is mapped as memory.
    pub file: PathBuf,
    /// Whether writes reach the file. A machine that will be frozen shares it; one restored from a
    /// snapshot maps the snapshot's file copy-on-write and never changes it.
    pub shared: bool,
}

/// A network card (virtio) and what it is plugged into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Hardware address.
    pub mac: String,
    /// The other end.
    pub network: Network,
}

/// What a network card is plugged into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A user-mode network of QEMU, 10.0.2.0/24, for guests. Nothing inside reaches the outside, and
    /// nothing outside the inside.
    Guests,
    /// Another one, 10.0.4.0/24, for managing the host: it stays when the guests' bridge is broken. A
    /// free port of 127.0.0.1, chosen by the kernel, leads to port 22 of `ssh_to`.
    Management {
        /// The address inside that ssh connections go to.
        ssh_to: String,
    },
    /// QEMU's hub 0, to which cables are added while the machine runs.
    Hub,
}

/// What the machine boots: a multiboot kernel (Xen) with Linux and its initramfs as modules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectBoot {
    /// The hypervisor, not compressed.
    pub hypervisor: PathBuf,
    /// Its command line.
    pub hypervisor_arguments: String,
    /// The dom0 kernel, an ELF file.
    pub kernel: PathBuf,
    /// Its command line.
    pub kernel_arguments: String,
    /// Its initramfs.
    pub initrd: PathBuf,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineConfig {
    /// Name in process listings: how a machine is found whose process id got lost.
    pub name: String,
    /// What executes it.
    pub accelerator: Accelerator,
    /// QEMU's `-cpu`.
    pub cpu: String,
    /// Number of CPUs.
    pub cpus: u32,
    /// Its memory.
    pub memory: Memory,
    /// Its disk (virtio).
    pub disk: PathBuf,
    /// Format of the disk.
    pub disk_format: ImageFormat,
    /// Its network cards.
    pub nics: Vec<Nic>,
    /// What it boots.
    pub boot: DirectBoot,
    /// Whether it waits for an incoming state instead of booting.
    pub incoming: bool,
}

/// The monitor's socket and the console log, inside the machine's directory. They are relative names:
/// a socket's path may have 107 bytes, and a cache directory can be deeper than that.
pub(crate) const MONITOR: &str = "monitor";
pub(crate) const CONSOLE: &str = "console.log";

impl MachineConfig {
    /// QEMU's arguments. QEMU is started in the machine's own directory.
    pub fn arguments(&self) -> Vec<String> {
        let Memory { mib, file, shared } = &self.memory;
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |name: &str, value: String| arguments.extend([format!("-{name}"), value]);
        add("name", self.name.clone());
        add(
            "accel",
            match self.accelerator {
                // Translated code is kept in a cache; with the default of 1 GiB a lab of several
                // hosts would need more memory than a laptop has.
                Accelerator::Tcg => "tcg,thread=multi,tb-size=512".into(),
                Accelerator::Kvm => "kvm".into(),
            },
        );
        add("machine", "pc,usb=off,vmport=off,memory-backend=ram".into());
        add("cpu", self.cpu.clone());
        add("smp", self.cpus.to_string());
        add("m", mib.to_string());
        add(
            "object",
            format!(
                "memory-backend-file,id=ram,size={mib}M,mem-path={},share={}",
                escape(file),
                if *shared { "on" } else { "off" },
            ),
        );
        add("display", "none".into());
        add("serial", format!("file:{CONSOLE}"));
        add("qmp", format!("unix:{MONITOR},server=on,wait=off"));
        let format = match self.disk_format {
            ImageFormat::Raw => "raw",
            ImageFormat::Qcow2 => "qcow2",
        };
        // A disk that is thrown away needs no flushing.
        add("drive", format!("file={},if=virtio,format={format},cache=unsafe", escape(&self.disk)));
        for (index, nic) in self.nics.iter().enumerate() {
            let backend = match &nic.network {
                // Nothing gets out (restrict); DHCP starts above the guests' own addresses.
                Network::Guests => format!("user,id=net{index},restrict=on,dhcpstart=10.0.2.200"),
                Network::Management { ssh_to } => format!(
                    "user,id=net{index},restrict=on,net=10.0.4.0/24,hostfwd=tcp:127.0.0.1:0-{ssh_to}:22"
                ),
                Network::Hub => format!("hubport,id=net{index},hubid=0"),
            };
            add("netdev", backend);
            add("device", format!("virtio-net-pci,netdev=net{index},mac={},romfile=", nic.mac));
        }
        if self.nics.iter().any(|nic| nic.network == Network::Hub) {
            // A hub with one port takes no packet: the card's queue stalls, for good, even when a cable
            // is plugged in later. So there is always a second port, to a socket that nobody has.
            add(
                "netdev",
                "dgram,id=sink,local.type=unix,local.path=sink,\
                 remote.type=unix,remote.path=nobody"
                    .into(),
            );
            add("netdev", "hubport,id=sink-port,hubid=0,netdev=sink".into());
        }
        let boot = &self.boot;
        add("kernel", boot.hypervisor.display().to_string());
        add("append", boot.hypervisor_arguments.clone());
        // Multiboot modules: separated by commas, each with its own command line.
        add(
            "initrd",
            format!(
                "{} {},{}",
                escape(&boot.kernel),
                boot.kernel_arguments.replace(',', ",,"),
                escape(&boot.initrd)
            ),
        );
        if self.incoming {
            add("incoming", "defer".into());
        }
        arguments.push("-nodefaults".into());
        // A host that turns itself off stays a machine that can be turned on again.
        arguments.push("-no-shutdown".into());
        arguments
    }
}

/// A path as the value of a QEMU option: a comma is written twice.
fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> MachineConfig {
        MachineConfig {
            name: "xenrt-1-2-host1".into(),
            accelerator: Accelerator::Tcg,
            cpu: "max".into(),
            cpus: 2,
            memory: Memory { mib: 2560, file: "/cache,1/ram".into(), shared: false },
            disk: "disk.qcow2".into(),
            disk_format: ImageFormat::Qcow2,
            nics: vec![
                Nic {
                    mac: "52:54:00:00:00:01".into(),
                    network: Network::Management { ssh_to: "10.0.4.15".into() },
                },
                Nic { mac: "52:54:00:00:01:01".into(), network: Network::Hub },
            ],
            boot: DirectBoot {
                hypervisor: "/i/xen".into(),
                hypervisor_arguments: "console=com1".into(),
                kernel: "/i/vmlinux".into(),
                kernel_arguments: "console=hvc0 a=b,c".into(),
                initrd: "/i/initrd".into(),
            },
            incoming: true,
        }
    }

    #[test]
    fn arguments_of_a_restored_machine() {
        let lines = config().arguments().join(" ").replace(" -", "\n-");
        insta::assert_snapshot!(lines, @r"
        -name xenrt-1-2-host1
        -accel tcg,thread=multi,tb-size=512
        -machine pc,usb=off,vmport=off,memory-backend=ram
        -cpu max
        -smp 2
        -m 2560
        -object memory-backend-file,id=ram,size=2560M,mem-path=/cache,,1/ram,share=off
        -display none
        -serial file:console.log
        -qmp unix:monitor,server=on,wait=off
        -drive file=disk.qcow2,if=virtio,format=qcow2,cache=unsafe
        -netdev user,id=net0,restrict=on,net=10.0.4.0/24,hostfwd=tcp:127.0.0.1:0-10.0.4.15:22
        -device virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01,romfile=
        -netdev hubport,id=net1,hubid=0
        -device virtio-net-pci,netdev=net1,mac=52:54:00:00:01:01,romfile=
        -netdev dgram,id=sink,local.type=unix,local.path=sink,remote.type=unix,remote.path=nobody
        -netdev hubport,id=sink-port,hubid=0,netdev=sink
        -kernel /i/xen
        -append console=com1
        -initrd /i/vmlinux console=hvc0 a=b,,c,/i/initrd
        -incoming defer
        -nodefaults
        -no-shutdown
        ");
    }

    #[test]
    fn a_machine_that_is_to_be_frozen_writes_its_memory_file() {
        let mut config = config();
        config.memory.shared = true;
        config.incoming = false;
        let arguments = config.arguments().join(" ");
        assert!(arguments.contains("share=on"));
        assert!(!arguments.contains("-incoming"));
    }
}
