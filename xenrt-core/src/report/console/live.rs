//! The moving part of a console: what is running now.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::board::OnBoard;
use crate::sequencer::TestIndex;

/// Bars at the bottom of a terminal: a line for each step of the preparation and each test that is
/// running, and one that counts.
#[derive(Debug)]
pub(super) struct Live {
    bars: MultiProgress,
    total: ProgressBar,
    steps: BTreeMap<String, ProgressBar>,
    running: BTreeMap<TestIndex, ProgressBar>,
}

/// More lines than this would push everything else off the screen.
const MOST_LINES: usize = 8;

impl Live {
    pub(super) fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let total = bars.add(ProgressBar::new(0).with_style(style("{pos}/{len} tests ended{msg}")));
        Self { bars, total, steps: BTreeMap::new(), running: BTreeMap::new() }
    }

    /// Writes `text` above the bars and moves them.
    pub(super) fn show(&mut self, text: &str, board: &OnBoard) -> io::Result<()> {
        self.steps.retain(|step, bar| keep(bar, board.preparing.contains_key(step)));
        self.running.retain(|test, bar| keep(bar, board.running.contains_key(test)));
        if !text.is_empty() {
            self.bars.suspend(|| {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text.as_bytes())?;
                stdout.flush()
            })?;
        }
        for (step, (message, _)) in board.preparing.iter().take(MOST_LINES) {
            let bar = self.steps.entry(step.clone()).or_insert_with(|| line(&self.bars));
            bar.set_message(format!("{step} {message}"));
        }
        let started = board.running.iter().filter(|(_, record)| record.started.is_some());
        for (test, record) in started.take(MOST_LINES) {
            let bar = self.running.entry(*test).or_insert_with(|| line(&self.bars));
            let phase = record.phase.map(|(phase, _)| phase.to_string()).unwrap_or_default();
            let step = record.steps.back().map(|(step, _)| format!(": {step}")).unwrap_or_default();
            bar.set_message(format!("{} {phase}{step}", board.label(*test)));
        }
        let more = board.running.len().saturating_sub(MOST_LINES);
        self.total.set_length(board.planned.len() as u64);
        self.total.set_position(board.ended as u64);
        self.total.set_message(match more {
            0 => String::new(),
            more => format!(", {more} more are running"),
        });
        Ok(())
    }

    /// The bars, for others who write on the terminal.
    pub(super) fn bars(&self) -> MultiProgress {
        self.bars.clone()
    }

    /// Removes the bars.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.total.finish_and_clear();
        self.bars.clear()
    }
}

fn line(bars: &MultiProgress) -> ProgressBar {
    let bar =
        ProgressBar::new_spinner().with_style(style("{spinner} [{elapsed_precise}] {wide_msg}"));
    // Above the line that counts.
    let bar = bars.insert_from_back(1, bar);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn keep(bar: &ProgressBar, keep: bool) -> bool {
    if !keep {
        bar.finish_and_clear();
    }
    keep
}

/// The templates are constants of this file; indicatif's own style stands in for a wrong one.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
