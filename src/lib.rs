//! Hypervisor tests written once, run on every toolstack.
//!
//! A test is Rust code against [`Host`](model::Host) and [`Guest`](model::Guest). This crate is the
//! one that a test author depends on; it brings together the parts:
//!
//! | here | what it is |
//! |---|---|
//! | [`prelude`] | what a file of tests imports |
//! | [`testcase`](macro@testcase) | the attribute that makes a test known |
//! | [`model`], [`remote`], [`mod@testcase`] | what tests act on, how anything is reached, what tests are |
//! | [`sequence`], [`sequencer`], [`report`] | which tests run, running them, telling of it |
//! | [`lab`] | which hosts there are |
//! | `xl` (feature) | hosts and guests over the xl command line |
//! | `libvirt` (feature, not by default) | hosts and guests over libvirt: QEMU, Xen, its own driver for tests |
//! | `xapi` (feature) | hosts and guests over the xe command line: XenServer, XCP-ng |
//! | `harness` (feature) | test cases as tests of `cargo test` and `cargo nextest` |
//! | `virtual_lab` (feature `lab`) | real Xen hosts inside QEMU |
//! | `conformance` (feature) | the contract of hosts and guests as a suite for every toolstack |
//! | `explore` (feature `conformance`) | random programs of verbs, checked after every step |
//! | `sim` (feature) | simulated hosts in memory, to try tests and the sequencer without any |
//!
//! ```
//! use xenrt::prelude::*;
//!
//! /// A guest that was just made answers.
//! #[testcase(id = "examples.answers", timeout = "10m")]
//! struct Answers {
//!     guest: Arc<dyn Guest>,
//! }
//!
//! #[async_trait]
//! impl TestCase for Answers {
//!     async fn prepare(cx: &TestContext) -> Result<Self> {
//! #       async fn some_host(_: &TestContext) -> Result<Arc<dyn Host>> { Err(TestError::skip("none")) }
//!         let host: Arc<dyn Host> = some_host(cx).await?;
//!         Ok(Self { guest: host.create_basic_guest("answers", "generic-linux").await? })
//!     }
//!
//!     async fn run(&mut self, _: &TestContext) -> Result {
//!         self.guest.wait_until_reachable().await?;
//!         Ok(())
//!     }
//! }
//!
//! let registry = xenrt::testcase::Registry::global()?;
//! assert_eq!(registry.find("examples.answers")?.description, "A guest that was just made answers.");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use async_trait::async_trait;
#[cfg(feature = "sim")]
pub use xenrt_core::sim;
pub use xenrt_core::{
    Blame, Error, Result, ToolstackErrorKind, lab, model, remote, report, seconds, sequence,
    sequencer, testcase,
};
#[cfg(feature = "conformance")]
pub use xenrt_core::{conformance, explore};
#[cfg(feature = "libvirt")]
pub use xenrt_libvirt as libvirt;
pub use xenrt_macros::testcase;
#[cfg(feature = "xapi")]
pub use xenrt_xapi as xapi;
#[cfg(feature = "xl")]
pub use xenrt_xl as xl;

#[cfg(feature = "harness")]
pub mod harness;
#[cfg(all(feature = "lab", feature = "libvirt"))]
pub mod local_libvirt;
#[cfg(feature = "lab")]
pub mod virtual_lab;

/// Runs a future to its end on a runtime of its own, for programs that have no other: a `main` that
/// depends on this crate alone. The runtime has a thread for each processor, so a test that blocks
/// its thread does not keep the others.
///
/// # Errors
/// When the threads of the runtime cannot be started.
pub fn block_on<F: Future>(future: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

/// What a file of tests imports: `use xenrt::prelude::*;`.
///
/// [`Result`](testcase::TestResult) is that of test bodies here: `Result` alone is "nothing or a
/// [`TestError`](testcase::TestError)", and `?` works on any error.
pub mod prelude {
    pub use std::sync::Arc;
    pub use std::time::Duration;

    pub use async_trait::async_trait;
    pub use xenrt_core::model::{
        Ability, Boot, CrashAction, DiskSource, DiskSpec, Guest, GuestKind, GuestSpec, Host,
        MacAddress, Memory, NetworkKind, NetworkSpec, PowerState, ShutdownMode, VifSpec,
    };
    pub use xenrt_core::remote::{Command, Shell, ShellExt, Wait, wait_until};
    pub use xenrt_core::testcase::{TestCase, TestContext, TestError, TestResult as Result};
    pub use xenrt_macros::testcase;
}

/// What the macros of this project need at the place where they expand; not for people.
#[doc(hidden)]
pub use xenrt_core::__private;
