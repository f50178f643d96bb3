//! Tests of guest networking.

mod bond;
pub mod capture;
pub mod frontend;
pub mod hfx745;
mod networks;
mod reach;
pub(crate) mod segment;
mod throughput;
mod vifs;
mod vlan;
