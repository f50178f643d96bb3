//! Reading a journal, whatever became of it.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{MapDeserializer, StrDeserializer};

use crate::sequencer::{Event, EventKind};

/// What [`Journal::read`](super::Journal::read) found.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalContent {
    /// The events, in order, up to the damage.
    pub events: Vec<Event>,
    /// How many events were left out because only a newer version knows them.
    pub unknown: u64,
    /// Where it breaks off or is damaged; `None` where it is whole.
    pub damage: Option<JournalDamage>,
}

/// Where a journal cannot be read further, and why. Shown with `{}`, it is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalDamage {
    /// The line, from 1.
    pub line: u64,
    /// The offset of the line's first byte: the journal is good up to here.
    pub offset: u64,
    /// What is wrong.
    pub problem: String,
    /// Whether it is the last line and breaks off: the run was killed while it was written, and
    /// nothing else is wrong.
    pub torn: bool,
}

impl fmt::Display for JournalDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, offset, problem, .. } = self;
        write!(f, "the journal is good up to line {line} (byte {offset}): {problem}")
    }
}

/// The events of a journal, one after the other, without all of them in memory. It ends where the
/// journal ends or is [damaged](Self::damage).
#[derive(Debug)]
pub struct JournalReader {
    file: BufReader<File>,
    line: Vec<u8>,
    /// Of the line that is read next.
    number: u64,
    offset: u64,
    /// The number of the next event.
    next_event: u64,
    unknown: u64,
    damage: Option<JournalDamage>,
    over: bool,
}

/// A line that is longer is none: even the first event of a run, which lists its tests, is shorter.
const MOST_LINE: u64 = 1024 * 1024 * 1024;

impl JournalReader {
    pub(super) fn new(file: File) -> Self {
        Self {
            file: BufReader::with_capacity(64 * 1024, file),
            line: Vec::new(),
            number: 1,
            offset: 0,
            next_event: 0,
            unknown: 0,
            damage: None,
            over: false,
        }
    }

    /// How many events were left out so far because only a newer version knows them.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// Where and why it ended before the end of the journal; `None` so long as it did not.
    pub fn damage(&self) -> Option<&JournalDamage> {
        self.damage.as_ref()
    }

    /// As [`damage`](Self::damage).
    pub fn into_damage(self) -> Option<JournalDamage> {
        self.damage
    }

    /// How many bytes of the file were read and are good.
    pub(crate) fn good_length(&self) -> u64 {
        self.offset
    }

    /// The number of the event that would come next.
    pub(crate) fn next_event(&self) -> u64 {
        self.next_event
    }

    fn damaged(&mut self, problem: impl Into<String>, torn: bool) -> Option<Event> {
        self.over = true;
        self.damage = Some(JournalDamage {
            line: self.number,
            offset: self.offset,
            problem: problem.into(),
            torn,
        });
        None
    }

    /// The event of the line, unless it is unknown.
    fn understand(&mut self) -> Result<Option<Event>, String> {
        let event = match serde_json::from_slice::<Event>(&self.line) {
            Ok(event) => event,
            Err(error) => {
                let Some(number) = unknown_event(&self.line) else {
                    return Err(format!("it is no event as this version writes it: {error}"));
                };
                self.in_order(number)?;
                self.unknown += 1;
                return Ok(None);
            }
        };
        self.in_order(event.number)?;
        Ok(Some(event))
    }

    fn in_order(&mut self, number: u64) -> Result<(), String> {
        if number != self.next_event {
            let expected = self.next_event;
            return Err(format!("it has event {number} where event {expected} is expected"));
        }
        self.next_event += 1;
        Ok(())
    }
}

impl Iterator for JournalReader {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while !self.over {
            self.line.clear();
            let read = self.file.by_ref().take(MOST_LINE).read_until(b'\n', &mut self.line);
            let length = match read {
                Ok(0) => {
                    self.over = true;
                    return None;
                }
                Ok(length) => length as u64,
                Err(error) => return self.damaged(format!("it cannot be read: {error}"), false),
            };
            if self.line.last() != Some(&b'\n') {
                return match length {
                    MOST_LINE => self.damaged("its line has no end", false),
                    _ => self.damaged("its last line breaks off", true),
                };
            }
            match self.understand() {
                Ok(event) => {
                    self.offset += length;
                    self.number += 1;
                    if event.is_some() {
                        return event;
                    }
                }
                Err(problem) => return self.damaged(problem, false),
            }
        }
        None
    }
}

