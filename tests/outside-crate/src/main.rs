//! A stranger's tests: defined here, known to the registry, found by each of their ids, and run.

use std::process::ExitCode;

use xenrt::prelude::*;
use xenrt::sequencer::{self, CancelHandle, Plan, RunOptions};
use xenrt::sequence;
use xenrt::testcase::Registry;

/// An outside test is a test like any other.
#[testcase(
    id = "outside.answers",
    legacy = "testcases.outside.TCAnswers",
    tc = "TC-1",
    timeout = "10m",
    requires(hosts = 1),
    tags("outside")
)]
struct Answers;

#[async_trait]
impl TestCase for Answers {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

const SEQUENCE: &str = r#"<xenrt>
  <testsequence><testcase id="testcases.outside.TCAnswers"/></testsequence>
</xenrt>"#;

fn main() -> ExitCode {
    match list().and_then(|()| find()).and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result {
    for test in Registry::global()?.iter() {
        println!("{} ({}): {}", test.id, test.tc.unwrap_or("-"), test.description);
    }
    Ok(())
}

fn find() -> Result {
    let registry = Registry::global()?;
    let sequence = sequence::parse(SEQUENCE, "outside.seq")?;
    for step in sequence.tests.iter().flat_map(|block| &block.steps) {
        if let sequence::Node::Test(step) = step {
            println!("{} is {}", step.id, registry.find(&step.id)?.id);
        }
    }
    Ok(())
}

/// Runs `SEQUENCE`, which needs no hosts, and prints the outcome of each test.
fn run() -> Result {
    let sequence = sequence::parse(SEQUENCE, "outside.seq")?;
    let plan = Plan::new(&sequence, &Registry::global()?)?;
    let mut options = RunOptions::new("unused");
    options.journal = false;
    let report = xenrt::block_on(sequencer::run(plan, options, CancelHandle::new()))?;
    for result in &report.results {
        println!("{} {}", result.test.id, result.outcome.kind());
    }
    println!("exit code {}", report.exit_code.code());
    Ok(())
}
