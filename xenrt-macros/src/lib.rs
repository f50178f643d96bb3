//! The `#[testcase]` attribute.
