//! Tests of guest networking.

pub mod capture;
pub mod frontend;
pub mod hfx745;
mod networks;
mod reach;
mod throughput;
mod vifs;
