//! What is seen of guests, hosts and networks.

use std::net::IpAddr;

use super::{MacAddress, Memory, NetworkKind, PowerState};

/// A disk as a guest's toolstack lists it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Disk {
    /// The device name in the guest: `xvda`.
    pub device: String,
    /// The file or block device of the host behind it; empty for an empty drive.
    pub path: String,
    /// Whether the guest may only read it.
    pub read_only: bool,
}

/// A network interface as a guest's toolstack lists it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Vif {
    /// Its number on the guest, from 0 in the order of attachment (`vif<domid>.<index>` in dom0).
    pub index: u32,
    /// Its hardware address.
    pub mac: MacAddress,
    /// The network (bridge) that it is on.
    pub network: String,
}

/// A guest as its toolstack describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestView {
    /// The power state.
    pub power: PowerState,
    /// vCPUs that it may use now (or will have at its next start).
    pub vcpus: u32,
    /// The most vCPUs that it may be given.
    pub max_vcpus: u32,
    /// The memory that it should have now.
    pub memory: Memory,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Its network interfaces.
    pub vifs: Vec<Vif>,
}

/// A domain as the hypervisor has it, whoever made it.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainView {
    /// The domain's number.
    pub domid: u32,
    /// The name that the toolstack gave it; empty where it has none (any more).
    pub name: String,
    /// Its unique identity, where the hypervisor was asked for it.
    pub uuid: Option<uuid::Uuid>,
    /// Its state.
    pub power: PowerState,
    /// vCPUs that are online.
    pub vcpus: u32,
    /// Memory that it holds.
    pub memory: Memory,
    /// Processor time that it has used since it was made, in seconds.
    pub cpu_seconds: f64,
}

/// A guest seen from inside, through its own shell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InsideView {
    /// Processors that are online.
    pub vcpus: u32,
    /// What its kernel calls MemTotal; less than it was given, by what the kernel keeps.
    pub memory: Memory,
    /// The hardware addresses of its Ethernet interfaces.
    pub macs: Vec<MacAddress>,
    /// Its whole disks: `xvda`, `vdb`.
    pub disks: Vec<String>,
}

/// A network of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name (of a bridge, on hosts with Linux bridges).
    pub name: String,
    /// What it is connected to.
    pub kind: NetworkKind,
    /// The addresses of dom0 on it.
    pub addresses: Vec<IpAddr>,
}

/// What a host says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct HostInfo {
    /// The host's own name for itself.
    pub hostname: String,
    /// The hypervisor and its version: `Xen 4.17.5`.
    pub hypervisor: String,
    /// The kernel of dom0.
    pub kernel: String,
    /// Physical processors.
    pub cpus: u32,
    /// All memory of the machine.
    pub memory: Memory,
    /// Memory that new guests can have.
    pub free_memory: Memory,
    /// Capabilities in the hypervisor's words: `xen-3.0-x86_64`, `hvm-3.0-x86_64`.
    pub capabilities: Vec<String>,
}
