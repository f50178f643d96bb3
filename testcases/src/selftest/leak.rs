//! A test that leaves something behind, and one that puts that right.

use xenrt::prelude::*;

/// What the network is called.
const NAME: &str = "xrtleak";

fn network(cx: &TestContext) -> Result<String> {
    Ok(cx.args().get_or("network", NAME.to_owned())?)
}

/// Leaves a network on its host, behind the back of the library: Passed, and marked leaked.
///
/// Arguments: `network` (xrtleak).
#[testcase(id = "selftest.leaks", timeout = "5m", requires(networks), tags("selftest"))]
struct Leaks;

#[async_trait]
impl TestCase for Leaks {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let host = cx.default_host()?;
        // Not `create_network`, which would register the undo.
        host.define_network(&NetworkSpec::isolated(network(cx)?)).await?;
        Ok(())
    }
}

/// Removes the network that selftest.leaks left, if it is there.
///
/// Arguments: `network` (xrtleak).
#[testcase(id = "selftest.tidies", timeout = "5m", requires(networks), tags("selftest"))]
struct Tidies;

#[async_trait]
impl TestCase for Tidies {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let (host, name) = (cx.default_host()?, network(cx)?);
        host.remove_network(&name).await?;
        let left = host.networks().await?.iter().any(|network| network.name == name);
        if left {
            return Err(TestError::product(format!("the network {name:?} is still there")));
        }
        Ok(())
    }
}
