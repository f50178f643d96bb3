//! Values that cannot be.
use xenrt::prelude::*;

/// Has an id that is none.
#[testcase(id = "Network.HFX745")]
struct Ids;

/// Has values that are none.
#[testcase(
    id = "ui..values",
    legacy("testcases.a.TCB", "testcases a", "testcases.a.TCB"),
    tc = "TC 1",
    timeout = "20 parsecs",
    tags("network", "Security!", "network")
)]
struct Values;

/// Has lists without anything in them.
#[testcase(id = "ui.empty", legacy(), tags(), requires())]
struct Empty;

#[async_trait]
impl TestCase for Ids {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

#[async_trait]
impl TestCase for Values {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

#[async_trait]
impl TestCase for Empty {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

fn main() {}
