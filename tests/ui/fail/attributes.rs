//! Attributes that are unknown, given twice or not of their type: all of them are told at once.
use xenrt::prelude::*;

/// Has attributes that there are not.
#[testcase(id = "ui.unknown", timout = "20m", owner = "me")]
struct Unknown;

/// Has attributes twice.
#[testcase(id = "ui.twice", tc = "TC-1", tc = "TC-2", id = "ui.twice2")]
struct Twice;

/// Has values of other types.
#[testcase(id = 7, legacy = true, tc("TC-1"), timeout = 20, requires = "pvh", tags = "network")]
struct Types;

#[async_trait]
impl TestCase for Unknown {
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
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

#[async_trait]
impl TestCase for Types {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

fn main() {}
