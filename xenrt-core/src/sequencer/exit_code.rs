//! What a run means for whoever started the program.

use super::Summary;

/// The exit code that stands for a run. The numbers are stable: programs may rely on them.
///
/// Where more than one applies, the first one of this order is taken: Cancelled,
/// PreparationFailed, Failed, Errored, NothingRan, AllPassed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum ExitCode {
    /// 0: every test that was run passed, and at least one was. Skipped tests are no fault. A
    /// sequence that only prepares, and did, counts too.
    AllPassed = 0,
    /// 1: at least one test Failed, or passed and left something behind on a host (a leak) where
    /// leaks are not [allowed](super::RunOptions::allow_leaks).
    Failed = 1,
    /// 2: the input cannot be used: a bad argument, an unknown test. No run gives it; programs do
    /// that find this before a run.
    Usage = 2,
    /// 3: at least one test Errored and none Failed, or the end of the run could not undo what its
    /// preparation made or give the hosts back.
    Errored = 3,
    /// 4: the preparation failed, so that no test could run.
    PreparationFailed = 4,
    /// 5: no test was run: all were skipped, or none was selected.
    NothingRan = 5,
    /// 130: the run was cancelled (128 + SIGINT, as shells have it).
    Cancelled = 130,
}

impl ExitCode {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

/// How a run ended, besides its tests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RunEnd {
    pub(super) cancelled: bool,
    pub(super) preparation_failed: bool,
    /// What the preparation made could not be undone, or hosts could not be given back.
    pub(super) release_failed: bool,
    /// The sequence has no tests: it only prepares.
    pub(super) only_prepares: bool,
    pub(super) allow_leaks: bool,
}

impl RunEnd {
    pub(super) fn exit_code(self, summary: &Summary) -> ExitCode {
        if self.cancelled {
            ExitCode::Cancelled
        } else if self.preparation_failed {
            ExitCode::PreparationFailed
        } else if summary.failed > 0 || (summary.leaked > 0 && !self.allow_leaks) {
            ExitCode::Failed
        } else if summary.errored > 0 || summary.blocked > 0 || self.release_failed {
            ExitCode::Errored
        } else if summary.passed == 0 && !self.only_prepares {
            ExitCode::NothingRan
        } else {
            ExitCode::AllPassed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_thing_decides() {
        let all = Summary {
            passed: 1,
            failed: 1,
            errored: 1,
            skipped: 1,
            leaked: 1,
            ..Summary::default()
        };
        let end = RunEnd::default();
        let code = |end: RunEnd, change: fn(&mut Summary)| {
            let mut summary = all;
            change(&mut summary);
            end.exit_code(&summary).code()
        };
        assert_eq!(code(RunEnd { cancelled: true, preparation_failed: true, ..end }, |_| ()), 130);
        assert_eq!(code(RunEnd { preparation_failed: true, ..end }, |_| ()), 4);
        assert_eq!(code(end, |_| ()), 1);
        assert_eq!(code(end, |s| s.failed = 0), 1);
        assert_eq!(code(RunEnd { allow_leaks: true, ..end }, |s| s.failed = 0), 3);
        assert_eq!(
            code(RunEnd { allow_leaks: true, ..end }, |s| (s.failed, s.errored) = (0, 0)),
            0
        );
        assert_eq!(code(end, |s| *s = Summary { skipped: 3, ..Summary::default() }), 5);
        assert_eq!(
            code(RunEnd { release_failed: true, ..end }, |s| *s =
                Summary { passed: 1, ..Summary::default() }),
            3
        );
        assert_eq!(code(RunEnd { only_prepares: true, ..end }, |s| *s = Summary::default()), 0);
    }
}
