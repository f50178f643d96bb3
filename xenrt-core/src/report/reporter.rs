//! What every reader of the events of a run does.

use std::borrow::Borrow;
use std::io;

use crate::sequencer::Event;

/// A reader of the stream of events of a run.
///
/// Reporters are called by one thread, one after the other, in the order of the events. One that
/// fails or panics is said loudly, left out from then on, and never fails a test. All that a
/// reporter shows must come from the events, so that a [journal](super::Journal) that is
/// [replayed](super::replay) into it gives the same.
pub trait Reporter: Send {
    /// What it is, for the message that it failed: `the journal results/journal.jsonl`.
    fn name(&self) -> String;

    /// Takes one event.
    ///
    /// # Errors
    /// When it cannot be written; the reporter is not called again.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Writes out what is held back. Called when nothing happens, at least each 100 ms while
    /// something does, and after the last event.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Ends the report. Called once, after the last event that there is, which of a run that was
    /// killed is not its end: a report that is one file is written then, at the latest.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells all `events` to `reporter`, as the run that they came from would have.
///
/// # Errors
/// The first error of the reporter.
pub fn replay(
    events: impl IntoIterator<Item: Borrow<Event>>,
    reporter: &mut dyn Reporter,
) -> io::Result<()> {
    for event in events {
        reporter.event(event.borrow())?;
    }
    reporter.flush()?;
    reporter.end()
}
