//! Claims that cannot be.
use xenrt::prelude::*;

/// Claims what cannot be claimed.
#[testcase(id = "ui.what", claims(hosts = "shared", guest = "exclusiv", host, host = "shared"))]
struct What;

/// Claims nothing, and blocks in words.
#[testcase(id = "ui.nothing", claims(), blocker = "yes")]
struct Nothing;

/// Claims without saying what.
#[testcase(id = "ui.form", claims = "exclusive")]
struct Form;

#[async_trait]
impl TestCase for What {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

fn main() {}
