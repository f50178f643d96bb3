//! Networks that a sequence prepares.

use serde::{Deserialize, Serialize};

use super::{Addressing, Place, Word};
use crate::model::BondMode;

/// `<NETWORK>`: how the network interfaces of a host, or of each host of a pool, are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// `controller`: the guest that is the controller of its switches.
    pub controller: Option<Word>,
    /// `<PHYSICAL>`.
    pub networks: Vec<PhysicalNetwork>,
    /// Where it stands.
    pub place: Place,
}

/// `<PHYSICAL>`: a network with one network interface, or with several that are bonded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalNetwork {
    /// `network`: the network of the lab that they are connected to; the primary one unless given.
    pub network: NetworkRole,
    /// `name`: the name by which guests and tests know it.
    pub name: Option<Word>,
    /// `jumbo`: whether frames are large.
    pub jumbo: bool,
    /// `speed`: the least that is asked for.
    pub speed: Option<LinkSpeed>,
    /// `bond-mode`: how several network interfaces share the load.
    pub bond: Option<BondMode>,
    /// `<NIC>`: its network interfaces; with more than one they are bonded.
    pub nics: Vec<NicChoice>,
    /// What it is for.
    pub uses: NetworkUses,
    /// `<VLAN>`.
    pub vlans: Vec<VlanNetwork>,
    /// Where it stands.
    pub place: Place,
}

impl PhysicalNetwork {
    /// Whether it is the network that each host of a lab has: the primary one, on one interface.
    pub fn is_primary_as_it_is(&self) -> bool {
        self.network == NetworkRole::Primary && self.nics.len() <= 1
    }
}

/// `<VLAN>`: a tagged network on a physical one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VlanNetwork {
    /// `network`: the VLAN of the lab, or one of the file's `<vlan>`; `VR01` unless given.
    pub network: NetworkRole,
    /// `name`: the name by which guests and tests know it.
    pub name: Option<Word>,
    /// What it is for.
    pub uses: NetworkUses,
    /// Where it stands.
    pub place: Place,
}

/// What a network is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkUses {
    /// `<MANAGEMENT>`: the host is managed over it, with an address given so.
    pub management: Option<Addressing>,
    /// `<STORAGE>`: storage is reached over it, with an address given so.
    pub storage: Option<Addressing>,
    /// `<VMS>`: guests are on it.
    pub guests: bool,
}

/// Which network interface of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NicChoice {
    /// The first that nothing else uses.
    FirstFree,
    /// `enum`: the one with this index among those on the network.
    Index(u32),
}

/// A network of the lab.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkRole {
    /// `NPRI`: the primary one.
    Primary,
    /// `NSEC`: the secondary one.
    Secondary,
    /// `IPRI`: the primary one that leads nowhere else.
    IsolatedPrimary,
    /// `ISEC`: the secondary one that leads nowhere else.
    IsolatedSecondary,
    /// `ANY`.
    Any,
    /// Another one, by its name: `VR01`, `STORAGE01`, or that of a `<vlan>`.
    Named(String),
}

impl NetworkRole {
    /// From the word of the file.
    pub fn from_word(word: &str) -> Self {
        match word {
            "NPRI" => Self::Primary,
            "NSEC" => Self::Secondary,
            "IPRI" => Self::IsolatedPrimary,
            "ISEC" => Self::IsolatedSecondary,
            "ANY" => Self::Any,
            other => Self::Named(other.to_owned()),
        }
    }

    /// The word of the file.
    pub fn word(&self) -> &str {
        match self {
            Self::Primary => "NPRI",
            Self::Secondary => "NSEC",
            Self::IsolatedPrimary => "IPRI",
            Self::IsolatedSecondary => "ISEC",
            Self::Any => "ANY",
            Self::Named(name) => name,
        }
    }
}

/// The speed of a network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkSpeed(u64);

impl LinkSpeed {
    /// So many bits a second.
    pub const fn bits(bits: u64) -> Self {
        Self(bits)
    }

    /// So many gigabits (10^9 bits) a second.
    pub const fn gigabits(gigabits: u64) -> Self {
        Self(gigabits.saturating_mul(1_000_000_000))
    }

    /// From the word of a file: `10G`, `100M`.
    pub fn from_word(word: &str) -> Option<Self> {
        crate::sequence::values::parse_speed(word)
    }

    /// In bits a second.
    pub const fn as_bits(self) -> u64 {
        self.0
    }
}

/// `<bridge>`: a network without a network interface of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeStep {
    /// `name`.
    pub name: Word,
    /// Where it stands.
    pub place: Place,
}

/// `<vlan>` of `<prepare>`: a VLAN that the lab gives to the run alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateVlan {
    /// `name`: by which the rest of the file knows it.
    pub name: Word,
    /// Where it stands.
    pub place: Place,
}