/// The number of the event that a line tells in the form of one, if it is one that this version
/// does not know.
fn unknown_event(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Outline {
        number: u64,
        what: What,
    }
    #[derive(Deserialize)]
    struct What {
        event: String,
    }
    let Outline { number, what } = serde_json::from_slice(line).ok()?;
    // An event by name alone: one that is known lacks its fields, or is whole.
    let name: StrDeserializer<'_, Probe> = what.event.as_str().into_deserializer();
    let fields = std::iter::once(("event", name));
    let probe = EventKind::deserialize(MapDeserializer::new(fields));
    matches!(probe, Err(Probe::UnknownName)).then_some(number)
}

/// Tells an unknown name from everything else that keeps an event from being read.
#[derive(Debug)]
enum Probe {
    UnknownName,
    Other,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownName => "an unknown event",
            Self::Other => "no event",
        })
    }
}

impl std::error::Error for Probe {}

impl serde::de::Error for Probe {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::UnknownName
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::report::Journal;

    fn lines() -> Vec<String> {
        let steps = ["start", "länger", "end"].iter().enumerate();
        steps
            .map(|(number, text)| {
                format!(
                    "{{\"number\":{number},\"at\":\"2026-01-02T03:04:05Z\",\"test\":1,\"what\":\
                     {{\"event\":\"step\",\"text\":\"{text}\"}}}}\n"
                )
            })
            .collect()
    }

    fn read(bytes: &[u8]) -> JournalContent {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("journal.jsonl");
        std::fs::write(&path, bytes).unwrap();
        Journal::read(&path).unwrap()
    }

    #[test]
    fn what_a_newer_version_tells_is_left_out_and_counted() {
        let mut lines = lines();
        lines[1] = "{\"number\":1,\"at\":\"2026-01-02T03:04:05Z\",\"what\":{\"event\":\
                    \"teleported\",\"to\":7}}\n"
            .to_owned();
        let content = read(lines.concat().as_bytes());
        assert_eq!((content.events.len(), content.unknown, content.damage), (2, 1, None));
    }

    #[test]
    fn an_event_without_what_it_must_have_is_damage() {
        let mut lines = lines();
        lines[1] = lines[1].replace("text", "texd");
        let content = read(lines.concat().as_bytes());
        assert_eq!((content.events.len(), content.unknown), (1, 0));
        insta::assert_snapshot!(content.damage.unwrap());
    }

    #[test]
    fn a_gap_is_damage() {
        let mut lines = lines();
        lines.remove(1);
        let damage = read(lines.concat().as_bytes()).damage.unwrap();
        assert_eq!((damage.line, damage.torn), (2, false));
        insta::assert_snapshot!(damage);
    }

    #[test]
    fn zeroes_at_the_end_are_damage() {
        // What a file system may leave after a power cut.
        let mut bytes = lines().concat().into_bytes();
        let good = bytes.len() as u64;
        bytes.extend([0; 100]);
        let content = read(&bytes);
        let damage = content.damage.unwrap();
        assert_eq!((content.events.len(), damage.offset, damage.torn), (3, good, true));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_up_to_the_damage(
            cut in 0_usize..300,
            tail in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let whole = lines().concat().into_bytes();
            let cut = cut.min(whole.len());
            let bytes = [&whole[..cut], &tail].concat();
            let content = read(&bytes);
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            prop_assert!(content.events.len() >= lines);
            match content.damage {
                None => prop_assert!(bytes.is_empty() || bytes.ends_with(b"\n")),
                Some(damage) => {
                    let good = usize::try_from(damage.offset).unwrap();
                    prop_assert!(good == 0 || bytes[good - 1] == b'\n');
                    prop_assert!(good < bytes.len());
                }
            }
        }
    }
}
