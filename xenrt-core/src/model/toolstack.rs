//! Where hosts come from.

use std::sync::Arc;

use async_trait::async_trait;

use super::Host;
use crate::Result;
use crate::lab::HostEntry;

/// A back end: it turns an entry of a lab into a host that can be used.
#[async_trait]
pub trait Toolstack: Send + Sync + std::fmt::Debug {
    /// The name in lab files: `xl`, `libvirt`, `xapi`.
    fn name(&self) -> &'static str;

    /// Connects to a host and finds out what it can do.
    ///
    /// # Errors
    /// When the host cannot be reached, does not accept the login, or does not run this toolstack;
    /// the message says which, and what to do.
    async fn connect(&self, entry: &HostEntry) -> Result<Arc<dyn Host>>;
}
