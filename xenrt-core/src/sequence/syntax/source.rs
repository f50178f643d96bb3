//! The text of a sequence file, and where in it something stands.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::lines::Lines;
use crate::sequence::model::FileText;
use crate::sequence::{Place, Word};

/// The text of a file under the name that it was given.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::sequence) struct Source {
    text: Arc<FileText>,
    lines: Lines,
}

impl Source {
    pub(in crate::sequence) fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = Lines::of(&text);
        Self { text: Arc::new(FileText { file: file.into(), text }), lines }
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
        let (offset, end) = if self.lines.are_ascii() {
            let offset = at.start.min(text.len());
            (offset, at.end.min(text.len()).max(offset))
        } else {
            let offset = boundary_before(text, at.start);
            (offset, boundary_after(text, at.end).max(offset))
        };
        let (line, column) = self.lines.position(text, offset, near);
        Place { offset, length: end - offset, line, column }
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
