//! Clouds, and what is deployed in them. The library has no toolstack for them; they are here so
//! that a file which needs them says so.

use super::{Place, Word};
use crate::model::Memory;

/// `<cloud>`: a CloudStack to be deployed on the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudStep {
    /// `zones`.
    pub zones: Vec<CloudZone>,
    /// The whole description, these zones among it.
    pub description: serde_json::Value,
    /// Where it stands.
    pub place: Place,
}

/// One zone of a cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudZone {
    /// `networktype`.
    pub network: CloudNetwork,
    /// The clusters of its pods.
    pub clusters: Vec<CloudCluster>,
}

/// How the guests of a zone are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloudNetwork {
    /// `Basic`: by security groups.
    Basic,
    /// `Advanced`: by VLANs.
    Advanced,
}

/// One cluster of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudCluster {
    /// `hypervisor`, `XenServer` unless given.
    pub hypervisor: String,
    /// `XRT_Hosts`: how many hosts of the run it takes, besides those that it names.
    pub hosts: u32,
    /// The hosts that it names by number (`XRT_MasterHostId`, `XRT_KVMHostIds`, ...).
    pub named_hosts: Vec<u32>,
}

/// `<template>` or `<instance>` of `<prepare>`: something in a cloud, not on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudMachineStep {
    /// Whether it is a template or a running instance.
    pub kind: CloudMachineKind,
    /// `name`.
    pub name: Option<Word>,
    /// `distro`.
    pub distro: Option<String>,
    /// `zone`.
    pub zone: Option<Word>,
    /// `hypervisorType`.
    pub hypervisor: Option<String>,
    /// `installTools`; yes unless given. (The original could not do without it.)
    pub install_tools: bool,
    /// `<vcpus>`.
    pub vcpus: Option<u32>,
    /// `<memory>`, in MiB in the file.
    pub memory: Option<Memory>,
    /// `<rootdisk>`, in bytes in the file.
    pub root_disk: Option<Memory>,
    /// Where it stands.
    pub place: Place,
}

/// What a [`CloudMachineStep`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloudMachineKind {
    /// `<template>`.
    Template,
    /// `<instance>`.
    Instance,
}

/// `<blueprint>`: a deployment of ScaleXtreme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlueprintStep {
    /// `name`.
    pub name: Word,
    /// `version`.
    pub version: Option<String>,
    /// `deploymentProfileTemplateName`.
    pub profile: Option<String>,
    /// `<templateName>`.
    pub template: Option<String>,
    /// Where it stands.
    pub place: Place,
}
