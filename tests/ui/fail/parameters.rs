//! A test with parameters.
use xenrt::prelude::*;

/// Could be made of anything.
#[testcase(id = "ui.parameters")]
struct Parameters<'a, T> {
    value: &'a T,
}

fn main() {}
