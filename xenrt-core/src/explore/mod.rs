//! Random programs of verbs, checked after every step, and shrunk when one fails.
//!
//! A [`Model`] knows which verb is legal on which guest and what it leaves behind. A [`Program`] is
//! drawn from it by a seed and run on real or simulated hosts; after every step each view of the
//! guest is held against the model. When something is wrong, [`explore`] looks for the shortest
//! part of the program that still fails, and [`Program::to_test_case`] writes it down as a test.
//!
//! ```
//! use xenrt_core::explore::{Exploration, explore};
//! use xenrt_core::model::Host;
//! use xenrt_core::sim::{Defect, SimLab, SimTiming, virtual_time};
//!
//! let found = virtual_time(explore(Exploration::new(7, 200).guests(2), || async {
//!     let lab = SimLab::builder().timing(SimTiming::realistic());
//!     Ok(lab.defect(Defect::VcpusIgnoredAboveOne).build().hosts())
//! }))
//! .unwrap()
//! .unwrap();
//! let failure = found.failure.expect("vCPUs above 1 are ignored");
//! assert!(failure.program.steps.len() <= 4);
//! ```

mod failure;
mod guests;
mod model;
mod print;
mod program;
mod run;
mod shrink;

pub use failure::{Failure, Found};
pub use guests::Guests;
pub use model::{Model, ModelGuest};
pub use program::{Program, Step, Verb};
pub use run::{Exploration, explore};

#[cfg(all(test, feature = "sim"))]
mod tests;
