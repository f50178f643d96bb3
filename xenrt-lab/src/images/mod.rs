//! Boot images, built from Debian packages and kept in a cache.
//!
//! Nothing is downloaded but packages, from where this machine's own apt gets them. What is built:
//! the hypervisor and dom0's kernel, initramfs and disk; and the guests that lie on that disk. The
//! provisioning is in the shell scripts in `assets/`, which mmdebstrap runs as hooks.

mod assets;
mod build;
mod cache;
mod catalogue;
mod keys;
mod memo;
mod recipe;
mod sources;

pub(crate) use cache::prune;
pub use cache::{ImageStore, Images};
pub(crate) use catalogue::GATEWAY;
pub use catalogue::{GuestImage, GuestRoot, guest_images};
pub(crate) use keys::Keys;
