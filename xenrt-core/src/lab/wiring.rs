//! What a host of a lab is connected to: networks and storage.

use serde::{Deserialize, Deserializer};

use crate::model::{InterfaceAddress, StorageSource};
use crate::sequence::LinkSpeed;

/// `[[host.nics]]`: a network interface of a host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabNic {
    /// Its device on the host: `eth1`.
    pub device: String,
    /// The network of the lab that it is connected to, as sequences call it: `NPRI`, `NSEC`, `IPRI`,
    /// `ISEC` or a name.
    pub network: String,
    /// Its speed: `10G`. Where it is not said, nobody who asks for a speed gets it.
    #[serde(default, deserialize_with = "speed")]
    pub speed: Option<LinkSpeed>,
    /// The address that the host may have there: `10.2.0.11/24`.
    #[serde(default)]
    pub address: Option<InterfaceAddress>,
}

fn speed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LinkSpeed>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let speed = LinkSpeed::from_word(&text);
    let wrong = || serde::de::Error::custom(format!("{text:?} is no speed; expected \"10G\""));
    speed.map(Some).ok_or_else(wrong)
}

/// `[[host.storage]]`: what a storage can be made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabStorage {
    /// What `options` of a `<storage>` calls it: `LUN0`.
    #[serde(default)]
    pub name: Option<String>,
    /// The network of the lab over which it is reached, as sequences call it. Where it is not said,
    /// the primary one.
    #[serde(default)]
    pub network: Option<String>,
    /// What it is.
    pub source: StorageSource,
}
