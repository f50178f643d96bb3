//! What a suite found out about a host.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::check::Cost;
use crate::model::{Ability, HostInfo};
use crate::seconds::Seconds;
use crate::{Error, Result};

/// What became of one check.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "message")]
pub enum Verdict {
    /// The contract holds.
    Passed,
    /// It does not, and how.
    Failed(String),
    /// The host lacks what the check is about, and why.
    AbilityAbsent(String),
    /// It could not be found out, and why.
    Errored(String),
}

impl Verdict {
    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "FAILED",
            Self::AbilityAbsent(_) => "absent",
            Self::Errored(_) => "ERRORED",
        }
    }

    /// What there is to say about it.
    pub fn message(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed(message) | Self::AbilityAbsent(message) | Self::Errored(message) => {
                message
            }
        }
    }
}

/// One check on one host.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CheckResult {
    /// The check.
    pub name: String,
    /// What it proves.
    pub proves: String,
    /// What it costs.
    pub cost: Cost,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took, in seconds.
    pub seconds: Seconds,
}

/// What a suite found out about a host: the machine-readable profile of a toolstack.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Profile {
    /// The toolstack.
    pub toolstack: String,
    /// The host.
    pub host: String,
    /// What the host says about itself, where it said something.
    pub info: Option<HostInfo>,
    /// The abilities that it has.
    pub abilities: Vec<Ability>,
    /// Those that it has not, with the reason where it gave one.
    pub absent: BTreeMap<Ability, Option<String>>,
    /// Every check of the suite that was chosen, in the order of the suite.
    pub checks: Vec<CheckResult>,
    /// What was left on the host when all was over.
    pub left: Vec<String>,
}

impl Profile {
    /// Whether nothing failed or could not be found out, and something passed.
    pub fn conforms(&self) -> bool {
        let fine = |check: &CheckResult| {
            matches!(check.verdict, Verdict::Passed | Verdict::AbilityAbsent(_))
        };
        self.left.is_empty()
            && self.checks.iter().all(fine)
            && self.checks.iter().any(|check| check.verdict == Verdict::Passed)
    }

    /// The checks that failed or could not be carried out.
    pub fn red(&self) -> impl Iterator<Item = &CheckResult> {
        let red = |check: &&CheckResult| {
            matches!(check.verdict, Verdict::Failed(_) | Verdict::Errored(_))
        };
        self.checks.iter().filter(red)
    }

    fn count(&self, name: &str) -> usize {
        self.checks.iter().filter(|check| check.verdict.name() == name).count()
    }

    /// The counts in one line.
    pub fn summary(&self) -> String {
        let mut parts = vec![format!("{} passed", self.count("passed"))];
        let mut part = |name: &str, word: &str| {
            let count = self.count(name);
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        };
        part("FAILED", "failed");
        part("ERRORED", "errored");
        part("absent", "absent");
        format!(
            "{} checks on {} ({}): {}",
            self.checks.len(),
            self.host,
            self.toolstack,
            parts.join(", ")
        )
    }

    /// As JUnit XML. An absent ability is a skipped test with its reason.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it cannot be written as XML.
    pub fn to_junit(&self) -> Result<String> {
        let mut report = Report::new(format!("conformance of {}", self.toolstack));
        let mut suite = TestSuite::new(format!("{} on {}", self.toolstack, self.host));
        for check in &self.checks {
            let mut status = match &check.verdict {
                Verdict::Passed => TestCaseStatus::success(),
                Verdict::Failed(_) => TestCaseStatus::non_success(NonSuccessKind::Failure),
                Verdict::Errored(_) => TestCaseStatus::non_success(NonSuccessKind::Error),
                Verdict::AbilityAbsent(_) => TestCaseStatus::skipped(),
            };
            if check.verdict != Verdict::Passed {
                status.set_message(check.verdict.message());
            }
            let mut case = TestCase::new(check.name.as_str(), status);
            case.set_classname(format!("conformance.{}", self.toolstack));
            case.set_time(check.seconds.0);
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
        report.to_string().map_err(|error| Error::invalid("the JUnit report", error.to_string()))
    }

    /// As JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|error| Error::invalid("the profile", error.to_string()))
    }
}

/// The table: a line a check, then what was left and the counts.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in &self.checks {
            let time = seconds(check.seconds.0);
            let verdict = check.verdict.name();
            write!(f, "{verdict:<8} {time:>8}  {:<width$}", check.name)?;
            match check.verdict.message() {
                "" => writeln!(f, "  {}", check.proves)?,
                message => writeln!(f, "  {}", message.replace('\n', "\n    "))?,
            }
        }
        for object in &self.left {
            writeln!(f, "left on the host: {object}")?;
        }
        writeln!(f, "{}", self.summary())
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
