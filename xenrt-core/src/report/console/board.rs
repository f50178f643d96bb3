//! What goes on now, for whoever asks: the live lines, the key `t`, SIGUSR1.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::super::text::{command_end, indented};
use super::record::TestRecord;
use crate::seconds::Readable;
use crate::sequencer::{PlannedTest, TestIndex};

/// What goes on in a run now. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Board(Arc<Mutex<OnBoard>>);

#[derive(Debug, Default)]
pub(super) struct OnBoard {
    pub(super) planned: Arc<[Arc<PlannedTest>]>,
    pub(super) started: Option<Timestamp>,
    pub(super) running: BTreeMap<TestIndex, TestRecord>,
    /// The last message of each step of the preparation that goes on, and when it began.
    pub(super) preparing: BTreeMap<String, (String, Timestamp)>,
    pub(super) ended: usize,
}

impl Board {
    pub(super) fn lock(&self) -> MutexGuard<'_, OnBoard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnBoard {
    /// The test of this number; `None` only for a journal that is not whole.
    pub(super) fn label(&self, test: TestIndex) -> String {
        let planned = self.planned.get(test.0 as usize);
        planned.map_or_else(|| format!("test {}", test.0), |planned| planned.label())
    }

    /// Where each test is: phase, step, since when, last command.
    pub(super) fn status(&self, now: Timestamp) -> String {
        let mut text = String::new();
        let mut line = |indent: usize, line: &str| {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{:indent$}{}", "", indented(line, indent + 2));
        };
        let since = |at: Timestamp| Readable::seconds(now.duration_since(at).as_secs_f64());
        let mut head = format!("{} of {} tests ended", self.ended, self.planned.len());
        let _ = match self.running.len() {
            0 => write!(head, ", none is running"),
            1 => write!(head, ", 1 is running"),
            many => write!(head, ", {many} are running"),
        };
        if let Some(started) = self.started {
            let _ = write!(head, ", {} after the run began", since(started));
        }
        line(0, &head);
        for (step, (message, began)) in &self.preparing {
            line(2, format!("{step}, for {}: {message}", since(*began)).trim_end_matches(": "));
        }
        for (test, record) in self.running.iter().take(Self::MOST_TESTS) {
            let mut head = self.label(*test);
            if let Some(started) = record.started {
                let _ = write!(head, ", for {}", since(started));
            }
            if !record.hosts.is_empty() {
                let _ = write!(head, ", on {}", record.hosts.join(", "));
            }
            line(2, &head);
            if let Some((phase, at)) = record.phase {
                line(6, &format!("in {phase} for {}", since(at)));
            }
            if let Some((step, at)) = record.steps.back() {
                line(6, &format!("step, for {}: {step}", since(*at)));
            }
            if let Some((command, at)) = &record.last_command {
                let what = crate::remote::shorten_middle(&command.command, 300);
                let end = command_end(command);
                let target = &command.target;
                let ago = since(*at);
                line(6, &format!("last command, ended {ago} ago on {target}: {what} [{end}]"));
            }
        }
        let more = self.running.len().saturating_sub(Self::MOST_TESTS);
        if more > 0 {
            line(2, &format!("and {more} more"));
        }
        text
    }

    const MOST_TESTS: usize = 100;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{CommandRecord, ExitStatus};
    use crate::sequencer::{Event, EventKind};
    use crate::testcase::Phase;

    #[test]
    fn a_status_says_where_each_test_is_and_since_when() {
        let start: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let after = |seconds| start + jiff::SignedDuration::from_millis(seconds);
        let mut board = OnBoard { started: Some(start), ended: 3, ..OnBoard::default() };
        board.preparing.insert("guest b".into(), ("booting (50 %)".into(), after(0)));
        board.preparing.insert("hosts".into(), (String::new(), after(1000)));
        let record = board.running.entry(TestIndex(4)).or_default();
        let mut tell = |millis, what| {
            let test = Some(TestIndex(4));
            record.take(&Event { number: 0, at: after(millis), test, what });
        };
        let hosts = vec!["alpha".to_owned()];
        tell(1500, EventKind::TestStarted { attempt: 1, round: 1, lane: 0, hosts });
        tell(2000, EventKind::PhaseStarted { phase: Phase::Run });
        tell(2500, EventKind::Step { text: "send\npackets".into() });
        tell(
            65_000,
            EventKind::Command(CommandRecord {
                target: "alpha".into(),
                command: "ping -c 3 10.0.0.1".into(),
                status: Some(ExitStatus::Code(1)),
                error: None,
                stdout: "long".into(),
                stderr: String::new(),
                seconds: crate::seconds::Seconds::default(),
            }),
        );
        insta::assert_snapshot!(board.status(after(3_725_000)));
    }
}
