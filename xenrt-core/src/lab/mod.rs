//! Which hosts there are, and how to reach them.
//!
//! A [`LabFile`] describes real hosts; the virtual lab makes entries of the same form for the hosts
//! that it boots. A [`LabProvider`] gives connected hosts to a run and takes them back.

pub(crate) mod deadlines;
mod entry;
mod file;
mod image;
mod provider;
mod wiring;

pub use deadlines::Deadlines;
pub use entry::{AddressPool, GuestNetwork, HostEntry};
pub use file::{LabFile, LabFileProvider};
pub use image::GuestImage;
pub use provider::{HostDemand, LabNote, LabProvider};
pub use wiring::{LabNic, LabStorage};
