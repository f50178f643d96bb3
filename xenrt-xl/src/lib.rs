//! XenRT's hosts and guests over Xen's own command line, `xl`, in a dom0 that is reached through
//! ssh.
//!
//! [`XlToolstack`] connects to a host of a lab; what it gives out are
//! [`Host`](xenrt_core::model::Host)s and [`Guest`](xenrt_core::model::Guest)s.
//!
//! What is particular to xl, and what this crate does about it:
//!
//! * **xl forgets a domain when it ends.** The crate keeps what a guest is in
//!   `<work_folder>/guests/<uuid>/` on the host: a definition, the disks that were made for it, its
//!   memory while it is suspended. Running domains that somebody else made are adopted; they can be
//!   used but, once halted, not started again.
//! * **xl takes names for numbers.** A guest may be called `7`, so domains are always addressed by
//!   the domain id that belongs to the guest's UUID at that moment.
//! * **xl's answers are texts.** They are parsed whole or refused; what a refusal means is looked up
//!   in a table of recorded texts.
//! * **Each command costs.** What belongs together is one shell line, see `script.rs`.
//!
//! Attributes of a host in a lab file that this crate reads:
//!
//! | attribute | what |
//! |---|---|
//! | `migration_address` | where other hosts send guests to; `user@` may stand before it |
//! | `migration_ssh` | the ssh command of dom0 for that, options and all |
//! | `shared_folders` | folders, separated by commas, that this host shares with others |

mod address;
mod config;
mod define;
mod definition;
mod disks;
mod error;
mod evidence;
mod guest;
mod host;
mod inventory;
mod migration;
mod networks;
mod observe;
mod parse;
mod requests;
mod script;
mod toolstack;

pub use guest::XlGuest;
pub use host::XlHost;
pub use toolstack::XlToolstack;
