//! Requirements that cannot be.
use xenrt::prelude::*;

/// Needs abilities that there are not.
#[testcase(id = "ui.abilities", requires(live_migrate, telepathy, pvh, pvh, hvm = true))]
struct Abilities;

/// Needs hosts that cannot be counted.
#[testcase(id = "ui.hosts", requires(hosts = 0, hosts = "two"))]
struct Hosts;

#[async_trait]
impl TestCase for Abilities {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

#[async_trait]
impl TestCase for Hosts {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

fn main() {}
