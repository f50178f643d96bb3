//! The attribute at places where it cannot be.
use xenrt::prelude::*;

/// Runs.
#[testcase(id = "ui.function")]
fn function() {}

struct OnImpl;

/// A module.
#[testcase(id = "ui.module")]
mod module {}

/// Twice on one type.
#[testcase(id = "ui.first")]
#[testcase(id = "ui.second")]
struct Twice;

/// The implementation.
#[testcase(id = "ui.impl")]
#[async_trait]
impl TestCase for OnImpl {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

#[async_trait]
impl TestCase for Twice {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

fn main() {}
