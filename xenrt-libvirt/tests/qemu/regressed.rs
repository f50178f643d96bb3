//! Whether the verdict of a test of performance is right: a link that became 10 % slower is found, and one that
//! did not is not.

use std::path::Path;
use std::sync::Arc;

use xenrt::local_libvirt::LocalLibvirtProvider;
use xenrt::prelude::*;
use xenrt::sequencer::{CancelHandle, Plan, RunOptions, run};
use xenrt::testcase::{OutcomeKind, Registry};
use xenrt_testcases as _;

/// The link between dom0 and its guests has this rate from now on: the token bucket of Linux (tc-tbf(8)).
///
/// Arguments: `rate` in Mbit/s.
#[testcase(id = "trial.link", claims(host = "exclusive"))]
struct Link {
    rate: u32,
}

#[async_trait]
impl TestCase for Link {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { rate: cx.args().require("rate")? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = cx.guest("vm1")?;
        let address = guest.wait_for_address().await?.to_string();
        let dom0 = guest.host().dom0();
        let route = Command::new("ip").args(["-o", "route", "get", &address]);
        let route = dom0.text(&route).await?;
        let mut words = route.split_whitespace().skip_while(|word| *word != "dev");
        let device = words.nth(1).ok_or_else(|| TestError::infrastructure(route.clone()))?;
        let rate = format!("{}mbit", self.rate);
        let limit = ["root", "tbf", "rate", &rate, "burst", "64kb", "latency", "50ms"];
        let replace = Command::new("tc").args(["qdisc", "replace", "dev", device]).args(limit);
        dom0.run(&replace).await?;
        Ok(())
    }
}

const TRIALS: usize = 20;

/// The rates of the link in Mbit/s, before and after it became slower.
const RATES: (u32, u32) = (50, 45);

fn measured(name: &str, baseline: Option<&Path>) -> String {
    let baseline = baseline.map(|path| format!("<arg>baseline={}</arg>", path.display()));
    format!(
        "<testcase id=\"performance.throughput\" name=\"{name}\" guest=\"vm1\"><arg>what=network in</arg>\
         <arg>guest=vm1</arg><arg>runs=10</arg>{}</testcase>",
        baseline.unwrap_or_default()
    )
}

fn link(number: usize, rate: u32) -> String {
    format!("<testcase id=\"trial.link\" name=\"link{number}\"><arg>rate={rate}</arg></testcase>")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "in `cargo xtask test nightly`"]
async fn a_link_that_became_slower_is_found_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("tests/001-baseline/rates.json");
    let mut tests = link(0, RATES.0) + &measured("baseline", None);
    for trial in 1..=TRIALS {
        // One after the other, so that what the machine does besides falls on both.
        tests += &(link(2 * trial, RATES.1) + &measured(&format!("slower{trial}"), Some(&kept)));
        tests += &(link(2 * trial + 1, RATES.0) + &measured(&format!("same{trial}"), Some(&kept)));
    }
    let text = format!(
        "<xenrt><prepare><host id=\"0\"><vm name=\"vm1\"><distro>generic-linux</distro></vm></host>\
         </prepare><testsequence><serial>{tests}</serial></testsequence></xenrt>"
    );
    let sequence = xenrt::sequence::parse(&text, "trials.seq").unwrap();
    let plan = Plan::new(&sequence, &Registry::global().unwrap()).unwrap();
    let provider = Arc::new(LocalLibvirtProvider::new());
    let options = RunOptions::new(folder.path()).provider(provider);
    let report = run(plan, options, CancelHandle::new()).await;
    let mut regressed = (0, 0);
    for result in &report.results {
        let (name, kind) = (&result.test.name, result.outcome.kind());
        println!("{name}: {kind} {}", result.outcome.message());
        let told = kind == OutcomeKind::Failed
            && result.outcome.message().contains("network in regressed by");
        assert!(told || kind == OutcomeKind::Passed, "{name}: {:?}", result.outcome);
        regressed.0 += usize::from(told && name.starts_with("slower"));
        regressed.1 += usize::from(told && name.starts_with("same"));
    }
    println!("found {} of {TRIALS}, and {} of {TRIALS} that are none", regressed.0, regressed.1);
    assert!(regressed.0 * 20 >= TRIALS * 19, "found {} of {TRIALS}", regressed.0);
    assert!(regressed.1 * 20 <= TRIALS, "{} of {TRIALS} are none", regressed.1);
}
