//! A type that is no test.
use xenrt::prelude::*;

/// Has the attribute and not the trait.
#[testcase(id = "ui.no_implementation")]
struct NoImplementation;

fn main() {}
