//! The library of tests.
//!
//! Each module is a theme; each test is registered where it is written. A program that links this
//! crate and refers to it, `use xenrt_testcases as _;`, has all of them in its registry.

pub mod network;
mod selftest;
