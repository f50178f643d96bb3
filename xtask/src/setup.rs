//! `cargo xtask setup`: installs the Debian packages that the lab and the tests need.

use std::error::Error;

use xenrt_lab::setup::{LOCAL, TESTS, install, lab};

/// Installs what is missing, saying what and why first; silent when nothing is.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let everything: Vec<_> = lab().into_iter().chain(LOCAL.iter().chain(TESTS).copied()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(install(&everything, &|line| anstream::eprintln!("setup: {line}")))?;
    Ok(())
}
