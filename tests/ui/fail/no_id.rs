//! A test without an id.
use xenrt::prelude::*;

/// Has nothing.
#[testcase]
struct NoId;

/// Has something, and no id.
#[testcase(tags("network"))]
struct OnlyTags;

#[async_trait]
impl TestCase for NoId {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

#[async_trait]
impl TestCase for OnlyTags {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

fn main() {}
