//! A test without a doc comment.
use xenrt::prelude::*;

#[testcase(id = "ui.undescribed")]
struct Undescribed;

#[async_trait]
impl TestCase for Undescribed {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

fn main() {}
