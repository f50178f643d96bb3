//! Pools of hosts.

use super::{BridgeStep, GuestStep, Place, StorageStep, Topology};

/// One `<pool>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStep {
    /// `id`: its number, `0` unless given.
    pub id: u32,
    /// `name`: the name by which tests know it besides `RESOURCE_POOL_<id>`.
    pub alias: Option<String>,
    /// Its hosts, by their indices in [`Prepare::hosts`](super::Prepare::hosts), in the order of
    /// the file. Those of an `<allhosts>` in it are told there.
    pub hosts: Vec<usize>,
    /// `master`: the host that it is made on, by its index; the first one unless given. `None` in a
    /// pool whose hosts all come from `<allhosts>`.
    pub master: Option<usize>,
    /// `master`, where it is a machine that an `<allhosts>` in it makes: the number of that one.
    pub master_to_come: Option<u32>,
    /// `ssl`: whether its storage and migration traffic is encrypted.
    pub ssl: bool,
    /// Storage that its hosts share.
    pub storage: Vec<StorageStep>,
    /// Networks without a network interface.
    pub bridges: Vec<BridgeStep>,
    /// How the network interfaces of its hosts are used.
    pub topology: Option<Topology>,
    /// Guests that are made on its master. (The original made those of a `<vmgroup>` on the last
    /// host, by mistake.)
    pub guests: Vec<GuestStep>,
    /// Guests that become templates once they are installed on its master.
    pub templates: Vec<GuestStep>,
    /// Where it stands.
    pub place: Place,
}

impl PoolStep {
    /// The pool with this number and nothing in it.
    pub fn new(id: u32, place: Place) -> Self {
        Self {
            id,
            alias: None,
            hosts: Vec::new(),
            master: None,
            master_to_come: None,
            ssl: false,
            storage: Vec::new(),
            bridges: Vec::new(),
            topology: None,
            guests: Vec::new(),
            templates: Vec::new(),
            place,
        }
    }

    /// The name by which tests know it always: `RESOURCE_POOL_<id>`.
    pub fn name(&self) -> String {
        format!("RESOURCE_POOL_{}", self.id)
    }
}
