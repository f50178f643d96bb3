//! The `xe` command line as a typed client.
//!
//! ```no_run
//! # async fn f(shell: std::sync::Arc<dyn xenrt_core::remote::Shell>) -> Result<(), xenrt_xapi::xe::XeError> {
//! use xenrt_xapi::xe::{ApiCode, Login, Xe, XeCommand};
//!
//! let xe = Xe::new(shell, Login::Local);
//! let vm = xe.create(&XeCommand::new("vm-install")
//!     .param("template", "Debian Bookworm 12")
//!     .param("new-name-label", "it's; a $(guest)")).await?;
//! match xe.run(&XeCommand::new("vm-start").uuid(vm)).await {
//!     Err(error) if error.code() == Some(&ApiCode::HostNotEnoughFreeMemory) => { /* ... */ }
//!     other => { other?; }
//! }
//! # Ok(()) }
//! ```
//!
//! `xe` is a thin client: it sends its arguments, joined by line ends, to xapi, which understands and
//! runs them. Much can go wrong in silence on that way. What this module does about it:
//!
//! | trap | answer |
//! |---|---|
//! | a line end in a value begins another argument on the server | refused before it is sent, as are NUL and a CR at the end, which is dropped |
//! | `server=`, `password=`, `port=` and others are taken by the client wherever they stand | refused |
//! | a command without a selector acts on *every* VM or host | refused |
//! | most commands ignore parameters that they do not know | only those of [the list](XeCommand::new) are sent |
//! | of a parameter that is given twice the first counts | refused |
//! | some commands ask, and without an answer do nothing with status 0 | `force=true` is added, and "Aborted" is an error |
//! | a wrong option prints the usage with status 0 | an error |
//! | an export that failed for a reason that xapi did not note ends with status 0 | an error |
//! | with `--multiple`, failures are told on standard output | understood as [`XeError::Partial`] |
//! | error codes are not printed | looked up from their texts, those of several releases |
//! | `XE_EXTRA_ARGS` and `~/.xe` of the administrator add arguments | cleared; without `HOME` |
//! | passwords on a command line are shown by `ps` | go through standard input: logins in a file that lives as long as the command, parameters in the environment |
//! | `xe` never gives up | every command has a deadline |

mod api;
mod client;
mod command;
mod error;
mod login;
mod repeat;
mod script;
mod understand;
pub(crate) mod vocabulary;

pub use api::{ApiCode, ApiError};
#[cfg(feature = "double")]
pub(crate) use api::{api_message, api_parameters};
pub use client::{Chain, Xe};
pub use command::XeCommand;
pub use error::{Result, XeError};
pub use login::Login;
pub(crate) use script::bare;
pub(crate) use understand::{Ran, understand};
