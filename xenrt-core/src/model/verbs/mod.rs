//! The provided verbs of [`Guest`](super::Guest), by theme.
//!
//! They are functions over any guest, so that the trait stays one page of contracts; its methods
//! call them, and a back end that overrides a method leaves the others as they are.

pub(super) mod check;
pub(super) mod devices;
pub(super) mod life;
pub(super) mod memory;
pub(super) mod migrate;
pub(super) mod power;
pub(super) mod reach;
pub(super) mod resources;
pub(super) mod steps;
