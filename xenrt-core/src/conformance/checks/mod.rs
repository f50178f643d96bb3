//! The checks, by theme.

mod concurrency;
mod define;
mod devices;
mod host;
mod illegal;
mod life;
mod memory;
mod migration;
mod names;
mod network;
mod power;
mod reach;
mod resources;
mod shell;
mod snapshots;

use super::check::Check;

/// All themes, in the order in which they run: what is cheap first.
pub(super) const ALL: &[&[Check]] = &[
    host::CHECKS,
    shell::CHECKS,
    names::CHECKS,
    define::CHECKS,
    network::CHECKS,
    illegal::CHECKS,
    life::CHECKS,
    power::CHECKS,
    reach::CHECKS,
    resources::CHECKS,
    devices::CHECKS,
    memory::CHECKS,
    snapshots::CHECKS,
    migration::CHECKS,
    concurrency::CHECKS,
];
