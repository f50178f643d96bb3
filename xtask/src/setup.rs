//! `cargo xtask setup`: installs the Debian packages that the lab and the tests need.

use xenrt_lab::setup::{LAB, SetupError, TESTS, install};

/// Installs what is missing, saying what and why first; silent when nothing is.
pub(crate) async fn run() -> Result<(), SetupError> {
    let everything: Vec<_> = LAB.iter().chain(TESTS).copied().collect();
    install(&everything, &|line| anstream::eprintln!("setup: {line}")).await
}
