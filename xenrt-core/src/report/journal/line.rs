//! An event as a line of the journal.
//!
//! It is the JSON that [`Event`] is by serde, field for field. What comes before the event itself is
//! written by hand, since a run of small tests writes little else: a timestamp alone costs as much
//! as the rest of the line when it is formatted anew for each.

use std::io::Write as _;

use jiff::Timestamp;

use crate::sequencer::Event;

/// Writes lines; it remembers the second that it wrote last.
#[derive(Debug, Default)]
pub(super) struct LineWriter {
    /// The second, and how it is written up to the fraction: `2026-01-02T03:04:05`.
    second: Option<(i64, String)>,
}

impl LineWriter {
    /// Appends the line of an event, with its end. After an error what was appended is no line.
    pub(super) fn write(&mut self, event: &Event, lines: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut number = itoa::Buffer::new();
        lines.extend_from_slice(b"{\"number\":");
        lines.extend_from_slice(number.format(event.number).as_bytes());
        lines.extend_from_slice(b",\"at\":\"");
        self.timestamp(event.at, lines).map_err(serde_json::Error::io)?;
        lines.push(b'"');
        if let Some(test) = event.test {
            lines.extend_from_slice(b",\"test\":");
            lines.extend_from_slice(number.format(test.0).as_bytes());
        }
        lines.extend_from_slice(b",\"what\":");
        serde_json::to_writer(&mut *lines, &event.what)?;
        lines.extend_from_slice(b"}\n");
        Ok(())
    }

    fn timestamp(&mut self, at: Timestamp, lines: &mut Vec<u8>) -> std::io::Result<()> {
        let (second, nanos) = (at.as_second(), at.subsec_nanosecond());
        let Ok(nanos @ 1..) = u32::try_from(nanos) else {
            // A whole second, or one before 1970, whose fraction counts backwards.
            return write!(lines, "{at}");
        };
        if self.second.as_ref().is_none_or(|(last, _)| *last != second) {
            let whole = Timestamp::from_second(second).unwrap_or(at).to_string();
            self.second = Some((second, whole.trim_end_matches('Z').to_owned()));
        }
        if let Some((_, text)) = &self.second {
            lines.extend_from_slice(text.as_bytes());
        }
        lines.push(b'.');
        // As many digits as it takes, as jiff writes it.
        let (mut fraction, mut digits) = (nanos, 9);
        while fraction % 10 == 0 {
            fraction /= 10;
            digits -= 1;
        }
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(fraction);
        lines.extend(std::iter::repeat_n(b'0', digits - text.len()));
        lines.extend_from_slice(text.as_bytes());
        lines.push(b'Z');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sequencer::{EventKind, TestIndex};

    proptest! {
        #[test]
        fn a_line_is_what_serde_makes_of_the_event(
            events in prop::collection::vec(
                (any::<u64>(), -9_000_000_000_i64..200_000_000_000, 0..1_000_000_000_i32, 0..10_u32,
                 any::<Option<u32>>(), any::<String>()),
                1..8,
            ),
        ) {
            let mut writer = LineWriter::default();
            for (number, second, nanos, zeros, test, text) in events {
                let power = 10_i32.pow(zeros.min(9));
                let nanos = nanos / power * power;
                let event = Event {
                    number,
                    at: Timestamp::new(second, nanos).unwrap(),
                    test: test.map(TestIndex),
                    what: EventKind::Step { text },
                };
                let mut line = Vec::new();
                writer.write(&event, &mut line).unwrap();
                prop_assert_eq!(
                    String::from_utf8(line).unwrap(),
                    serde_json::to_string(&event).unwrap() + "\n"
                );
            }
        }
    }
}
