//! Everything that an attribute can say, on everything that can be a test.
#![expect(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a program of an author with lints of his own"
)]
use xenrt::model::Ability;
use xenrt::prelude::*;
use xenrt::sequence::Claim;
use xenrt::testcase::{Claims, Registry};

/// Has all attributes.
///
/// And a second paragraph.
#[testcase(
    id = "ui.all-of_them.7",
    legacy("testcases.xenserver.tc.TCAll", "guestops.basic.TCAll"),
    tc = "TC-1",
    timeout = "1h 30m",
    requires(hosts = 2, pvh, live_migration),
    claims(host = "exclusive", guest = "shared"),
    blocker,
    tags("network", "security")
)]
#[derive(Debug)]
pub struct All {
    pub field: u32,
}

/** Has a block comment. */
#[testcase(id = "ui.enum", legacy = "testcases.a.TCEnum")]
enum Enum {
    #[allow(dead_code)]
    One,
}

/// Is not compiled, and not registered either.
#[testcase(id = "ui.absent")]
#[cfg(any())]
struct Absent;

mod without_imports {
    // The expansion must not lean on what the file imports or calls its own things.
    #[allow(dead_code)]
    mod core {}
    #[allow(dead_code)]
    mod xenrt {}
    #[allow(dead_code, non_camel_case_types)]
    struct str;

    /// Is in a module where names mean something else.
    #[::xenrt::testcase(id = "ui.hygienic")]
    pub struct Hygienic;

    #[::xenrt::async_trait]
    impl ::xenrt::testcase::TestCase for Hygienic {
        async fn prepare(
            _: &::xenrt::testcase::TestContext,
        ) -> ::xenrt::testcase::TestResult<Self> {
            Ok(Self)
        }

        async fn run(
            &mut self,
            _: &::xenrt::testcase::TestContext,
        ) -> ::xenrt::testcase::TestResult {
            Ok(())
        }
    }
}

#[async_trait]
impl TestCase for All {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

#[async_trait]
impl TestCase for Enum {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Err(TestError::skip("only compiled"))
    }

    async fn run(&mut self, _: &TestContext) -> Result {
        Ok(())
    }
}

fn main() {
    let registry = Registry::global().unwrap();
    let ids: Vec<&str> = registry.iter().map(|test| test.id).collect();
    assert_eq!(ids, ["ui.all-of_them.7", "ui.enum", "ui.hygienic"]);

    let all = registry.find("testcases.guestops.basic.TCAll").unwrap();
    assert_eq!(all.description, "Has all attributes.\n\nAnd a second paragraph.");
    assert_eq!(all.tc, Some("TC-1"));
    assert_eq!(all.timeout, Some(Duration::from_secs(5400)));
    assert_eq!(all.requires.hosts, 2);
    assert_eq!(all.requires.abilities, [Ability::Pvh, Ability::LiveMigration]);
    assert_eq!(all.claims, Claims { host: Claim::Exclusive, guest: Some(Claim::Shared) });
    assert!(all.blocker);
    assert_eq!(all.tags, ["network", "security"]);
    assert!(all.type_name.ends_with("::All"), "{}", all.type_name);
    assert!(all.file.ends_with("everything.rs"), "{}", all.file);
    assert_eq!(all.line, 16);

    let with_defaults = registry.find("ui.enum").unwrap();
    assert_eq!(with_defaults.description, "Has a block comment.");
    assert_eq!((with_defaults.tc, with_defaults.timeout), (None, None));
    assert_eq!(with_defaults.requires.hosts, 1);
    assert_eq!(with_defaults.claims, Claims::DEFAULT);
    assert!(!with_defaults.blocker);
}
