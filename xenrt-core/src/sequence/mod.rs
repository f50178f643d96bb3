//! Text into a [`Sequence`]: which hosts and guests a run needs, and which tests it runs in which
//! order.
//!
//! Parsing gives typed values with the [`Place`] that each came from; every problem of a file is a
//! [`Diagnostic`] with file, line, column and a caret, and all problems of a file are told at once.
//!
//! # The language
//!
//! It is the original's, whole, with some new words; `docs/sequence-files.md` of the project
//! documents it, with the differences from the original. [`ReadOptions`] says how a file is read:
//! strictly or as the original did ([`Mode`]), with which variables from outside, within which
//! [`Limits`], and where the files are that it includes ([`Loader`]).
//!
//! ```xml
//! <xenrt>
//!   <variables>
//!     <GUEST>tiny</GUEST>                <!-- used as ${GUEST} or %GUEST% -->
//!   </variables>
//!   <prepare>
//!     <host id="0" alias="source">       <!-- known as RESOURCE_HOST_0, and by its alias -->
//!       <vm name="${GUEST}">
//!         <distro>generic-linux</distro> <!-- an image of the lab -->
//!         <memory>512</memory>           <!-- in MiB -->
//!         <network device="0" bridge="xenbr0"/>
//!       </vm>
//!     </host>
//!   </prepare>
//!   <testsequence group="Basic">         <!-- group, host and guest hold for all inside -->
//!     <parallel workers="2">
//!       <for iter="LOOPS" values="1,10">
//!         <testcase id="lifecycle.reboot" name="again-${LOOPS}" guest="tiny" timeout="20m">
//!           <arg>loops=${LOOPS}</arg>
//!         </testcase>
//!       </for>
//!     </parallel>
//!     <finally><testcase id="lifecycle.shutdown" guest="tiny"/></finally>
//!   </testsequence>
//! </xenrt>
//! ```
//!
//! # How it is read
//!
//! `syntax` makes a tree of the text, `vocabulary` says which word may stand where and what its
//! values look like, and `read` compares the tree with it, expands loops, conditions and
//! inclusions, and builds the values of `model`. What the library cannot carry out is in these too;
//! [`Sequence::not_carried_out`] lists it.

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
pub(crate) use model::Origin;
pub use model::{
    Action, ActionStep, Addressing, AfterInstall, AllHostsStep, Architecture, Argument, Block,
    BlockKind, BlueprintStep, BridgeStep, CallArgument, Claim, CloudCluster, CloudMachineKind,
    CloudMachineStep, CloudNetwork, CloudStep, CloudZone, CpuGovernor, Dependency, DiskStep,
    GuestAction, GuestCall, GuestFile, GuestStep, HostChoice, HostInstall, HostStep,
    Ipv6Addressing, License, LinkSpeed, Literal, LocalStorage, MetricLimit, NestedHost,
    NetworkRole, NetworkUses, NicChoice, Node, NotCarriedOut, PhysicalNetwork, Place, PoolStep,
    Prepare, PrivateVlan, ProductType, Relation, ResourceWish, Rounds, Scheduler, ScriptFile,
    Sequence, SharedHostStep, StaticAddress, StorageChoice, StorageLinkArray, StorageOption,
    StorageStep, StorageType, TestStep, Topology, VifStep, VlanNetwork, Word,
};
pub use options::{Mode, ReadOptions, parse, parse_with, read};
pub(crate) use values::parse_bool;
pub use vocabulary::{json_schema, xsd};
