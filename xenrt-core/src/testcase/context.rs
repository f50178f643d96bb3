//! What a running test has to work with.

/// What a running test has to work with.
#[derive(Debug)]
pub struct TestContext {
    _private: (),
}
