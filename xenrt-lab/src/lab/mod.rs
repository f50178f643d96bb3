//! The virtual lab: real Xen hosts that come back from a snapshot in seconds.

mod host;
mod open;
mod preparation;
mod profile;
mod run;
mod snapshot;
mod snapshots;
mod ssh;

pub use host::VirtualHost;
pub use open::{HostRequest, LabOptions, MAX_HOSTS, VirtualLab};
pub use preparation::{GuestKind, GuestNetwork, LIVE_GUEST_ADDRESS, Preparation, guest_network};
pub use run::RunningLab;
pub use ssh::SshAccess;
