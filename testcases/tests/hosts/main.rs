//! Tests of the library on real Xen hosts of the virtual lab, and hosts that break under them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use xenrt_testcases as _;

mod interrupted;
mod lab;
mod oversized_packets;
mod soak;
