//! The text of a sequence file, and where in it something stands.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::sequence::model::FileText;
use crate::sequence::{Place, Word};

/// The text of a file under the name that it was given.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::sequence) struct Source {
    text: Arc<FileText>,
    marks: Vec<Mark>,
    /// Whether every character is one byte.
    ascii: bool,
}

/// A byte of which line and column are known, so that a place costs a short scan.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    offset: usize,
    line: u32,
    column: u32,
}

impl Source {
    pub(in crate::sequence) fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let marks = marks(&text);
        let ascii = text.is_ascii();
        Self { text: Arc::new(FileText { file: file.into(), text }), marks, ascii }
    }

    pub(in crate::sequence) fn file(&self) -> &str {
        &self.text.file
    }

    pub(in crate::sequence) fn text(&self) -> &str {
        &self.text.text
    }

    /// Whether a word is a part of it.
    pub(in crate::sequence) fn has(&self, word: &Word) -> bool {
        word.is_of(&self.text)
    }

    /// These bytes of it.
    pub(in crate::sequence) fn word(&self, at: &Range<usize>) -> Word {
        Word::part(&self.text, at)
    }

    /// The place of these bytes; cut to the text and to whole characters where they do not fit.
    pub(in crate::sequence) fn place(&self, at: &Range<usize>) -> Place {
        self.place_near(at, &mut 0)
    }

    /// As [`place`](Self::place), of which most follow one another: `near` is where to look first.
    pub(in crate::sequence) fn place_near(&self, at: &Range<usize>, near: &mut usize) -> Place {
        let text = self.text();
        let (offset, end) = if self.ascii {
            let offset = at.start.min(text.len());
            (offset, at.end.min(text.len()).max(offset))
        } else {
            let offset = boundary_before(text, at.start);
            (offset, boundary_after(text, at.end).max(offset))
        };
        let is_in = |index: usize| {
            self.marks.get(index).is_some_and(|mark| mark.offset <= offset)
                && self.marks.get(index + 1).is_none_or(|next| next.offset > offset)
        };
        let found = (*near..*near + 3).find(|index| is_in(*index));
        let nearest = found.unwrap_or_else(|| {
            self.marks.partition_point(|mark| mark.offset <= offset).saturating_sub(1)
        });
        *near = nearest;
        let mark = self.marks[nearest];
        let characters = if self.ascii {
            offset - mark.offset
        } else {
            text[mark.offset..offset].chars().count()
        };
        Place {
            offset,
            length: end - offset,
            line: mark.line,
            column: mark.column.saturating_add(u32::try_from(characters).unwrap_or(u32::MAX)),
        }
    }
}

/// The last beginning of a character at or before this byte.
pub(in crate::sequence) fn boundary_before(text: &str, byte: usize) -> usize {
    let byte = byte.min(text.len());
    (0..=byte).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The first beginning of a character at or after this byte, or the end.
pub(in crate::sequence) fn boundary_after(text: &str, byte: usize) -> usize {
    (byte.min(text.len())..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// The beginning of each line, and of each piece of a very long line: a file that is one line of
/// megabytes must not make every place cost megabytes.
fn marks(text: &str) -> Vec<Mark> {
    let mut marks = Vec::with_capacity(text.len() / 32 + 1);
    marks.push(Mark { offset: 0, line: 1, column: 1 });
    let (mut line, mut offset) = (1, 0);
    each_line_end(text.as_bytes(), |at| {
        mark_pieces(text, line, offset..at + 1, &mut marks);
        line += 1;
        offset = at + 1;
        marks.push(Mark { offset, line, column: 1 });
    });
    mark_pieces(text, line, offset..text.len(), &mut marks);
    marks
}

/// Marks the pieces of one line after its first, where it has more than that.
#[inline]
fn mark_pieces(text: &str, line: u32, at: Range<usize>, marks: &mut Vec<Mark>) {
    const PIECE: usize = 1024;
    let (mut column, mut piece) = (1_u32, at.start);
    while at.end - piece > PIECE {
        let next = boundary_before(text, piece + PIECE);
        column += u32::try_from(text[piece..next].chars().count()).unwrap_or(u32::MAX);
        marks.push(Mark { offset: next, line, column });
        piece = next;
    }
}

/// Finds every `\n`. Lines are short, so eight bytes are looked at in one word: a search that is
/// begun anew for each line costs four times as much.
#[inline]
fn each_line_end(text: &[u8], mut found: impl FnMut(usize)) {
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    const LINE_ENDS: u64 = u64::from_ne_bytes([b'\n'; 8]);
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // Nothing but the highest bit of each byte that is a line end, from the lowest on.
        let other = u64::from_le_bytes(*word) ^ LINE_ENDS;
        let mut ends = !(((other & LOW) + LOW) | other | LOW);
        while ends != 0 {
            found(index * 8 + ends.trailing_zeros() as usize / 8);
            ends &= ends - 1;
        }
    }
    let start = text.len() - rest.len();
    for (at, byte) in rest.iter().enumerate() {
        if *byte == b'\n' {
            found(start + at);
        }
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.text().read_span(span, lines_before, lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.file().to_owned(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

/// The name alone: the text may be megabytes.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.file()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow(text: &str, offset: usize) -> (u32, u32) {
        let before = &text[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (u32::try_from(line).unwrap(), u32::try_from(column).unwrap())
    }

    #[test]
    fn lines_are_short_or_not() {
        let text = format!("ä\n{}\n\nb", "größe ".repeat(1000));
        let source = Source::new("x", &text);
        for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let place = source.place(&(offset..text.len()));
            assert_eq!((place.line, place.column), slow(&text, offset), "at {offset}");
        }
    }

    proptest! {
        #[test]
        fn a_place_is_always_inside(text in "(?s).{0,80}", start in 0_usize..100, end in 0_usize..100) {
            let source = Source::new("x", &text);
            let place = source.place(&(start..end));
            prop_assert!(text.get(place.offset..place.offset + place.length).is_some());
            prop_assert_eq!((place.line, place.column), slow(&text, place.offset));
        }
    }
}
