//! Tests of how long things take, with a verdict that knows how sure it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use xenrt::prelude::*;

use crate::measure::{Better, Comparison, Verdict};
use crate::support::{Subject, Timings, count, in_round};

/// Times in seconds, by the step that they are of.
type Times = BTreeMap<String, Vec<f64>>;

/// What a guest goes through is timed, the steps one after the other in each run, so that what the host
/// does besides falls on all of them alike. The times are kept as `times.json` and `times.csv` in the
/// evidence. With `baseline`, the `times.json` of an earlier run, each step is held against it: the test
/// fails where a step is surely slower, and says by how much, how sure that is, and what the host's own
/// noise is.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `runs` (10), `baseline`: a file on the
/// machine that runs the tests (none).
#[testcase(
    id = "performance.lifecycle",
    timeout = "6h",
    claims(host = "exclusive", guest = "exclusive"),
    tags("performance", "lifecycle")
)]
struct Lifecycle {
    subject: Subject,
    runs: u32,
    baseline: Option<Times>,
}

#[async_trait]
impl TestCase for Lifecycle {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let runs = count(cx, "runs", 10)?;
        if runs < 8 {
            return Err(TestError::test(format!("`runs` is {runs}; a verdict needs 8 at least")));
        }
        let baseline = match cx.args().get::<String>("baseline")? {
            Some(path) => Some(read(&path)?),
            None => None,
        };
        Ok(Self { subject: Subject::take(cx).await?, runs, baseline })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut timings = Timings::default();
        for run in 1..=self.runs {
            cx.step(format!("Run {run} of {}", self.runs));
            self.once(&mut timings).await.map_err(in_round(run, self.runs))?;
        }
        timings.tell(cx);
        let steps = ["shutdown", "start", "reboot", "suspend", "resume", "pause"];
        let times: Times = steps
            .into_iter()
            .map(|step| (step.to_owned(), timings.seconds(step).to_vec()))
            .filter(|(_, seconds)| !seconds.is_empty())
            .collect();
        cx.save_evidence("times.json", serde_json::to_vec_pretty(&times)?)?;
        cx.save_evidence("times.csv", csv(&times))?;
        match &self.baseline {
            Some(baseline) => compare(cx, baseline, &times),
            None => Ok(()),
        }
    }
}

impl Lifecycle {
    async fn once(&self, timings: &mut Timings) -> Result {
        let guest = self.subject.guest.as_ref();
        timings.of("shutdown", guest.shutdown(ShutdownMode::Clean)).await?;
        let start = async {
            guest.start().await?;
            guest.wait_until_reachable().await
        };
        timings.of("start", start).await?;
        timings.of("reboot", guest.reboot(ShutdownMode::Clean)).await?;
        if guest.host().abilities().has(Ability::Suspend) {
            timings.of("suspend", guest.suspend()).await?;
            timings.of("resume", guest.resume()).await?;
        }
        let pause = async {
            guest.pause().await?;
            guest.unpause().await
        };
        timings.of("pause", pause).await?;
        Ok(guest.wait_until_reachable().await?)
    }
}

fn read(path: &str) -> Result<Times> {
    let path = PathBuf::from(path);
    let wrong = |problem: String| {
        let what = format!("the baseline {}: {problem}", path.display());
        TestError::test(what + "; expected the times.json of an earlier run")
    };
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// A line for each measurement: step, number of the run, seconds.
fn csv(times: &Times) -> String {
    let mut text = String::from("step,run,seconds\n");
    for (step, seconds) in times {
        for (at, second) in seconds.iter().enumerate() {
            text.push_str(&format!("{step},{},{second:.6}\n", at + 1));
        }
    }
    text
}

/// Holds each step against the baseline.
fn compare(cx: &TestContext, baseline: &Times, now: &Times) -> Result {
    let mut regressed = Vec::new();
    let mut compared = 0;
    for (step, seconds) in now {
        let Some(base) = baseline.get(step) else {
            cx.info(format!("the baseline has no {step}"));
            continue;
        };
        let told = Comparison::of(base, seconds, Better::Lower)?;
        compared += 1;
        cx.info(format!("{step}: {told}"));
        cx.value(format!("{step}, against the baseline"), told.worse_by() * 100.0, "%");
        if told.verdict() == Verdict::Regressed {
            regressed.push(format!("{step} {told}"));
        }
    }
    if compared == 0 {
        return Err(TestError::test("the baseline has none of the steps that were measured"));
    }
    if regressed.is_empty() { Ok(()) } else { Err(TestError::product(regressed.join("; "))) }
}
