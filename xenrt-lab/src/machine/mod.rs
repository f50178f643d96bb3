//! One virtual machine: a QEMU process, its monitor, console and power.

mod cable;
mod config;
mod overlay;
mod probe;
mod qemu;
mod qmp;

pub use config::{Accelerator, DirectBoot, MachineConfig, Memory, Network, Nic};
pub use overlay::ImageFormat;
pub(crate) use overlay::{create_overlay, virtual_size};
pub(crate) use probe::best_accelerator;
pub use qemu::Machine;
pub(crate) use qemu::{MachineDirectory, RECORD};
pub use qmp::{Qmp, QmpEvent};
