//! Text into a [`Sequence`]: which hosts and guests a run needs, and which tests it runs in which
//! order.
//!
//! Parsing gives typed values with the [`Place`] that each came from; every problem of a file is a
//! [`Diagnostic`] with file, line, column and a caret, and all problems of a file are told at once.
//!
//! # The language
//!
//! It is the original's, of which this version carries out the part below. Whatever else the
//! original had is refused by name (*known from the original, but not carried out yet*), and what
//! nobody knows is refused as unknown: nothing in a file is ignored in silence.
//!
//! ```xml
//! <xenrt>
//!   <variables>
//!     <GUEST>tiny</GUEST>                <!-- used as ${GUEST} or %GUEST% -->
//!     <PATCHES><HF1>one</HF1></PATCHES>  <!-- used as ${PATCHES/HF1} or ${PATCHES:HF1} -->
//!   </variables>
//!   <prepare>
//!     <host id="0" alias="source">       <!-- known as RESOURCE_HOST_0, and by its alias -->
//!       <vm name="${GUEST}">
//!         <distro>generic-linux</distro> <!-- an image of the lab -->
//!         <vcpus>2</vcpus>
//!         <memory>512</memory>           <!-- in MiB -->
//!         <network device="0" bridge="xenbr0"/>
//!         <disk device="1" size="8"/>    <!-- in GiB; number="2" makes two -->
//!       </vm>
//!     </host>
//!   </prepare>
//!   <testsequence group="Basic">         <!-- group, host and guest hold for all inside -->
//!     <parallel workers="2">
//!       <serial guest="tiny" blocker="yes">
//!         <testcase id="lifecycle.reboot" tc="TC-1" name="again">
//!           <arg>loops=5</arg>           <!-- named -->
//!           <arg>quick</arg>             <!-- positional -->
//!         </testcase>
//!       </serial>
//!     </parallel>
//!   </testsequence>
//! </xenrt>
//! ```
//!
//! Truth values are `yes`, `true`, `1`, `no`, `false` and `0`; the first letter decides. `prio`,
//! `ttype`, `sku` and `depends` of tests, `tc` of blocks and `format` of disks are understood and
//! change nothing yet: [`Sequence::warnings`] says so. `guest` may also name a guest that a test
//! makes, if that test has the argument `guest=NAME`.
//!
//! # How it is read
//!
//! `xml` makes a tree of the text, `vocabulary` says which word may stand where and what becomes
//! of it, `reader` checks elements and values against it, and `prepare` and `steps` build what the
//! words mean.

mod diagnostic;
mod limits;
mod loader;
mod model;
mod options;
mod read;
mod syntax;
#[cfg(test)]
mod tests;
mod values;
mod vocabulary;

pub use diagnostic::{
    Diagnostic, DiagnosticKind, DiagnosticReport, SequenceError, SequenceReport, Severity,
};
pub use limits::Limits;
pub use loader::{Folders, LoadedFile, Loader};
pub use model::{
    Action, ActionStep, Addressing, AfterInstall, AllHostsStep, Architecture, Argument, Block,
    BlockKind, BlueprintStep, BondMode, BridgeStep, CallArgument, Claim, CloudCluster,
    CloudMachineKind, CloudMachineStep, CloudNetwork, CloudStep, CloudZone, CpuGovernor,
    Dependency, DiskStep, GuestAction, GuestCall, GuestFile, GuestStep, HostChoice, HostInstall,
    HostStep, Ipv6Addressing, License, LinkSpeed, Literal, LocalStorage, MetricLimit, NestedHost,
    NetworkRole, NetworkUses, NicChoice, Node, NotCarriedOut, PhysicalNetwork, Place, PoolStep,
    Prepare, PrivateVlan, ProductType, Relation, ResourceWish, Rounds, Scheduler, ScriptFile,
    Sequence, SharedHostStep, StaticAddress, StorageChoice, StorageLinkArray, StorageOption,
    StorageStep, StorageType, TestStep, Topology, VifStep, VlanNetwork, Word,
};
pub use options::{Mode, ReadOptions, parse, parse_with, read};
pub(crate) use values::parse_bool;
pub use vocabulary::{json_schema, xsd};
