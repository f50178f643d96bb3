//! The XML of storage pools and volumes (<https://libvirt.org/formatstorage.html>).

use serde::{Deserialize, Serialize};
use xenrt_core::model::Memory;

use super::domain::to_element;
use super::{Element, Quantity, XmlError};

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
    /// A pool of files in a folder.
    pub fn folder(name: &str, path: &str) -> Self {
        let target = Some(Place { path: Some(path.to_owned()), format: None });
        let (kind, name) = ("dir".to_owned(), name.to_owned());
        Self { kind, name, capacity: None, available: None, target }
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
    /// A raw volume of this size that takes room as it is written.
    pub fn sparse(name: &str, size: Memory) -> Self {
        let bytes = |amount| Quantity { unit: Some("bytes".to_owned()), amount };
        Self {
            name: name.to_owned(),
            capacity: bytes(size.as_bytes()),
            allocation: Some(bytes(0)),
            target: Some(Place { path: None, format: Some(Format { name: "raw".to_owned() }) }),
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
