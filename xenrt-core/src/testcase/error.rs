//! The error of a test body.

use std::error::Error as StdError;
use std::fmt;

use crate::remote::RemoteError;
use crate::{Blame, Error};

/// The result of a test body: `?` works on anything that is an error.
pub type TestResult<T = (), E = TestError> = std::result::Result<T, E>;

/// Why a test did not pass, and who is to blame.
///
/// Made by `?` from any error: errors of this library know who is to blame (see
/// [`Error::blame`]), where an ability that the host has not got is a skip; any other error speaks
/// of the harness. Or made on purpose:
/// [`product`](Self::product) for a verdict on the product, [`skip`](Self::skip) for a test that
/// finds that it cannot say anything here.
///
/// Like `anyhow::Error`, this type is not itself a [`std::error::Error`], so that it can be made
/// from all of them.
pub struct TestError {
    verdict: Verdict,
    context: Vec<String>,
    source: Box<dyn StdError + Send + Sync>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Blame(Blame),
    Skip,
}

impl TestError {
    /// The product is wrong: the test Failed.
    pub fn product(message: impl Into<String>) -> Self {
        Self::of(Verdict::Blame(Blame::Product), message.into())
    }

    /// The harness or the lab is wrong: the test Errored.
    pub fn infrastructure(message: impl Into<String>) -> Self {
        Self::of(Verdict::Blame(Blame::Infrastructure), message.into())
    }

    /// The test or its arguments are wrong: the test Errored.
    pub fn test(message: impl Into<String>) -> Self {
        Self::of(Verdict::Blame(Blame::Test), message.into())
    }

    /// The test cannot say anything here, and that is nobody's fault: it is Skipped.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::of(Verdict::Skip, reason.into())
    }

    fn of(verdict: Verdict, message: String) -> Self {
        Self { verdict, context: Vec::new(), source: message.into() }
    }

    /// Says what was being done, in front of the message.
    #[must_use]
    pub fn context(mut self, doing: impl Into<String>) -> Self {
        self.context.push(doing.into());
        self
    }

    /// Who is to blame; `None` for a [`skip`](Self::skip).
    pub fn blame(&self) -> Option<Blame> {
        match self.verdict {
            Verdict::Blame(blame) => Some(blame),
            Verdict::Skip => None,
        }
    }

    /// Whether the test asked to be skipped.
    pub fn is_skip(&self) -> bool {
        self.verdict == Verdict::Skip
    }

    /// The error that it was made from, where it was made from one of type `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.source.downcast_ref()
    }

    /// The messages of the causes, the outermost first, without this error's own.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for TestError {
    fn from(error: E) -> Self {
        let source: Box<dyn StdError + Send + Sync> = Box::new(error);
        let blame = if let Some(error) = source.downcast_ref::<Error>() {
            // What a host has not got is nobody's fault; a test that names it beforehand
            // (`requires`) is skipped before anything is built.
            if matches!(error, Error::Unsupported { .. }) {
                return Self { verdict: Verdict::Skip, context: Vec::new(), source };
            }
            error.blame()
        } else if let Some(error) = source.downcast_ref::<RemoteError>() {
            error.blame()
        } else if source.is::<super::ArgError>() {
            Blame::Test
        } else {
            Blame::Infrastructure
        };
        Self { verdict: Verdict::Blame(blame), context: Vec::new(), source }
    }
}

/// The contexts, the message, and no causes.
impl fmt::Display for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for context in self.context.iter().rev() {
            write!(f, "{context}: ")?;
        }
        write!(f, "{}", self.source)
    }
}

/// The message with all causes, a line each.
impl fmt::Debug for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        for cause in self.causes() {
            write!(f, "\n  caused by: {cause}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_has_not_got_is_a_skip() {
        let error: TestError = Error::Unsupported {
            toolstack: "libvirt".into(),
            ability: crate::model::Ability::LiveMigration,
            reason: Some("there is one host".into()),
        }
        .into();
        assert!(error.is_skip() && error.to_string().contains("there is one host"), "{error}");
    }

    #[test]
    fn anything_converts_and_the_blame_is_kept() {
        let product: TestError =
            Error::UnexpectedOutput { what: "x".into(), expected: "y".into(), found: "z".into() }
                .into();
        assert_eq!(product.blame(), Some(Blame::Product));
        let io: TestError = std::io::Error::other("disk").into();
        assert_eq!(io.blame(), Some(Blame::Infrastructure));
        assert!(TestError::skip("no PVH here").is_skip());
        let told = TestError::product("lost 3 packets").context("sending");
        assert_eq!(told.to_string(), "sending: lost 3 packets");
    }
}
