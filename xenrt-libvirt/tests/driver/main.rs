//! The toolstack on libvirt's own driver for tests, which needs no host.

#![cfg(feature = "virt")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

mod life;
mod native_snapshots;
mod oversized_packets;
mod storage;
mod world;
