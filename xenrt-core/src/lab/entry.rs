//! One host of a lab.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Deadlines, GuestImage, LabNic, LabStorage};
use crate::remote::{Gateway, SshHop, SshTarget};
use crate::{Error, Result};

/// One host of a lab: how to reach it, what manages it, and what guests find there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostEntry {
    /// The name in the lab.
    pub name: String,
    /// Its address or DNS name.
    pub address: String,
    /// The port of its sshd.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// The user to log in as.
    #[serde(default = "root")]
    pub user: String,
    /// The private key; ssh's own choice (agent, default keys) where it is not set.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// The file with its host key; the user's own where it is not set.
    #[serde(default)]
    pub known_hosts: Option<PathBuf>,
    /// The machine to go through, where it has no route from here: `user@address:port`.
    #[serde(default)]
    pub gateway: Option<Gateway>,
    /// What manages it: `xl`, `libvirt`, `xapi`.
    pub toolstack: String,
    /// Where guests are connected, and which addresses they may use.
    #[serde(default)]
    pub guest_network: Option<GuestNetwork>,
    /// The folder on the host for what this library makes (definitions, disks, saved guests).
    #[serde(default = "work_folder")]
    pub work_folder: String,
    /// Guest images that it has.
    #[serde(default)]
    pub images: Vec<GuestImage>,
    /// Its network interfaces, as far as sequences may use them.
    #[serde(default)]
    pub nics: Vec<LabNic>,
    /// The tags of the VLANs that its interfaces carry, by the names by which sequences know them:
    /// `VR01`.
    #[serde(default)]
    pub vlans: BTreeMap<String, u16>,
    /// Tags of VLANs that a run may have for itself.
    #[serde(default)]
    pub private_vlans: Vec<u16>,
    /// What storage can be made of on it.
    #[serde(default)]
    pub storage: Vec<LabStorage>,
    /// Whether several runs use it: it is given out for guests of `<sharedhost>` alone.
    #[serde(default)]
    pub shared: bool,
    /// How long things may take on it.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// Anything else that is known of it, for selection and for tests.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

fn ssh_port() -> u16 {
    22
}

fn root() -> String {
    "root".to_owned()
}

fn work_folder() -> String {
    "/var/lib/xenrt".to_owned()
}

/// Where the guests of a host are connected.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestNetwork {
    /// The network (bridge) of the first VIF.
    pub network: String,
    /// Addresses that tests may give to guests; without them guests use DHCP.
    #[serde(default)]
    pub pool: Option<AddressPool>,
    /// dom0's address on that network, for traffic between guests and dom0.
    #[serde(default)]
    pub dom0_address: Option<Ipv4Addr>,
}

/// A range of addresses for guests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressPool {
    /// The first address.
    pub first: Ipv4Addr,
    /// The last address, included.
    pub last: Ipv4Addr,
    /// The length of the network prefix: 24.
    pub prefix: u8,
    /// The gateway of the network.
    pub gateway: Ipv4Addr,
}

impl AddressPool {
    /// Its addresses in order.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        (u32::from(self.first)..=u32::from(self.last)).map(Ipv4Addr::from)
    }
}

impl HostEntry {
    /// The attribute with folders, separated by commas, that this host shares with others.
    pub const SHARED_FOLDERS: &str = "shared_folders";

    /// Whether this host and another have the same file or folder at `path`: it is in a folder that
    /// [both name](Self::SHARED_FOLDERS).
    pub fn shares(&self, other: &Self, path: &str) -> bool {
        let names = |entry: &Self| {
            let folders = entry.attributes.get(Self::SHARED_FOLDERS).map_or("", String::as_str);
            folders.split(',').map(str::trim).filter(|own| own.starts_with('/')).any(|own| {
                let rest = path.strip_prefix(own.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        names(self) && names(other)
    }

    /// How to log into its control domain.
    pub fn ssh_target(&self) -> SshTarget {
        SshTarget {
            user: self.user.clone(),
            host: self.address.clone(),
            port: self.port,
            key: self.key.clone(),
            host_key: self.known_hosts.clone().into(),
            gateways: self.gateway.clone().into_iter().map(SshHop::from).collect(),
            proxy: Vec::new(),
        }
    }

    /// The image that goes by this name or alias. `generic-linux` and the empty name mean the first
    /// image of the catalogue where none claims the name.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the names that there are.
    pub fn image_for(&self, name: &str) -> Result<&GuestImage> {
        let any = || matches!(name, "" | "generic-linux").then(|| self.images.first()).flatten();
        self.images.iter().find(|image| image.answers_to(name)).or_else(any).ok_or_else(|| {
            Error::NotFound {
                kind: "guest image",
                name: name.to_owned(),
                known: self
                    .images
                    .iter()
                    .flat_map(|image| std::iter::once(&image.name).chain(&image.aliases))
                    .cloned()
                    .collect(),
            }
        })
    }
}
