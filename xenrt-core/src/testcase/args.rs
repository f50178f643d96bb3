//! Arguments of a test.

/// Why an argument cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgError {
    /// The test cannot do without it.
    #[error("the argument `{name}` is missing; give it with <arg>{name}=...</arg>")]
    Missing {
        /// Its name.
        name: String,
    },
    /// It is not of the type that the test expects.
    #[error("the argument `{name}` is {value:?}, which is not {expected}")]
    Invalid {
        /// Its name.
        name: String,
        /// What it is.
        value: String,
        /// What it should be, in words.
        expected: String,
    },
}
