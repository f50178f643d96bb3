//! An attribute that is not a list of names and values.
use xenrt::prelude::*;

/// Has a stray sign.
#[testcase(id = "ui.syntax"; timeout = "20m")]
struct Syntax;

fn main() {}
