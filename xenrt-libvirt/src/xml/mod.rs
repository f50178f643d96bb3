//! The XML of libvirt's objects.
//!
//! What this library makes and reads is in typed structures ([`Domain`], [`Disk`], ...). A document
//! that exists already is an [`Element`] tree, in which only what changes is replaced: what these
//! structures do not know of survives.

mod domain;
mod element;
mod made;
mod network;
mod storage;

#[cfg(feature = "virt")]
pub(crate) use domain::to_element;
pub use domain::{
    BootDevice, Bus, Devices, Disk, Domain, DomainKind, Driver, Features, Interface, LogFile, Mac,
    Model, Os, OsType, Present, Quantity, Serial, Source, Target, Vcpu,
};
pub use element::{Element, Node, XmlError};
pub use made::Made;
pub use network::{Bridge, Dhcp, Forward, Ip, NatNetwork, NetworkXml, Range, Uplink};
pub use storage::{
    Format, Origin, Place, PoolSource, PoolXml, SourceDevice, SourceHost, VolumeXml,
};
