//! Which tests of a plan are run.

use super::PlannedTest;

/// Which tests of a plan are run, by parts of their ids, names, groups and tags.
///
/// A word selects a test when it is part of its id, name, `group/name` or number in a test
/// management system, or is one of its tags; case does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only tests that at least one of these words selects; all where there is none.
    pub run: Vec<String>,
    /// Not the tests that one of these words selects. Wins over `run`.
    pub skip: Vec<String>,
}

impl Selection {
    /// Whether it lets every test through.
    pub fn is_everything(&self) -> bool {
        self.run.is_empty() && self.skip.is_empty()
    }

    /// Whether it lets this test through.
    pub fn admits(&self, test: &PlannedTest, tags: &[&str]) -> bool {
        let selects = |word: &String| {
            let word = word.to_lowercase();
            let has = |text: &str| text.to_lowercase().contains(&word);
            has(&test.id)
                || has(&format!("{}/{}", test.group, test.name))
                || test.tc.as_deref().is_some_and(has)
                || tags.iter().any(|tag| tag.to_lowercase() == word)
        };
        (self.run.is_empty() || self.run.iter().any(selects)) && !self.skip.iter().any(selects)
    }
}
