//! What a sequence file says, in types.

mod cloud;
mod guest;
mod host;
mod job;
mod network;
mod pool;
mod prepare;
mod steps;
mod storage;
mod word;

use std::collections::BTreeMap;

use super::Diagnostic;

pub use cloud::{
    BlueprintStep, CloudCluster, CloudMachineKind, CloudMachineStep, CloudNetwork, CloudStep,
    CloudZone,
};
pub use guest::{
    AfterInstall, Architecture, CallArgument, DiskStep, GuestAction, GuestCall, GuestFile,
    GuestStep, Literal, StaticAddress, StorageChoice, VifStep,
};
pub use host::{
    Addressing, AllHostsStep, CpuGovernor, HostInstall, HostStep, Ipv6Addressing, License,
    LocalStorage, NestedHost, ProductType, SharedHostStep,
};
pub use job::{MetricLimit, NotCarriedOut, Relation, ResourceWish, Scheduler, ScriptFile};
pub use network::{
    BridgeStep, LinkSpeed, NetworkRole, NetworkUses, NicChoice, PhysicalNetwork, PrivateVlan,
    Topology, VlanNetwork,
};
pub use pool::PoolStep;
pub use prepare::Prepare;
pub use steps::{
    Action, ActionStep, Argument, Block, BlockKind, Claim, Dependency, HostChoice, Node, Rounds,
    TestStep,
};
pub use storage::{StorageLinkArray, StorageOption, StorageStep, StorageType};
pub(in crate::sequence) use word::FileText;
pub(crate) use word::Origin;
pub use word::Word;

/// Where in a file something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The offset of the first byte, from 0.
    pub offset: usize,
    /// How many bytes it covers.
    pub length: usize,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// A whole sequence file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sequence {
    /// The file, as it was named by whoever read it.
    pub file: String,
    /// `<variables>` and `<default>`: values by name; nested elements have names with `/` between
    /// the parts. References to other variables are replaced.
    pub variables: BTreeMap<Word, Word>,
    /// `<preprepare>`: what is built before [`prepare`](Self::prepare), such as the hosts of which
    /// nested hosts are guests. Where a file has nested hosts and no `<preprepare>`, it is those.
    pub preprepare: Prepare,
    /// `<prepare>`: what is built before the first test.
    pub prepare: Prepare,
    /// `<semaphores>`: how many tests of one class may be at work at the same time, by the class's
    /// name in lower case.
    pub semaphores: BTreeMap<String, usize>,
    /// `<script>`: scripts for guests.
    pub scripts: Vec<ScriptFile>,
    /// `<perfcheck>`: between which values measured values are sane.
    pub perfcheck: Vec<MetricLimit>,
    /// `<scheduler>`: what it asks of whoever chooses its machines.
    pub scheduler: Option<Scheduler>,
    /// `<testsequence>`: the tests. A sequence without one only prepares.
    pub tests: Option<Block>,
    /// What the file says that is odd or changes nothing; for whoever runs it to show.
    pub warnings: Vec<Diagnostic>,
}
