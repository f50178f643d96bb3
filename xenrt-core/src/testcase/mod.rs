//! What a test author sees.
//!
//! A test is a type with a [`TestCase`] implementation and a `#[testcase]` attribute, which puts a
//! [`TestDescriptor`] into the registry of the program. [`TestCase::prepare`] builds what the test
//! starts from and returns the test; [`TestCase::run`] is the test. Both get a [`TestContext`].

mod args;
mod case;
mod context;
mod descriptor;
mod error;
mod outcome;
mod registry;

pub use args::{ArgError, Args, FromArg};
pub use case::{ErasedTestCase, TestCase, erase};
pub(crate) use context::RunShared;
pub use context::TestContext;
pub use descriptor::{Claims, Requirements, TestDescriptor};
pub use error::{TestError, TestResult};
pub use outcome::{Marks, Outcome, OutcomeKind, Phase};
pub use registry::{DuplicateId, Registry, RegistryError};
