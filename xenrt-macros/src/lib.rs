//! The `#[testcase]` attribute.
//!
//! Use it as `xenrt::testcase`; this crate is an implementation detail of `xenrt`.

mod attribute;
mod duration;
mod expand;
mod suggest;

use proc_macro::TokenStream;

/// Makes a struct or enum that implements `TestCase` known to the registry of the program.
///
/// The doc comment is the description that lists and reports show; it cannot be left out.
///
/// | attribute | meaning |
/// |---|---|
/// | `id = "network.hfx745"` | the id, unique in a program: lower-case words with digits, `_` and `-`, dots between them. Required |
/// | `legacy = "..."`, `legacy("...", "...")` | ids under which the original's sequence files know it |
/// | `tc = "TC-19178"` | its number in a test management system |
/// | `timeout = "20m"` | how long preparation and run may take together: `90s`, `20m`, `1h 30m`, `500ms` |
/// | `requires(hosts = 2, live_migration)` | how many hosts it needs, and abilities that each of them must have; where they are missing, it is skipped |
/// | `claims(host = "exclusive", guest = "shared")` | how it uses its hosts and the guest that it is meant for beside other tests; without it, hosts are `shared` and the guest that the sequence names is `exclusive` |
/// | `blocker` | what follows it is blocked when it does not pass, unless the sequence says otherwise |
/// | `tags("network", "security")` | words to select it by |
///
/// ```
/// use xenrt_core::testcase::{Registry, TestCase, TestContext, TestResult};
/// use xenrt_macros::testcase;
///
/// /// A guest that did nothing is still there.
/// #[testcase(id = "examples.nothing", timeout = "1m", requires(hosts = 1), tags("example"))]
/// struct Nothing;
///
/// #[async_trait::async_trait]
/// impl TestCase for Nothing {
///     async fn prepare(_: &TestContext) -> TestResult<Self> {
///         Ok(Self)
///     }
///
///     async fn run(&mut self, _: &TestContext) -> TestResult {
///         Ok(())
///     }
/// }
///
/// let registry = Registry::global()?;
/// assert_eq!(registry.find("examples.nothing")?.description, "A guest that did nothing is still there.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The type stays as it is. Beside it, a constant without a name submits a description to the
/// registry; it names everything through the crate `xenrt` (or `xenrt-core`) as the crate of the
/// test calls it in its `Cargo.toml`, so that no other dependency is needed.
#[proc_macro_attribute]
pub fn testcase(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(attribute.into(), item.into()).into()
}
