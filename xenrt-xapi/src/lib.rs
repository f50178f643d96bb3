//! XenRT's hosts and guests over xapi: XenServer and XCP-ng through the `xe` command line.

#[cfg(feature = "double")]
pub mod double;
mod error;
pub mod parse;
pub mod xe;
