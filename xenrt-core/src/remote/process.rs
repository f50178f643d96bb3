//! A command that runs while its caller does something else.

/// One line of a running process's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessLine {
    /// From its standard output, without the line end.
    Stdout(String),
    /// From its standard error, without the line end.
    Stderr(String),
}

/// A command that runs while its caller does something else.
#[derive(Debug)]
pub struct Process {
    _private: (),
}
