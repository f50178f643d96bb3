//! The XML of storage pools and volumes (<https://libvirt.org/formatstorage.html>).

use serde::{Deserialize, Serialize};
use xenrt_core::model::Memory;

use super::domain::to_element;
use super::{Element, Quantity, XmlError};

/// Where a storage pool has its volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolSource {
    /// Files in this folder of the host, which is made where it is missing (`dir`).
    Folder(String),
    /// Logical volumes of a volume group of LVM (`logical`).
    VolumeGroup {
        /// Its name.
        name: String,
        /// The block devices that it is made of, which loses what is on them; none where the host
        /// has the group already.
        devices: Vec<String>,
    },
    /// Files on an export of an NFS server (`netfs`).
    Nfs {
        /// The server's name or address.
        server: String,
        /// The folder that it exports.
        export: String,
        /// The folder of the host where it is mounted, which is made where it is missing.
        mounted_at: String,
    },
    /// The units of an iSCSI target (`iscsi`); volumes are neither made nor removed there.
    Iscsi {
        /// The portal's name or address.
        portal: String,
        /// Its port; 3260 where none is said.
        port: Option<u16>,
        /// The target: `iqn.2013-06.com.example:san`.
        target: String,
    },
}

impl PoolSource {
    /// libvirt's word for it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Folder(_) => "dir",
            Self::VolumeGroup { .. } => "logical",
            Self::Nfs { .. } => "netfs",
            Self::Iscsi { .. } => "iscsi",
        }
    }

    /// Where its volumes appear on the host.
    fn path(&self) -> String {
        match self {
            Self::Folder(path) => path.clone(),
            Self::VolumeGroup { name, .. } => format!("/dev/{name}"),
            Self::Nfs { mounted_at, .. } => mounted_at.clone(),
            Self::Iscsi { .. } => "/dev/disk/by-path".to_owned(),
        }
    }

    fn origin(&self) -> Option<Origin> {
        let device = |path: &String| SourceDevice { path: path.clone() };
        let format = |name: &str| Some(Format { name: name.to_owned() });
        match self {
            Self::Folder(_) => None,
            Self::VolumeGroup { name, devices } => Some(Origin {
                devices: devices.iter().map(device).collect(),
                name: Some(name.clone()),
                format: format("lvm2"),
                ..Origin::default()
            }),
            Self::Nfs { server, export, .. } => Some(Origin {
                host: Some(SourceHost { name: server.clone(), port: None }),
                dir: Some(SourceDevice { path: export.clone() }),
                format: format("nfs"),
                ..Origin::default()
            }),
            Self::Iscsi { portal, port, target } => Some(Origin {
                host: Some(SourceHost { name: portal.clone(), port: *port }),
                devices: vec![device(target)],
                ..Origin::default()
            }),
        }
    }
}

/// What a storage pool is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<SourceHost>,
    /// Block devices, or the target of iSCSI.
    #[serde(rename = "device", default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<SourceDevice>,
    /// The folder that a server exports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<SourceDevice>,
    /// The volume group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `lvm2`, `nfs`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

/// A server of storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceHost {
    /// Its name or address.
    #[serde(rename = "@name")]
    pub name: String,
    /// Its port, where it is not the usual one.
    #[serde(rename = "@port", skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A block device, target or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDevice {
    /// What it is called.
    #[serde(rename = "@path")]
    pub path: String,
}

/// A storage pool, as far as this library makes or reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "pool")]
pub struct PoolXml {
    /// `dir`, `logical`, `netfs`, ...
    #[serde(rename = "@type")]
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How large it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Quantity>,
    /// How much of it is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<Quantity>,
    /// What it is made of; nothing where that is its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Origin>,
    /// Where its volumes are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Place>,
}

/// A volume, as far as this library makes or reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "volume")]
pub struct VolumeXml {
    /// Its name.
    pub name: String,
    /// Its size.
    pub capacity: Quantity,
    /// How much room it takes now; none for a new one that grows as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Quantity>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Place>,
}

/// A place on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The folder, file or block device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The form of what is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// The version of QEMU whose images of this form it is like, at least: `1.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compat: Option<String>,
}

/// The form of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// `raw`, `qcow2`, ...
    #[serde(rename = "@type")]
    pub name: String,
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, XmlError> {
    quick_xml::de::from_str(text).map_err(|error| XmlError::Unexpected(error.to_string()))
}

impl PoolXml {
    /// A pool that this library makes.
    pub fn new(name: &str, source: &PoolSource) -> Self {
        Self {
            kind: source.kind().to_owned(),
            name: name.to_owned(),
            capacity: None,
            available: None,
            source: source.origin(),
            target: Some(Place { path: Some(source.path()), ..Place::default() }),
        }
    }

    /// Reads what this library knows of a document.
    ///
    /// # Errors
    /// When it is no pool.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        parse(text)
    }

    /// As a tree.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_element(&self) -> Result<Element, XmlError> {
        to_element(self)
    }
}

impl VolumeXml {
    /// A volume of this size and format that takes room as it is written.
    pub fn sparse(name: &str, size: Memory, format: &str) -> Self {
        let bytes = |amount| Quantity { unit: Some("bytes".to_owned()), amount };
        Self {
            name: name.to_owned(),
            capacity: bytes(size.as_bytes()),
            allocation: Some(bytes(0)),
            target: Some(Place {
                path: None,
                format: Some(Format { name: format.to_owned() }),
                // What libvirt makes where nothing is said keeps no checkpoints.
                compat: (format == "qcow2").then(|| "1.1".to_owned()),
            }),
        }
    }

    /// Reads what this library knows of a document.
    ///
    /// # Errors
    /// When it is no volume.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        parse(text)
    }

    /// As a tree.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_element(&self) -> Result<Element, XmlError> {
        to_element(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_read_as_they_were_written() {
        let text = |text: &str| text.to_owned();
        let sources = [
            PoolSource::Folder(text("/srv/it's")),
            PoolSource::VolumeGroup { name: text("vg0"), devices: vec![text("/dev/sdb")] },
            PoolSource::Nfs {
                server: text("filer"),
                export: text("/exports/<a>"),
                mounted_at: text("/mnt/a"),
            },
            PoolSource::Iscsi {
                portal: text("10.0.0.1"),
                port: Some(3261),
                target: text("iqn.2013-06.com.example:san"),
            },
        ];
        let written: Vec<String> = sources
            .iter()
            .map(|source| {
                let pool = PoolXml::new("a pool", source);
                let xml = pool.to_element().unwrap().to_xml();
                assert_eq!(PoolXml::parse(&xml).unwrap(), pool);
                xml
            })
            .collect();
        insta::assert_snapshot!(written.join("\n"));
    }
}
