//! Panics of tests, caught with their place.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

/// A panic that was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CaughtPanic {
    /// The message.
    pub(super) message: String,
    /// `file:line:column`, where it is known.
    pub(super) place: Option<String>,
}

impl CaughtPanic {
    /// Whether it is the panic of an `assert!` without a message of its own, or of an `assert_eq!`
    /// or `assert_ne!`: the author's verdict on the product.
    ///
    /// `assert!(condition, "message")` panics with its message alone and cannot be told from
    /// `panic!("message")`.
    pub(super) fn is_assertion(&self) -> bool {
        self.message.starts_with("assertion failed: ") || self.message.starts_with("assertion `")
    }
}

impl CaughtPanic {
    /// A panic that was caught elsewhere.
    pub(super) fn without_place(payload: &(dyn Any + Send)) -> Self {
        Self { message: message(payload), place: None }
    }
}

impl std::fmt::Display for CaughtPanic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Some(place) => write!(f, "panicked at {place}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

thread_local! {
    /// Inside of a caught poll: the place of its panic. Outside: `None`.
    static CATCHING: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// Puts a hook before the one of the program, once. It keeps the place of panics that are caught
/// here, which would only be noise on standard error since reports show them; all others go to the
/// program's own hook as before.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let programs_own = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let caught = CATCHING.try_with(|catching| {
                catching.try_borrow_mut().is_ok_and(|mut catching| match catching.as_mut() {
                    Some(place) => {
                        *place = info.location().map(ToString::to_string);
                        true
                    }
                    None => false,
                })
            });
            if !caught.unwrap_or(false) {
                programs_own(info);
            }
        }));
    });
}

/// A future whose panics become errors.
pub(super) struct Catch<F>(F);

/// `future`, with its panics as errors.
pub(super) fn catch<F: Future + Unpin>(future: F) -> Catch<F> {
    install_hook();
    Catch(future)
}

impl<F: Future + Unpin> Future for Catch<F> {
    type Output = Result<F::Output, CaughtPanic>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_now(|| Pin::new(&mut self.0).poll(context)) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

/// Calls `f`, with a panic as an error.
///
/// What `f` leaves behind half done is only looked at by the clean-up of the test that panicked.
pub(super) fn catch_now<T>(f: impl FnOnce() -> T) -> Result<T, CaughtPanic> {
    install_hook();
    let outer = CATCHING.with(|catching| catching.replace(Some(None)));
    let result = catch_unwind(AssertUnwindSafe(f));
    let place = CATCHING.with(|catching| catching.replace(outer)).flatten();
    result.map_err(|payload| CaughtPanic { message: message(payload.as_ref()), place })
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(a payload that is no text)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_place_and_an_assertion_is_known() {
        let plain = catch_now(|| panic!("lost {}", 3)).map(|(): ()| ()).unwrap_err();
        assert_eq!(plain.message, "lost 3");
        assert!(plain.place.as_deref().unwrap().contains("panics.rs:"), "{plain}");
        assert!(!plain.is_assertion());
        let (one, two) = (1, 2);
        assert!(catch_now(|| assert_eq!(one, two)).unwrap_err().is_assertion());
        assert!(catch_now(|| assert_ne!(one, 1, "words")).unwrap_err().is_assertion());
        assert!(catch_now(|| assert!(one == two)).unwrap_err().is_assertion());
        assert_eq!(catch_now(|| 5), Ok(5));
    }
}
