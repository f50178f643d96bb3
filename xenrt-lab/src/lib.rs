//! The virtual lab: real Xen hosts that need no hardware.
//!
//! [`VirtualLab`] boots Debian's Xen, with a Linux dom0, `xl` and libvirt, inside QEMU: under the
//! kernel's virtualisation where that works, and under plain emulation everywhere else. It builds what
//! it boots from Debian packages, keeps that in a cache, freezes a host that is up, and from then on
//! gives out pristine copies of it in two or three seconds each.
//!
//! ```no_run
//! # async fn example() -> Result<(), xenrt_lab::LabError> {
//! use std::time::Duration;
//! use xenrt_lab::{HostRequest, LabOptions, VirtualLab};
//!
//! let lab = VirtualLab::open(LabOptions::default()).await?;
//! let hosts = lab.hosts(&HostRequest::new(2)).await?;
//! let domains = hosts[0].run("xl list", Duration::from_secs(30)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What is where:
//!
//! * [`images`]: packages to boot images;
//! * [`local`]: hosts of libvirt with QEMU on this machine, besides those of Xen;
//! * [`machine`]: one QEMU process, its monitor, console and power;
//! * [`lab`]: snapshots, groups of linked hosts, and what happens to them when their owner dies;
//! * [`progress`]: what the lab is doing.
//!
//! # What can be relied on
//!
//! * Everything that listens, listens on 127.0.0.1, on ports that the kernel chose. Nothing inside a
//!   host reaches the outside.
//! * A host ends with its handle, and with the program that started it, even if that is killed. What
//!   slips through is ended when a lab is opened next. Detached hosts are the exception, on demand.
//! * ssh is strict in all directions: every host key is known beforehand.
//!
//! # What is not as Debian has it
//!
//! * `/etc/xen/scripts/vif-bridge` and `block` are the lab's own: they do what Xen's do for a VIF on a bridge
//!   and for a disk that is a file, with few programs. Where dom0 is emulated, Xen's took a fifth of the time
//!   of a start; they stand beside as `*.xen`, and are used for all else.
//! * Of the kernel's drivers only those are there that have a device.
//! * Labs side by side slow one another by more than their share, since the two processors of a host wait for
//!   one another: on two processors, three labs take five times as long as one.

pub mod error;
pub mod images;
pub mod lab;
pub mod local;
pub mod machine;
mod paths;
mod process;
pub mod progress;
pub mod setup;
mod tools;
mod wait;

pub use error::{LabError, Result};
pub use images::{GuestImage, GuestRoot, guest_images};
pub use lab::{
    GuestKind, GuestNetwork, HostRequest, LIVE_GUEST_ADDRESS, LabOptions, MAX_HOSTS, Preparation,
    RunningLab, SshAccess, VirtualHost, VirtualLab, guest_network,
};
pub use machine::Accelerator;
pub use paths::default_cache_dir;
pub use progress::{LabEvent, Progress, Stage, Task};
