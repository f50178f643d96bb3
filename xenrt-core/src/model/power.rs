//! Power states of a guest.

use std::fmt;

/// The state of a guest as its toolstack reports it.
///
/// The four main states are those of the original (UP, DOWN, PAUSED, SUSPENDED); the other two are
/// what a hypervisor may add to them and what a test must not mistake for one of the four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// It is defined and has no domain.
    Halted,
    /// Its domain exists and is scheduled.
    Running,
    /// Its domain exists and is not scheduled.
    Paused,
    /// Its memory is on the host's storage; it has no domain.
    Suspended,
    /// Its domain ended by a crash and is kept for a look at it.
    Crashed,
    /// Its domain has shut down or is being destroyed and has not gone yet; or it has gone, and the
    /// toolstack is about to start the guest again.
    Dying,
}

impl PowerState {
    /// Whether the hypervisor holds a domain for a guest in this state.
    pub fn has_domain(self) -> bool {
        !matches!(self, Self::Halted | Self::Suspended)
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Halted => "Halted",
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::Suspended => "Suspended",
            Self::Crashed => "Crashed",
            Self::Dying => "Dying",
        })
    }
}

/// How to shut a guest down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShutdownMode {
    /// The guest is asked and does it itself.
    Clean,
    /// The guest is not asked: its power is taken away.
    Hard,
}
