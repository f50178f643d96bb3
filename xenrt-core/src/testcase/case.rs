//! The trait that every test implements.

use async_trait::async_trait;

use super::{TestContext, TestResult};

/// A test.
///
/// ```
/// use xenrt_core::testcase::{TestCase, TestContext, TestResult};
/// use xenrt_core::model::Guest;
/// # use std::sync::Arc;
///
/// struct Reboots {
///     guest: Arc<dyn Guest>,
/// }
///
/// #[async_trait::async_trait]
/// impl TestCase for Reboots {
///     async fn prepare(cx: &TestContext) -> TestResult<Self> {
///         let host = cx.default_host()?;
///         Ok(Self { guest: host.create_basic_guest("reboots", "generic-linux").await? })
///     }
///
///     async fn run(&mut self, cx: &TestContext) -> TestResult {
///         for round in 0..cx.args().get_or("loops", 3)? {
///             cx.step(format!("reboot {round}"));
///             self.guest.reboot(xenrt_core::model::ShutdownMode::Clean).await?;
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait TestCase: Sized + Send + 'static {
    /// Builds what the test starts from. Whatever goes wrong here is not a verdict on the product:
    /// the outcome is Errored.
    ///
    /// # Errors
    /// Anything; see [`TestError`](super::TestError).
    async fn prepare(cx: &TestContext) -> TestResult<Self>;

    /// The test itself.
    ///
    /// # Errors
    /// Anything. Who is to blame decides between Failed and Errored.
    async fn run(&mut self, cx: &TestContext) -> TestResult;

    /// What is to be put right after the test and is not undone by the context: it runs after
    /// [`run`](Self::run), whatever its outcome, if `prepare` succeeded, and before the undos.
    ///
    /// # Errors
    /// Anything; an error here makes a passed test Errored, and never hides an earlier one.
    async fn cleanup(&mut self, cx: &TestContext) -> TestResult {
        let _ = cx;
        Ok(())
    }
}

/// A test whose type is forgotten, as the sequencer runs it: first
/// [`prepare`](Self::prepare), then [`run`](Self::run), then [`cleanup`](Self::cleanup).
#[async_trait]
pub trait ErasedTestCase: Send {
    /// [`TestCase::prepare`]; the test is kept.
    ///
    /// # Errors
    /// As there.
    async fn prepare(&mut self, cx: &TestContext) -> TestResult;

    /// [`TestCase::run`] of the test that was prepared.
    ///
    /// # Errors
    /// As there; it is an error of the harness to call it before `prepare` succeeded.
    async fn run(&mut self, cx: &TestContext) -> TestResult;

    /// [`TestCase::cleanup`] of the test that was prepared; nothing where none was.
    ///
    /// # Errors
    /// As there.
    async fn cleanup(&mut self, cx: &TestContext) -> TestResult;
}

/// A fresh, unprepared test of type `T`.
pub fn erase<T: TestCase>() -> Box<dyn ErasedTestCase> {
    Box::new(Erased::<T>(None))
}

struct Erased<T>(Option<T>);

#[async_trait]
impl<T: TestCase> ErasedTestCase for Erased<T> {
    async fn prepare(&mut self, cx: &TestContext) -> TestResult {
        self.0 = Some(T::prepare(cx).await?);
        Ok(())
    }

    async fn run(&mut self, cx: &TestContext) -> TestResult {
        match &mut self.0 {
            Some(test) => test.run(cx).await,
            None => Err(super::TestError::test("`run` was called before `prepare` succeeded")),
        }
    }

    async fn cleanup(&mut self, cx: &TestContext) -> TestResult {
        match &mut self.0 {
            Some(test) => test.cleanup(cx).await,
            None => Ok(()),
        }
    }
}
