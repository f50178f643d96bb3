//! Tests of the host itself: what it keeps, what it counts, and how it comes back.

mod busy;
mod console;
mod crash;
mod drift;
mod leaks;
mod reboot;
mod sanity;
