//! What the registry knows of a test.

use std::time::Duration;

use super::ErasedTestCase;
use crate::model::Ability;
use crate::sequence::Claim;

/// What a test needs of its hosts, before anything is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirements {
    /// How many hosts, at least 1.
    pub hosts: usize,
    /// Abilities that each of them must have.
    pub abilities: &'static [Ability],
}

/// How a test uses its hosts and guests beside other tests. The sequencer never runs two tests at
/// the same time whose claims do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// Its hosts: as many as it [requires](Requirements::hosts), its default host first. Where its
    /// step in the sequence has a `claim`, that counts.
    pub host: Claim,
    /// The guest of the preparation that it is meant for. `None` claims the one that the sequence
    /// names for it, exclusively; `Some` also claims the
    /// [default guest](crate::testcase::TestContext::default_guest) where it names none.
    pub guest: Option<Claim>,
}

impl Claims {
    /// What a test claims that does not say otherwise: its hosts shared, and the guest that is named
    /// for it exclusively.
    pub const DEFAULT: Self = Self { host: Claim::Shared, guest: None };
}

/// A test as `#[testcase]` describes it. Everything is constant, so that a registry costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct TestDescriptor {
    /// The id, unique in a program: `network.hfx745`.
    pub id: &'static str,
    /// Ids under which the original knew it: `testcases.xenserver.tc.network.TCHfx745`.
    pub legacy: &'static [&'static str],
    /// The test's number in a test management system: `TC-19178`.
    pub tc: Option<&'static str>,
    /// The doc comment.
    pub description: &'static str,
    /// How long preparation and run may take together; `None` takes the sequencer's default.
    pub timeout: Option<Duration>,
    /// What it needs.
    pub requires: Requirements,
    /// How it uses its hosts and guests beside other tests.
    pub claims: Claims,
    /// Whether what follows it is blocked when it does not pass, where the sequence does not say.
    pub blocker: bool,
    /// Words to select it by.
    pub tags: &'static [&'static str],
    /// Where it is written: the Rust path of the type.
    pub type_name: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line in it.
    pub line: u32,
    /// Makes one, unprepared.
    pub make: fn() -> Box<dyn ErasedTestCase>,
}
