//! What was measured, kept for later runs and held against earlier ones.

use std::collections::BTreeMap;
use std::path::PathBuf;

use xenrt::prelude::*;

use crate::measure::{Better, Comparison, Verdict, median};
use crate::support::count;

/// Measurements by what they are of; those of one thing in the order in which they were made.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Series(BTreeMap<String, Vec<f64>>);

/// The argument `runs`: as often as a verdict needs at least.
pub(super) fn runs(cx: &TestContext, usual: u32) -> Result<u32> {
    let runs = count(cx, "runs", usual)?;
    if runs < 8 {
        return Err(TestError::test(format!("`runs` is {runs}; a verdict needs 8 at least")));
    }
    Ok(runs)
}

impl Series {
    /// What the argument `baseline` leads to, where there is one.
    pub(super) fn baseline(cx: &TestContext) -> Result<Option<Self>> {
        let Some(path) = cx.args().get::<String>("baseline")? else { return Ok(None) };
        let path = PathBuf::from(path);
        let wrong = |problem: String| {
            let what = format!("the baseline {}: {problem}", path.display());
            TestError::test(what + "; expected a JSON file that an earlier run kept")
        };
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_str(&text).map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// Adds one measurement.
    pub(super) fn note(&mut self, what: &str, value: f64) {
        self.0.entry(what.to_owned()).or_default().push(value);
    }

    /// The median of what was measured of one thing; 0 where nothing was.
    pub(super) fn median(&self, what: &str) -> f64 {
        self.0.get(what).and_then(|values| median(values)).unwrap_or_default()
    }

    /// Keeps all of it in the evidence, as `NAME.json` and `NAME.csv`, and holds it against a baseline.
    ///
    /// # Errors
    /// The product's where something is surely worse, with how much, how sure that is, and the noise.
    pub(super) fn judge(
        &self,
        cx: &TestContext,
        name: &str,
        baseline: Option<&Self>,
        better: Better,
    ) -> Result {
        cx.save_evidence(&format!("{name}.json"), serde_json::to_vec_pretty(self)?)?;
        cx.save_evidence(&format!("{name}.csv"), self.csv())?;
        let Some(baseline) = baseline else { return Ok(()) };
        let (mut regressed, mut compared) = (Vec::new(), 0);
        for (what, values) in &self.0 {
            let Some(base) = baseline.0.get(what) else {
                cx.info(format!("the baseline has no {what}"));
                continue;
            };
            let told = Comparison::of(base, values, better)?;
            compared += 1;
            cx.info(format!("{what}: {told}"));
            cx.value(format!("{what}, against the baseline"), told.worse_by() * 100.0, "%");
            if told.verdict() == Verdict::Regressed {
                regressed.push(format!("{what} {told}"));
            }
        }
        if compared == 0 {
            return Err(TestError::test("the baseline has nothing of what was measured"));
        }
        if regressed.is_empty() { Ok(()) } else { Err(TestError::product(regressed.join("; "))) }
    }

    /// A line for each measurement: what it is of, the number of the run, the value.
    fn csv(&self) -> String {
        let mut text = String::from("what,run,value\n");
        for (what, values) in &self.0 {
            for (at, value) in values.iter().enumerate() {
                text.push_str(&format!("{what},{},{value:.6}\n", at + 1));
            }
        }
        text
    }
}
