//! Tests that end in a way that is known beforehand.

use xenrt::prelude::*;

/// Runs a command in dom0, so that the test is one of a real host.
async fn touch(cx: &TestContext) -> Result {
    let host = cx.default_host()?;
    cx.step(format!("Run a command on {}", host.name()));
    host.dom0().run(&Command::new("true").deadline(Duration::from_secs(60))).await?;
    Ok(())
}

/// Passes, after a command in dom0 that takes some seconds.
///
/// Arguments: `seconds` (0).
#[testcase(id = "selftest.passes", timeout = "5m", tags("selftest"))]
struct Passes;

#[async_trait]
impl TestCase for Passes {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        touch(cx).await?;
        let seconds: u32 = cx.args().get_or("seconds", 0)?;
        if seconds > 0 {
            let deadline = Duration::from_secs(60 + u64::from(seconds));
            let wait = Command::new("sleep").arg(seconds.to_string()).deadline(deadline);
            cx.default_host()?.dom0().run(&wait).await?;
        }
        Ok(())
    }
}

/// Finds the product wrong: Failed.
#[testcase(id = "selftest.fails", timeout = "5m", tags("selftest"))]
struct Fails;

#[async_trait]
impl TestCase for Fails {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        touch(cx).await?;
        Err(TestError::product("the product is wrong, says the test that always says so"))
    }
}

/// Cannot be prepared: Errored, and no verdict on the product.
#[testcase(id = "selftest.errors", timeout = "5m", tags("selftest"))]
struct Errors;

#[async_trait]
impl TestCase for Errors {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let host = cx.default_host()?;
        host.dom0().run(&Command::new("false").deadline(Duration::from_secs(60))).await?;
        Ok(Self)
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

/// Cannot say anything here: Skipped.
#[testcase(id = "selftest.skips", timeout = "5m", tags("selftest"))]
struct Skips;

#[async_trait]
impl TestCase for Skips {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("this test never says anything"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

/// Fails at each attempt but that of a number: with a retry, Passed and flaky.
///
/// Arguments: `attempt` (2).
#[testcase(id = "selftest.flaky", timeout = "5m", tags("selftest"))]
struct Flaky;

#[async_trait]
impl TestCase for Flaky {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        touch(cx).await?;
        let good: u32 = cx.args().get_or("attempt", 2)?;
        if cx.attempt() == good {
            return Ok(());
        }
        Err(TestError::product(format!("this is attempt {}, not {good}", cx.attempt())))
    }
}

/// Does not come to its end: Errored when its time is over.
#[testcase(id = "selftest.hangs", timeout = "20s", tags("selftest"))]
struct Hangs;

#[async_trait]
impl TestCase for Hangs {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        touch(cx).await?;
        cx.step("Wait for what never comes");
        std::future::pending().await
    }
}

/// Panics: Errored, by the test.
#[testcase(id = "selftest.panics", timeout = "5m", tags("selftest"))]
struct Panics;

#[async_trait]
impl TestCase for Panics {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        touch(cx).await?;
        panic!("the test that always panics does")
    }
}
