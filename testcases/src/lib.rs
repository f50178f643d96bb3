//! The library of tests.
