//! The hosts that a sequence prepares, and what is to be on them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{BridgeStep, GuestStep, NetworkRole, Place, StorageStep, StorageType, Topology, Word};
use crate::model::Memory;

/// One `<host>`. Its name and alias are those that `host` of a test means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStep {
    /// `id`: its number among the machines of the run, `0` unless given.
    pub id: u32,
    /// `alias`: the name by which tests know it besides `RESOURCE_HOST_<id>`.
    pub alias: Option<String>,
    /// Its `<vm>` and `<vmgroup>` children; a group is as many guests as it says.
    pub guests: Vec<GuestStep>,
    /// Its `<template>` children: guests that become templates once they are installed.
    pub templates: Vec<GuestStep>,
    /// Its `<storage>` children.
    pub storage: Vec<StorageStep>,
    /// Its `<bridge>` children: networks without a network interface of the host.
    pub bridges: Vec<BridgeStep>,
    /// Its `<NETWORK>`: how its network interfaces are used.
    pub topology: Option<Topology>,
    /// What is installed on it.
    pub install: HostInstall,
    /// `container` and the attributes that go with it: the host is itself a guest of another.
    pub nested: Option<NestedHost>,
    /// `default`: whether tests also know it as `RESOURCE_HOST_DEFAULT`.
    pub is_default: bool,
    /// Where it stands.
    pub place: Place,
}

impl HostStep {
    /// What the name of every host begins with.
    const PREFIX: &str = "RESOURCE_HOST_";

    /// The host with this number and nothing said about it.
    pub fn new(id: u32, place: Place) -> Self {
        Self {
            id,
            alias: None,
            guests: Vec::new(),
            templates: Vec::new(),
            storage: Vec::new(),
            bridges: Vec::new(),
            topology: None,
            install: HostInstall::default(),
            nested: None,
            is_default: false,
            place,
        }
    }

    /// The name by which tests know it always: `RESOURCE_HOST_<id>`, as in the original.
    pub fn name(&self) -> String {
        let mut name = String::with_capacity(18);
        name.push_str(Self::PREFIX);
        // Writing into a String cannot fail.
        let _ = write!(name, "{}", self.id);
        name
    }

    /// The number of the host with this [name](Self::name).
    pub(crate) fn number_of(name: &str) -> Option<u32> {
        name.strip_prefix(Self::PREFIX)?.parse().ok()
    }

    /// Every name by which tests know it: [`name`](Self::name), the alias, and
    /// `RESOURCE_HOST_DEFAULT` where it is the default.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.name()];
        names.extend(self.alias.clone());
        names.extend(self.is_default.then(|| String::from("RESOURCE_HOST_DEFAULT")));
        names
    }
}

/// What is installed on a host, and how it is set up. What is not given is left to the lab.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostInstall {
    /// `productType`: the hypervisor.
    pub product: Option<ProductType>,
    /// `productVersion`: a release of it, such as `Clearwater`, or the Linux distribution below
    /// it. `DEFAULT` in the file is `None`.
    pub product_version: Option<String>,
    /// `version`: the build, as the folder that it is installed from. `DEFAULT` in the file is
    /// `None`.
    pub version: Option<String>,
    /// `installsr`: the storage on its own disk.
    pub local_storage: Option<LocalStorage>,
    /// `dhcp`: how its management address is given; from DHCP unless said otherwise.
    pub ipv4: Addressing,
    /// `ipv6`: how it gets an IPv6 address; none unless given.
    pub ipv6: Option<Ipv6Addressing>,
    /// `noipv4`: it has no IPv4 address. Only together with `ipv6`.
    pub without_ipv4: bool,
    /// `diskCount`: how many of its disks guests may use.
    pub disks: Option<u32>,
    /// `license`.
    pub license: License,
    /// `defaultlicense`: whether the licence of the lab is applied; `None` leaves it to the lab.
    pub default_license: Option<bool>,
    /// `noisos`: whether the storage with installation images is left out; `None` leaves it to the
    /// lab.
    pub without_isos: Option<bool>,
    /// `suppackcds`: supplemental packs, as file names of images.
    pub supplemental_packs: Vec<String>,
    /// `iommu`: whether Xen gets `iommu=1`.
    pub iommu: bool,
    /// `disablefw`: whether its firewall is off; `None` leaves it as it is.
    pub disable_firewall: Option<bool>,
    /// `cpufreqgovernor`.
    pub cpu_governor: Option<CpuGovernor>,
    /// `extraConfig`: settings for the installer of a product, as YAML in the file.
    pub extra: Option<serde_json::Value>,
}

