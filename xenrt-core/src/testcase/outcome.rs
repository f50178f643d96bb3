//! How a test ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Blame;

/// The part of a test's life in which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// `prepare`.
    Prepare,
    /// `run`.
    Run,
    /// The checks of hosts and guests after `run`.
    Check,
    /// Evidence being collected after something went wrong.
    Evidence,
    /// `cleanup`.
    Cleanup,
    /// What was created being undone.
    Undo,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare",
            Self::Run => "run",
            Self::Check => "check",
            Self::Evidence => "evidence",
            Self::Cleanup => "cleanup",
            Self::Undo => "undo",
        })
    }
}

/// How a test ended, with what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// It ran to its end and the product did what it should.
    Passed,
    /// The product is wrong.
    Failed {
        /// Where it was found.
        phase: Phase,
        /// What is wrong, with its causes.
        message: String,
    },
    /// The harness, the lab or the test is wrong; nothing is said about the product.
    Errored {
        /// Where it happened.
        phase: Phase,
        /// Who has to act.
        blame: Blame,
        /// What is wrong, with its causes.
        message: String,
    },
    /// It was not run, or ended itself, because it cannot say anything here.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It was not run because of something that went wrong before.
    Blocked {
        /// By what: `preparation failed: ...`, `network.hfx745 failed`, `the run was cancelled`.
        by: String,
    },
}

/// The kind of an [`Outcome`] alone.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is documented on Outcome")]
pub enum OutcomeKind {
    Passed,
    Skipped,
    Blocked,
    Errored,
    Failed,
}

impl Outcome {
    /// Its kind.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Passed => OutcomeKind::Passed,
            Self::Failed { .. } => OutcomeKind::Failed,
            Self::Errored { .. } => OutcomeKind::Errored,
            Self::Skipped { .. } => OutcomeKind::Skipped,
            Self::Blocked { .. } => OutcomeKind::Blocked,
        }
    }

    /// Puts what explains it in front of what there is to say about it. Nothing for Passed.
    pub(crate) fn explain(&mut self, why: &str) {
        match self {
            Self::Passed => {}
            Self::Failed { message: text, .. }
            | Self::Errored { message: text, .. }
            | Self::Skipped { reason: text }
            | Self::Blocked { by: text } => *text = format!("{why}: {text}"),
        }
    }

    /// What there is to say about it; empty for Passed.
    pub fn message(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed { message, .. } | Self::Errored { message, .. } => message,
            Self::Skipped { reason } => reason,
            Self::Blocked { by } => by,
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Skipped => "skipped",
            Self::Blocked => "blocked",
        })
    }
}

/// What may be said in addition to an outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// It passed, but not at the first attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flaky: bool,
    /// What it left behind on its hosts, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaked: Vec<String>,
}
