//! What an exploration found.

use std::collections::BTreeMap;
use std::fmt;

use super::guests::Guests;
use super::program::Program;

/// A program that fails, as short as it could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The program; its last step is the one that failed.
    pub program: Program,
    /// What its guests are.
    pub guests: Guests,
    /// What was wrong.
    pub message: String,
    /// The end of the console of each guest, by its name, as it was then; or why it could not be had.
    pub consoles: BTreeMap<String, String>,
    /// How many steps were run until something was wrong for the first time.
    pub found_after: usize,
    /// How many programs were run to shorten it.
    pub tries: usize,
}

/// What an exploration found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The seed that repeats it.
    pub seed: u64,
    /// The steps that were run.
    pub steps: usize,
    /// What the toolstack cannot do to guests in the state that they were in, with the reason that it
    /// gave, and how many steps that were. Nothing may have changed by them.
    pub absent: BTreeMap<String, usize>,
    /// Whether it was [cancelled](super::Exploration::cancelled_by) before its end.
    pub cancelled: bool,
    /// What was wrong, where something was.
    pub failure: Option<Failure>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = &self.failure else {
            let how = if self.cancelled { ", then cancelled" } else { "" };
            writeln!(f, "seed {}: {} steps{how}, nothing wrong", self.seed, self.steps)?;
            for (reason, steps) in &self.absent {
                writeln!(f, "{steps} of them refused: {reason}")?;
            }
            return Ok(());
        };
        writeln!(
            f,
            "seed {}: wrong after {} steps; {} steps are enough ({} programs were tried):",
            self.seed,
            failure.found_after,
            failure.program.steps.len(),
            failure.tries
        )?;
        write!(f, "{}", failure.program)?;
        writeln!(f, "then: {}", failure.message)?;
        for (name, console) in &failure.consoles {
            writeln!(f, "the console of {name}:")?;
            for line in console.lines() {
                writeln!(f, "  | {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_told_with_its_reason_and_is_nothing_wrong() {
        let mut found =
            Found { seed: 7, steps: 40, absent: BTreeMap::new(), cancelled: false, failure: None };
        assert_eq!(found.to_string(), "seed 7: 40 steps, nothing wrong\n");
        found.absent.insert("SetVcpus(1): QEMU keeps them".to_owned(), 3);
        let told =
            "seed 7: 40 steps, nothing wrong\n3 of them refused: SetVcpus(1): QEMU keeps them\n";
        assert_eq!(found.to_string(), told);
    }
}
