//! Texts of a sequence file.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::Place;

/// A text of a sequence file: a name, a group, the value of an argument. It is a part of a text
/// that it keeps alive, mostly of the file itself, so that reading a file makes no text anew and a
/// copy costs next to nothing: a loop may make a hundred thousand steps.
///
/// It is compared, ordered and hashed as the text that it is.
///
/// ```
/// use xenrt_core::sequence::Word;
///
/// let word = Word::from("lifecycle.reboot");
/// assert_eq!(word, "lifecycle.reboot");
/// assert_eq!(word.rsplit('.').next(), Some("reboot"));
/// ```
#[derive(Clone, Default)]
pub struct Word {
    text: Arc<FileText>,
    /// Files are at most 4 GiB long.
    start: u32,
    end: u32,
}

/// A text with the name of the file that it is; one that is none has none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::sequence) struct FileText {
    pub(in crate::sequence) file: String,
    pub(in crate::sequence) text: String,
}

/// Where a [`Word`] is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'w> {
    /// The file, as it was named by whoever read it.
    pub(crate) file: &'w str,
    /// All of it.
    pub(crate) text: &'w str,
    /// Where in it.
    pub(crate) place: Place,
}

impl Word {
    /// These bytes of a text; nothing where they are not in it.
    pub(in crate::sequence) fn part(text: &Arc<FileText>, at: &Range<usize>) -> Self {
        match (text.text.get(at.clone()), u32::try_from(at.start), u32::try_from(at.end)) {
            (Some(_), Ok(start), Ok(end)) => Self { text: Arc::clone(text), start, end },
            _ => Self::default(),
        }
    }

    /// The same for a slice of this text; `None` for one of another.
    pub(in crate::sequence) fn inside(&self, slice: &str) -> Option<Self> {
        let within = slice.as_ptr().addr().checked_sub(self.as_ptr().addr())?;
        let end = within.checked_add(slice.len()).filter(|end| *end <= self.len())?;
        let start = self.start as usize;
        Some(Self::part(&self.text, &(start + within..start + end)))
    }

    /// Whether it is a part of this text.
    pub(in crate::sequence) fn is_of(&self, text: &Arc<FileText>) -> bool {
        Arc::ptr_eq(&self.text, text)
    }

    /// Its bytes in the text that it is a part of.
    pub(in crate::sequence) fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Where it is written, which is another file than the sequence's where that includes one;
    /// `None` where it is written nowhere, since variables were replaced.
    pub(crate) fn origin(&self) -> Option<Origin<'_>> {
        let FileText { file, text } = &*self.text;
        let before = text.get(..self.start as usize).filter(|_| !file.is_empty())?;
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (offset, length) = (self.start as usize, self.len());
        let place = Place { offset, length, line: short(line), column: short(column) };
        Some(Origin { file, text, place })
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // The bytes are always in the text.
        self.text.text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl Deref for Word {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Word {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Word {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<String> for Word {
    /// The whole text; what is behind its first 4 GiB is left out.
    fn from(text: String) -> Self {
        let end = match u32::try_from(text.len()) {
            Ok(end) => end,
            Err(_) => {
                (0..=u32::MAX).rev().find(|at| text.is_char_boundary(*at as usize)).unwrap_or(0)
            }
        };
        Self { text: Arc::new(FileText { file: String::new(), text }), start: 0, end }
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

/// As a text.
impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Word {}

impl PartialEq<str> for Word {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Word {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other)
    }
}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    #[test]
    fn a_part_is_the_same_as_a_text_of_its_own() {
        let text = Arc::new(FileText { file: String::new(), text: "größe 10".into() });
        let part = Word::part(&text, &(8..10));
        let own = Word::from("10");
        assert_eq!((&*part, &part), ("10", &own));
        assert_eq!(HashMap::from([(part.clone(), 1)])["10"], 1);
        assert_eq!(BTreeMap::from([(part, 1)])[&own], 1);
        assert_eq!(format!("{own:?} {own:>4}"), "\"10\"   10");
    }

    #[test]
    fn a_word_knows_where_it_is_written() {
        let text = FileText { file: "a.seq".into(), text: "one\nö two".into() };
        let word = Word::part(&Arc::new(text), &(7..10));
        let origin = word.origin().unwrap();
        let Place { offset, length, line, column } = origin.place;
        assert_eq!((origin.file, offset, length, line, column), ("a.seq", 7, 3, 2, 3));
        assert!(Word::from("two").origin().is_none());
    }

    #[test]
    fn what_is_no_part_is_nothing() {
        let text = Arc::new(FileText { file: String::new(), text: "größe".into() });
        for at in [0..20, 3..4, 20..30] {
            assert_eq!(Word::part(&text, &at), "", "{at:?}");
        }
    }
}
