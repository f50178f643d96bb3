//! XenRT's hosts and guests over xapi: XenServer and XCP-ng through the `xe` command line, in a
//! control domain that is reached through ssh.
//!
//! [`XapiToolstack`] connects to a host of a lab; what it gives out are
//! [`Host`](xenrt_core::model::Host)s and [`Guest`](xenrt_core::model::Guest)s. [`XapiHost`] and
//! [`XapiGuest`] have what xapi can do beyond the object model: copies, storage, the pool, high
//! availability, licences, updates, reports, tasks.
//! [`xe`] is the client below them, for whoever wants `xe` alone.
//!
//! What is particular to xapi, and what this crate does about it:
//!
//! * **`xe` has many traps.** They are closed in [`xe`], and nothing here goes around it.
//! * **Names are not unique.** Objects are addressed by UUID; the names of guests are kept unique by
//!   looking first.
//! * **Each call costs** a process, a connection and a login, so calls are few, and what belongs
//!   together is one remote command. Creating a guest of a template without disks, starting it,
//!   waiting for its address and checking it is nine calls in three remote commands.
//! * **A connection can break in the middle**, and break again. What is created has a name that only
//!   its creator knows until it is complete, and is asked for again, until its deadline, only where it
//!   is not there and xapi has ended what it was doing: it is neither lost nor made twice.
//! * **The hypervisor is asked without xapi** where dom0 has `xl`. It alone knows that a guest has
//!   crashed: to xapi one that is preserved is paused.
//!
//! An image of the lab file means here:
//!
//! | key | what |
//! |---|---|
//! | `disk` | the name or UUID of the *template* that guests are installed from; without it they have no disk of their own ("Other install media") |
//! | `kernel`, `ramdisk`, `command_line` | files in dom0 for PV and PVH guests that xapi boots directly |
//!
//! Attributes of a host in a lab file that this crate reads:
//!
//! | attribute | what |
//! |---|---|
//! | `xe_server`, `xe_port`, `xe_user` | where `xe` is to log in, when not through the local socket |
//! | `xe_password_file` | a file on this machine with the password; also what a pool is joined with whose coordinator this is |

mod addressing;
mod bases;
mod copies;
mod define;
mod disks;
#[cfg(feature = "double")]
pub mod double;
mod error;
mod evidence;
mod guest;
mod ha;
mod host;
mod interfaces;
mod inventory;
mod iscsi;
mod licence;
mod management;
mod migration;
mod networks;
mod observe;
pub mod parse;
mod pool;
mod power;
mod product;
mod requests;
mod settings;
mod shared;
mod snapshots;
mod storage;
mod tasks;
mod templates;
mod temporary;
mod tokens;
mod toolstack;
#[cfg(test)]
mod transcripts;
mod transfer;
mod upkeep;
pub mod xe;

pub use addressing::{AddressFamily, Addressing, InterfaceAddressing, Ipv6Addressing};
pub use copies::Compression;
pub use guest::XapiGuest;
pub use ha::HighAvailability;
pub use host::XapiHost;
pub use interfaces::{BondMode, Interface};
pub use iscsi::{IscsiLun, IscsiTarget};
pub use licence::Licence;
pub use migration::RemotePool;
pub use pool::PoolHost;
pub use product::Product;
pub use storage::{Storage, StorageSpec};
pub use tasks::{Message, Task, TaskStatus};
pub use toolstack::XapiToolstack;
pub use transfer::Transferred;
pub use upkeep::{About, Applied, CrashDump, Patch};
