//! What a sequence file says, in types.

mod steps;

use std::collections::BTreeMap;

use super::Diagnostic;
use crate::model::Memory;

pub use steps::{
    Action, ActionStep, Argument, Block, BlockKind, Claim, Dependency, HostChoice, Node, Rounds,
    TestStep, Word,
};

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The file, as it was named by whoever read it.
    pub file: String,
    /// `<variables>`: values by name; nested elements have names with `/` between the parts.
    /// References to other variables are replaced.
    pub variables: BTreeMap<String, String>,
    /// `<prepare>`: what is built before the first test.
    pub prepare: Prepare,
    /// `<semaphores>`: how many tests of one class may be at work at the same time, by the class's
    /// name in lower case.
    pub semaphores: BTreeMap<String, usize>,
    /// `<testsequence>`: the tests. A sequence without one only prepares.
    pub tests: Option<Block>,
    /// What the file says that changes nothing; for whoever runs it to show.
    pub warnings: Vec<Diagnostic>,
}

/// What is built before the first test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepare {
    /// The hosts, in the order of the file.
    pub hosts: Vec<HostStep>,
}

/// One `<host>`. Its name and alias are those that `host` of a test means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStep {
    /// `id`: its number among the machines of the run, `0` unless given.
    pub id: u32,
    /// `alias`: the name by which tests know it besides `RESOURCE_HOST_<id>`.
    pub alias: Option<String>,
    /// Its `<vm>` children.
    pub guests: Vec<GuestStep>,
    /// Where it stands.
    pub place: Place,
}

impl HostStep {
    /// The name by which tests know it always: `RESOURCE_HOST_<id>`, as in the original.
    pub fn name(&self) -> String {
        format!("RESOURCE_HOST_{}", self.id)
    }
}

/// One `<vm>`: a guest that is there, running and reachable, when the tests begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestStep {
    /// `name`: the name of the guest and by which tests know it.
    pub name: String,
    /// `<distro>`: the image; `generic-linux` unless given.
    pub distro: String,
    /// `<vcpus>`.
    pub vcpus: Option<u32>,
    /// `<memory>`, in MiB in the file.
    pub memory: Option<Memory>,
    /// `<network>`: its VIFs; one on the host's guest network unless given.
    pub vifs: Vec<VifStep>,
    /// `<disk>`: sizes of its extra disks, in GB in the file.
    pub disks: Vec<Memory>,
    /// Where it stands.
    pub place: Place,
}

/// One `<network>` of a `<vm>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VifStep {
    /// `device`: its number.
    pub device: u32,
    /// `bridge`: the network; the host's guest network unless given.
    pub network: Option<String>,
}