impl HostInstall {
    /// Whether the file says nothing about it, so that any host of the lab will do as it is.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// The hypervisor of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProductType {
    /// `xenserver`: XenServer or XCP-ng.
    XenServer,
    /// `kvm`.
    Kvm,
    /// `esx`.
    Esx,
    /// `hyperv`.
    HyperV,
    /// `oss`: Xen of a Linux distribution.
    Oss,
    /// `nativelinux`: Linux without a hypervisor.
    NativeLinux,
    /// `nativewindows`: Windows without a hypervisor.
    NativeWindows,
}

impl ProductType {
    /// The words of the file.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("xenserver", Self::XenServer),
        ("kvm", Self::Kvm),
        ("esx", Self::Esx),
        ("hyperv", Self::HyperV),
        ("oss", Self::Oss),
        ("nativelinux", Self::NativeLinux),
        ("nativewindows", Self::NativeWindows),
    ];
}

/// The storage on a host's own disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalStorage {
    /// `ext`: files on a file system.
    Ext,
    /// `lvm`: logical volumes.
    Lvm,
}

/// How an address is given.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    /// By DHCP.
    #[default]
    Dhcp,
    /// An address of the lab that stays.
    Static,
}

/// How a host gets its IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ipv6Addressing {
    /// `autoconf`: from router advertisements.
    Autoconf,
    /// `dhcp`.
    Dhcp,
    /// `static`.
    Static,
}

/// `license`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum License {
    /// Nothing is said: what the lab does always.
    #[default]
    Unsaid,
    /// `no`: none is applied.
    None,
    /// `yes`: the one of the lab.
    Default,
    /// An edition by its name, such as `platinum` or `free`. (The original took every name that
    /// begins with n, f or 0 for *no*, `free` among them, and with y, t or 1 for *yes*.)
    Edition(String),
}

/// What decides the frequency of a host's processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuGovernor {
    /// Set by hand.
    Userspace,
    /// The highest always.
    Performance,
    /// The lowest always.
    Powersave,
    /// By load.
    Ondemand,
}

/// A host that is a guest of another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedHost {
    /// `container`: the number of the host that it is a guest of.
    pub container: u32,
    /// `vname`: its name; the guest is called `vhost-<vname>`.
    pub name: Option<Word>,
    /// `vcpus`.
    pub vcpus: Option<u32>,
    /// `vmemory`, in MiB in the file.
    pub memory: Option<Memory>,
    /// `vdisksize`, in GiB in the file.
    pub disk: Option<Memory>,
    /// `vsr`: the storage for its disk.
    pub storage: Option<StorageType>,
    /// `vnetworks`: what its network interfaces are connected to.
    pub networks: Vec<NetworkRole>,
    /// Where `container` stands.
    pub place: Place,
}

/// `<allhosts>`: the same for each machine of the run in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllHostsStep {
    /// `start`: the first machine, `0` unless given.
    pub first: u32,
    /// `stop`: the last machine; the last that there is, unless given.
    pub last: Option<u32>,
    /// What each is like. Its `id` is that of the first.
    pub host: HostStep,
    /// The pool that they are in, by its index in [`Prepare::pools`](super::Prepare::pools).
    pub pool: Option<usize>,
}

impl AllHostsStep {
    /// Whether the machine with this number is meant.
    pub fn covers(&self, machine: u32) -> bool {
        machine >= self.first && self.last.is_none_or(|last| machine <= last)
    }
}

/// `<sharedhost>`: guests on a host that several runs use. Each name gets the run's own ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedHostStep {
    /// Its `<vm>` children.
    pub guests: Vec<GuestStep>,
    /// Where it stands.
    pub place: Place,
}
