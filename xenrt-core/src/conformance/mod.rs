//! The contract of [`Host`](crate::model::Host) and [`Guest`](crate::model::Guest) as a suite that
//! every toolstack must pass.
//!
//! Each [`Check`] is a small test of one sentence of the contract: what a verb leaves behind, which
//! error an illegal one gives, that names arrive as they are, that nothing is left. A back end of
//! your own is held against all of them with a few lines:
//!
//! ```
//! use xenrt_core::conformance::Suite;
//! # use xenrt_core::sim::{SimLab, virtual_time};
//! # let lab = SimLab::new();
//! # let (my_host, my_other_host) = (lab.host(0), lab.host(1));
//! # virtual_time(async move {
//! let profile = Suite::new(my_host).second_host(my_other_host).filter("power.").run().await;
//! println!("{profile}");
//! assert!(profile.conforms());
//! # }).unwrap();
//! ```
//!
//! A check whose ability the host lacks is [`AbilityAbsent`](Verdict::AbilityAbsent) with the
//! reason, never passed and never left out. A check that needs a guest that is up shares one with
//! the checks around it, which is made anew when a check did not leave it as it was: a boot costs
//! more than most checks.
//!
//! That the suite itself is worth something is proven by [`mutants`]: simulated toolstacks with one
//! broken behaviour each, which it must turn red.

mod check;
mod checks;
mod context;
mod fixture;
#[cfg(feature = "sim")]
pub mod mutants;
mod problem;
mod profile;
mod suite;

pub use check::{Check, Cost, checks};
pub use context::CheckContext;
pub use problem::Problem;
pub use profile::{CheckResult, Profile, Verdict};
pub use suite::Suite;
