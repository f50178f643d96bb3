//! What a sequence says about the run as a whole: scripts, limits of measured values, wishes to the
//! scheduler.

use std::collections::BTreeMap;

use super::{Place, Word};

/// `<script>`: a script that guests of the file run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptFile {
    /// `filename`: by which `<script name>` of a guest knows it.
    pub name: Word,
    /// `type`: its language; `cmd` unless given.
    pub kind: Word,
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// One `<metric>` of `<perfcheck>`: between which values a measured value is sane.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricLimit {
    /// `name` of the `<testcase>` around it.
    pub test: Word,
    /// `name`.
    pub metric: Word,
    /// `min`.
    pub least: Option<f64>,
    /// `max`.
    pub most: Option<f64>,
    /// Where it stands.
    pub place: Place,
}

/// `<scheduler>`: what the run asks of whoever chooses its machines. A run that is started by hand
/// has its machines already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scheduler {
    /// `<resources>`: what every machine must have.
    pub resources: Vec<ResourceWish>,
    /// `<resources1>`: what the machine `RESOURCE_HOST_1` must have.
    pub resources_of_second: Vec<ResourceWish>,
    /// `<param>`: settings of the run by name; `MACHINES_REQUIRED` is in
    /// [`machines`](Self::machines) too.
    pub parameters: BTreeMap<String, String>,
    /// `MACHINES_REQUIRED`: how many machines it needs.
    pub machines: Option<u32>,
    /// `<flags>`: words that the site must have, or must not have where they begin with `!`.
    pub flags: Vec<Word>,
    /// `<pool>`: groups of machines to choose from.
    pub pools: Vec<Word>,
    /// `<version>`: for which version of the product it is.
    pub version: Option<String>,
    /// `<requires>`: what must have been done before.
    pub requires: Vec<Word>,
    /// `<email>`: who is told.
    pub email: Vec<Word>,
    /// `<skip>`: tests that are left out.
    pub skip: Vec<Word>,
    /// `<skipgroup>`: groups that are left out.
    pub skip_groups: Vec<Word>,
    /// `<holdfail>`: for how many hours the machines are kept when it fails.
    pub hold_on_failure: Option<u32>,
    /// `<delay>`: how many seconds later than others it begins.
    pub delay: Option<u32>,
}

/// One wish to a machine: `memory>=4G`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceWish {
    /// What is looked at.
    pub name: Word,
    /// How it is compared.
    pub relation: Relation,
    /// With what; numbers may have a `K`, `M`, `G` or `T` behind them.
    pub value: Word,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `=`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    More,
}

/// What a file asks for that this library cannot carry out: a run of it is not what the file means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotCarriedOut {
    /// What, as the file calls it: `<cloud>`, `storage type netapp`.
    pub what: String,
    /// Why not.
    pub reason: &'static str,
    /// Where it stands.
    pub place: Place,
}
