//! A stranger's test cases as tests of `cargo test` and `cargo nextest run`.

use xenrt::prelude::*;

/// Passes.
#[testcase(id = "stranger.passes", tags("good"))]
struct Passes;

#[async_trait]
impl TestCase for Passes {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

/// Cannot say anything here.
#[testcase(id = "stranger.skips", tags("good"))]
struct Skips;

#[async_trait]
impl TestCase for Skips {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("there is nothing to see here"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

/// Finds the product wrong.
#[testcase(id = "stranger.fails")]
struct Fails;

#[async_trait]
impl TestCase for Fails {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        cx.step("Look");
        Err(TestError::product("three packets are lost"))
    }
}

fn main() -> std::process::ExitCode {
    xenrt::harness::main()
}
