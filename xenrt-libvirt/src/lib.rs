//! XenRT's hosts and guests over libvirt: QEMU (with KVM or without), Xen, and libvirt's own driver
//! for tests.
//!
//! With the feature `virt`, which needs libvirt's C library (6.0 or later; on Debian install
//! `libvirt-dev`, on Fedora `libvirt-devel`), `LibvirtToolstack` connects to a host of a lab; what
//! it gives out are [`Host`](xenrt_core::model::Host)s and [`Guest`](xenrt_core::model::Guest)s.
//! Without it only the documents are here, in [`xml`].
//!
//! What is particular to libvirt, and what this crate does about it:
//!
//! * **Its calls block.** They are made on threads of their own, each with a deadline. A connection
//!   that died is noticed by the call that fails or by keep-alive, and made anew by the next call.
//! * **It tells what happens.** Waits follow its events, and look by themselves only now and then.
//! * **Its documents hold more than this library knows.** They are changed as trees, in the place
//!   that changes.
//! * **Its drivers differ.** What one lacks is told as an ability that is absent, with the reason.
//! * **Not everything has a control domain.** Where the hypervisor has none, the host itself stands
//!   for it, as domain 0.
//!
//! Disks are raw files in `<work_folder>/guests/<uuid>/` on the host, made and removed through its
//! shell.
//!
//! A host whose `address` is `localhost` is this machine, without ssh. Others are reached through
//! ssh, libvirt's connection as well. Attributes of a host in a lab file that this crate reads:
//!
//! | attribute | what |
//! |---|---|
//! | `libvirt_uri` | the URI that programs on the host would use: `qemu:///system` (the default), `xen:///system`, `test:///default` |
//! | `migration_uri` | the URI by which the libvirt of *other* hosts reaches this one, to move guests to it; through ssh with the login of the lab where it is not set |
//! | `migration_address` | the address that the memory of guests is sent to; what libvirt says where it is not set |
//! | `migration_transport` | how memory leaves this host: `direct` (the default) from QEMU to QEMU, or `tunnel` through the connection of the two libvirts |
//! | `shared_folders` | folders, separated by commas, that hosts share: guests whose disks are there can be moved. Both hosts must name the folder |
//! | `spare_interface` | an interface of the host that networks with an uplink may be put on |
//! | `shares_kernel` | `true` where the host is a name space or a container of the machine that the tests run on, and must not be rebooted |
//! | `libvirt_accelerator` | what QEMU runs guests by: `kvm` (the default where there is KVM) or `qemu` (emulation) |

#[cfg(feature = "virt")]
mod address;
#[cfg(feature = "virt")]
mod balloon;
#[cfg(feature = "virt")]
mod connection;
#[cfg(feature = "virt")]
mod console;
#[cfg(feature = "virt")]
mod define;
#[cfg(feature = "virt")]
mod definition;
#[cfg(feature = "virt")]
mod devices;
#[cfg(feature = "virt")]
mod disks;
#[cfg(feature = "virt")]
mod driver;
#[cfg(feature = "virt")]
mod error;
#[cfg(feature = "virt")]
mod evidence;
#[cfg(feature = "virt")]
mod guest;
#[cfg(feature = "virt")]
mod host;
#[cfg(feature = "virt")]
mod inventory;
#[cfg(feature = "virt")]
mod migration;
#[cfg(feature = "virt")]
mod native_snapshots;
#[cfg(feature = "virt")]
mod networks;
#[cfg(feature = "virt")]
mod observe;
#[cfg(feature = "virt")]
mod reach;
#[cfg(feature = "virt")]
mod reboot;
#[cfg(feature = "virt")]
mod requests;
#[cfg(feature = "virt")]
mod screen;
#[cfg(feature = "virt")]
mod script;
#[cfg(feature = "virt")]
mod settle;
#[cfg(feature = "virt")]
mod snapshots;
#[cfg(feature = "virt")]
mod storage;
#[cfg(feature = "virt")]
mod sys;
#[cfg(feature = "virt")]
mod toolstack;
pub mod xml;

#[cfg(feature = "virt")]
pub use balloon::MemoryStats;
#[cfg(feature = "virt")]
pub use connection::{BlockJobStatus, DomainEvent};
#[cfg(feature = "virt")]
pub use console::ConsoleStream;
#[cfg(feature = "virt")]
pub use guest::LibvirtGuest;
#[cfg(feature = "virt")]
pub use host::LibvirtHost;
#[cfg(feature = "virt")]
pub use native_snapshots::{NativeSnapshot, SnapshotForm};
#[cfg(feature = "virt")]
pub use storage::{Pool, Volume, VolumeFormat};
#[cfg(feature = "virt")]
pub use toolstack::LibvirtToolstack;
