//! What a test acts on.
//!
//! A [`Host`] runs [`Guest`]s. Both are object-safe: tests hold `Arc<dyn Host>` and
//! `Arc<dyn Guest>` and never learn which toolstack is behind them. A back end implements the few
//! required methods; what is common to all toolstacks - the verbs with their verified post-states,
//! the checks, reachability - is provided here, once.
//!
//! A back end's required methods *ask*: [`Guest::request`] passes a [`GuestAction`] to the
//! toolstack and returns. The provided verbs *do*: they look up whether the action is allowed from
//! the present state, ask, wait until the toolstack reports the new state, and keep what the guest
//! should now be in its [`Expectation`], which [`Guest::check`] holds against three views.

mod ability;
mod action;
mod check;
mod consoles;
mod expectation;
mod guest;
mod host;
pub(crate) mod inside;
mod interfaces;
mod log;
mod pool;
mod power;
mod reach;
mod scope;
mod snapshot;
mod spec;
mod storage;
mod templates;
mod toolstack;
mod units;
mod verbs;
mod view;

pub use ability::{Abilities, Ability};
pub use action::{Afterwards, GuestAction};
pub use check::{CheckReport, Difference, View, compare_guest};
pub use consoles::XenConsoles;
pub use expectation::{Expectation, ExpectedGuest};
pub use guest::Guest;
pub use host::{EvidenceSource, Host, HostInventory};
pub use interfaces::{BondMode, HostAddressing, Interface, InterfaceAddress, Interfaces};
pub use log::{LogMark, LogSource};
pub use pool::{PoolMember, Pooling};
pub use power::{PowerState, ShutdownMode};
pub use reach::{GuestShells, Reach};
pub use scope::{CreatedObject, ObjectKind, Scope, Undo};
pub use snapshot::{Snapshot, SnapshotKind, Snapshots};
pub(crate) use spec::validate_guest_name;
pub use spec::{
    Boot, CrashAction, DiskSource, DiskSpec, GuestBase, GuestKind, GuestSpec, NetworkKind,
    NetworkSpec, VifSpec, validate_guest_name_on,
};
pub use storage::{Storage, StorageSource, StorageSpec, Storages};
pub use templates::{Template, Templates};
pub use toolstack::Toolstack;
pub use units::{MacAddress, Memory};
pub use verbs::check::differences_from;
pub use view::{Disk, DomainView, GuestView, HostInfo, InsideView, Network, Vif};
