//! How many tests a second the sequencer runs when the tests do nothing, with the journal on.
//!
//! ```sh
//! cargo run --release -p xenrt-core --example noop -- 100000
//! ```
//!
//! Prints the number of tests and the seconds from the first look at the sequence to the end of
//! the run, the journal closed.

use std::fmt::Write as _;
use std::time::Instant;

use async_trait::async_trait;
use xenrt_core::model::Ability;
use xenrt_core::sequencer::{CancelHandle, ExitCode, Plan, RunOptions, run};
use xenrt_core::testcase::{
    Registry, Requirements, TestCase, TestContext, TestDescriptor, TestResult, erase,
};

struct Nothing;

#[async_trait]
impl TestCase for Nothing {
    async fn prepare(_: &TestContext) -> TestResult<Self> {
        Ok(Self)
    }
    async fn run(&mut self, _: &TestContext) -> TestResult {
        Ok(())
    }
}

const NO_ABILITIES: &[Ability] = &[];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(10_000), |count| count.parse())?;
    let registry = Registry::of(vec![TestDescriptor {
        id: "bench.nothing",
        legacy: &[],
        tc: None,
        description: "Does nothing.",
        timeout: None,
        requires: Requirements { hosts: 1, abilities: NO_ABILITIES },
        tags: &[],
        type_name: "Nothing",
        file: file!(),
        line: line!(),
        make: erase::<Nothing>,
    }])?;
    let folder = tempfile::tempdir()?;
    let text = text(count)?;

    let started = Instant::now();
    let sequence = xenrt_core::sequence::parse(&text, "noop.seq")?;
    let plan = Plan::new(&sequence, &registry)?;
    let report = run(plan, RunOptions::new(folder.path()), CancelHandle::new()).await;
    let seconds = started.elapsed().as_secs_f64();

    if report.exit_code != ExitCode::AllPassed || report.summary.passed as usize != count {
        return Err(format!("not all of {count} tests passed: {:?}", report.summary).into());
    }
    println!("{count} {seconds:.6}");
    Ok(())
}

/// A sequence file with so many tests.
fn text(count: usize) -> Result<String, std::fmt::Error> {
    let mut text = String::from("<xenrt>\n<testsequence>\n");
    for number in 0..count {
        writeln!(text, "  <testcase id=\"bench.nothing\" name=\"nothing-{number}\"/>")?;
    }
    text.push_str("</testsequence>\n</xenrt>\n");
    Ok(text)
}
