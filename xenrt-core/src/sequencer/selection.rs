//! Which tests of a plan are run.

use serde::{Deserialize, Serialize};

use super::Filter;
use super::filter::Subject;
use super::plan::PlannedCase;
use crate::sequence::HostChoice;

/// Which tests of a plan are run, as the arguments of a program say it. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// Only tests that at least one of these words selects ([`Filter::word`]); all where there is
    /// none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<String>,
    /// Not the tests that one of these words selects. Wins over `run`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
    /// Only tests whose priority is at most this number; a test without one counts as the most
    /// important.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Only tests that this selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Leaves the `finally` blocks out, so that what the tests made can be looked at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_finally: bool,
}

impl Selection {
    /// Whether it lets every test through.
    pub fn is_everything(&self) -> bool {
        !self.no_finally && self.filter().is_everything()
    }

    /// The tests that a word of `skip` selects.
    pub(super) fn skipped(&self) -> Filter {
        Filter::any(self.skip.iter().map(|word| Filter::word(word)))
    }

    /// The same as one expression.
    pub fn filter(&self) -> Filter {
        let words = |words: &[String]| Filter::any(words.iter().map(|word| Filter::word(word)));
        let mut all = Filter::everything();
        if !self.run.is_empty() {
            all = all.and(words(&self.run));
        }
        if !self.skip.is_empty() {
            all = all.and(words(&self.skip).negated());
        }
        if let Some(most) = self.priority {
            all = all.and(Filter::priority_above(most).negated());
        }
        match &self.filter {
            Some(filter) => all.and(filter.clone()),
            None => all,
        }
    }
}

impl Filter {
    /// Whether it selects this test of a plan.
    pub(super) fn admits_case(&self, case: &PlannedCase) -> bool {
        self.admits(Subject {
            test: &case.planned,
            host: match &case.host {
                Some(HostChoice::Named(name)) => Some(name),
                Some(HostChoice::Any) => Some("any"),
                None => None,
            },
            guest: case.guest.as_deref(),
        })
    }
}
