//! A simulated toolstack: hosts and guests in memory, for trying tests and the sequencer itself.
//!
//! A [`SimLab`] gives out hosts that are managed by the toolstack `sim`. They do all that the model
//! knows, live migration between them included, and answer the commands that this library sends to
//! dom0 and guests, and a few more ([`SimLab::answer`] teaches them others). What they are asked
//! can be delayed, refused, lost, or lied about: a [`Fault`] says what goes wrong where and when, a
//! [`Defect`] breaks one behaviour for good.
//!
//! # Time
//!
//! Nothing takes time unless the lab is given a [`SimTiming`]. Time is tokio's: with a paused clock,
//! hours of a simulated lab pass in no time, and the order of what happens depends on nothing but
//! the seed. [`virtual_time`] runs a future with such a clock:
//!
//! ```
//! use xenrt_core::lab::{HostDemand, LabProvider};
//! use xenrt_core::model::ShutdownMode;
//! use xenrt_core::sim::{Fault, SimCall, SimLab, SimTiming, virtual_time};
//! use xenrt_core::ToolstackErrorKind;
//!
//! let lab = SimLab::builder().hosts(2).seed(7).timing(SimTiming::realistic()).build();
//! lab.inject(Fault::refuse(ToolstackErrorKind::OutOfMemory).verb("start").guest("large"));
//! virtual_time(async {
//!     let host = lab.host(0);
//!     let guest = host.create_basic_guest("small", "tiny").await?;
//!     guest.suspend().await?;
//!     guest.resume().await?;
//!     guest.migrate(&lab.host(1)).await?;
//!     guest.shutdown(ShutdownMode::Clean).await?;
//!     let refused = host.create_basic_guest("large", "tiny").await.unwrap_err();
//!     assert_eq!(refused.toolstack_kind(), Some(ToolstackErrorKind::OutOfMemory));
//!     Ok::<(), xenrt_core::Error>(())
//! })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In a test of your own, `#[tokio::test(start_paused = true)]` does the same.
//!
//! # In a lab file
//!
//! ```toml
//! [[host]]
//! name = "s1"
//! address = "sim"
//! toolstack = "sim"
//! ```
//!
//! Hosts that one [`SimToolstack`] connects to belong to one lab; those without images get the
//! simulated catalogue (`tiny`, `debian`), those without a guest network get `simbr0`.

mod catalogue;
mod commands;
mod defect;
mod define;
mod disks;
mod error;
mod fault;
mod faults;
mod guest;
mod host;
mod interfaces;
mod lab;
mod line;
mod machine;
mod mapper;
mod migration;
mod netback;
mod networks;
mod nics;
mod pcap;
mod pool;
mod requests;
mod shell;
mod snapshots;
mod storages;
mod templates;
mod time;
mod toolstack;
mod vm;
mod wire;
mod world;

pub use commands::{SimAnswer, SimPlace};
pub use defect::Defect;
pub use fault::{Effect, Fault, FaultId, Lie, SimCall};
pub use guest::SimGuest;
pub use host::SimHost;
pub use lab::{SimLab, SimLabBuilder};
pub use netback::{Netback, NetbackFault, Sent};
pub use pcap::{Packet, VifAddresses, capture_header};
pub use time::{SimTiming, virtual_time};
pub use toolstack::SimToolstack;
pub use world::SimCommandRecord;

/// The toolstack's name.
const TOOLSTACK: &str = "sim";

#[cfg(test)]
mod tests;
