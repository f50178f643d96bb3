//! The tests of a program, by id.

use std::collections::HashMap;
use std::fmt;

use super::TestDescriptor;
use crate::{Error, Result};

inventory::collect!(TestDescriptor);

/// What the original put in front of its ids; with or without it, they mean the same test.
const LEGACY_PREFIX: &str = "testcases.";

/// Why a registry cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Ids that more than one test claims.
    #[error("{}", lines(.0))]
    Duplicates(Vec<DuplicateId>),
}

/// An id that two tests claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateId {
    /// The id.
    pub id: String,
    /// The first test: its Rust path, file and line.
    pub first: String,
    /// The other.
    pub second: String,
}

impl fmt::Display for DuplicateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, first, second } = self;
        write!(f, "the test id {id:?} is claimed by {first} and by {second}; rename one of them")
    }
}

fn lines(duplicates: &[DuplicateId]) -> String {
    duplicates.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The tests of a program, by id.
///
/// ```
/// use xenrt_core::testcase::Registry;
///
/// let registry = Registry::global()?;
/// for test in registry.iter() {
///     println!("{}: {}", test.id, test.description);
/// }
/// # Ok::<(), xenrt_core::testcase::RegistryError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// Sorted by id.
    tests: Vec<TestDescriptor>,
    /// Ids, and legacy ids without their prefix, to places in `tests`.
    index: HashMap<&'static str, usize>,
}

impl Registry {
    /// All tests that are linked into this program: each `#[testcase]` of each crate that the
    /// program really uses. (A crate of tests that is named in `Cargo.toml` and nowhere in the
    /// code is not linked; `use my_tests as _;` is enough.)
    ///
    /// # Errors
    /// [`RegistryError::Duplicates`] with all ids that two tests claim, and where they stand.
    pub fn global() -> Result<Self, RegistryError> {
        Self::of(inventory::iter::<TestDescriptor>.into_iter().copied().collect())
    }

    /// These tests.
    ///
    /// # Errors
    /// As [`global`](Self::global).
    pub fn of(mut tests: Vec<TestDescriptor>) -> Result<Self, RegistryError> {
        // The order of the inventory is the linker's; by place too, so that errors do not vary.
        tests.sort_by_key(|test| (test.id, test.file, test.line));
        let mut index: HashMap<&'static str, usize> = HashMap::with_capacity(tests.len());
        let mut duplicates = Vec::new();
        // First all ids, then all legacy ids: a collision is told with the id's owner first.
        let ids = tests.iter().enumerate().map(|(at, test)| (test.id, at));
        let legacy = tests.iter().enumerate().flat_map(|(at, test)| {
            test.legacy.iter().map(move |legacy| (without_prefix(legacy), at))
        });
        for (id, at) in ids.chain(legacy) {
            // A test may repeat its own id among its legacy ids.
            if let Some(first) = index.insert(id, at).filter(|first| *first != at) {
                index.insert(id, first);
                duplicates.push(DuplicateId {
                    id: id.to_owned(),
                    first: place(&tests[first]),
                    second: place(&tests[at]),
                });
            }
        }
        if duplicates.is_empty() {
            Ok(Self { tests, index })
        } else {
            Err(RegistryError::Duplicates(duplicates))
        }
    }

    /// The test with this id or legacy id. A legacy id is found with and without the `testcases.`
    /// at its beginning, as the original did.
    ///
    /// # Errors
    /// [`Error::NotFound`] with all ids, so that its message has the nearest one.
    pub fn find(&self, id: &str) -> Result<&TestDescriptor> {
        let at = self.index.get(id).or_else(|| self.index.get(without_prefix(id)));
        at.map(|at| &self.tests[*at]).ok_or_else(|| Error::NotFound {
            kind: "test case",
            name: id.to_owned(),
            known: self.known_ids(),
        })
    }

    /// All tests, sorted by id.
    pub fn iter(&self) -> std::slice::Iter<'_, TestDescriptor> {
        self.tests.iter()
    }

    /// How many tests there are.
    pub fn len(&self) -> usize {
        self.tests.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    fn known_ids(&self) -> Vec<String> {
        self.tests
            .iter()
            .flat_map(|test| std::iter::once(&test.id).chain(test.legacy))
            .map(|id| (*id).to_owned())
            .collect()
    }
}

impl<'a> IntoIterator for &'a Registry {
    type Item = &'a TestDescriptor;
    type IntoIter = std::slice::Iter<'a, TestDescriptor>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn without_prefix(id: &str) -> &str {
    id.strip_prefix(LEGACY_PREFIX).unwrap_or(id)
}

fn place(test: &TestDescriptor) -> String {
    format!("{} ({}:{})", test.type_name, test.file, test.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testcase::{Claims, Requirements, TestCase, TestContext, TestResult, erase};

    struct Nothing;

    #[async_trait::async_trait]
    impl TestCase for Nothing {
        async fn prepare(_: &TestContext) -> TestResult<Self> {
            Ok(Self)
        }

        async fn run(&mut self, _: &TestContext) -> TestResult {
            Ok(())
        }
    }

    fn test(id: &'static str, legacy: &'static [&'static str], line: u32) -> TestDescriptor {
        TestDescriptor {
            id,
            legacy,
            tc: None,
            description: "",
            timeout: None,
            requires: Requirements { hosts: 1, abilities: &[] },
            claims: Claims::DEFAULT,
            blocker: false,
            tags: &[],
            type_name: "my_tests::Nothing",
            file: "src/lib.rs",
            line,
            make: erase::<Nothing>,
        }
    }

    #[test]
    fn a_test_is_found_by_each_of_its_ids() {
        let registry = Registry::of(vec![
            test("network.hfx745", &["testcases.xenserver.tc.network.TCHfx745"], 1),
            test("lifecycle.reboot", &["guestops.basic.TCReboot"], 2),
        ])
        .unwrap();
        for (asked, id) in [
            ("network.hfx745", "network.hfx745"),
            ("testcases.xenserver.tc.network.TCHfx745", "network.hfx745"),
            ("xenserver.tc.network.TCHfx745", "network.hfx745"),
            ("guestops.basic.TCReboot", "lifecycle.reboot"),
            ("testcases.guestops.basic.TCReboot", "lifecycle.reboot"),
        ] {
            assert_eq!(registry.find(asked).unwrap().id, id, "{asked}");
        }
        let ids: Vec<&str> = registry.iter().map(|test| test.id).collect();
        assert_eq!(ids, ["lifecycle.reboot", "network.hfx745"]);
        insta::assert_snapshot!(registry.find("lifecycle.rebot").unwrap_err());
        insta::assert_snapshot!(registry.find("testcases.guestops.basic.TCRebooot").unwrap_err());
    }

    #[test]
    fn two_tests_never_share_an_id() {
        let error = Registry::of(vec![
            test("a.b", &["testcases.x.Y"], 30),
            test("a.b", &[], 10),
            test("c", &["x.Y", "c"], 20),
            test("d", &["testcases.c"], 40),
        ])
        .unwrap_err();
        insta::assert_snapshot!(error);
    }
}
