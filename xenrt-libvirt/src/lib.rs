//! XenRT's hosts and guests over libvirt.

pub mod xml;

#[cfg(feature = "virt")]
mod connection;
#[cfg(feature = "virt")]
mod error;
#[cfg(feature = "virt")]
mod sys;

#[cfg(feature = "virt")]
pub use connection::DomainEvent;
