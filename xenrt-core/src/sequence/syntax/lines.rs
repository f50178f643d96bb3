//! Where the lines of a text begin, so that a place costs a short look and not a walk from the
//! beginning.

use super::source::boundary_before;

/// So many bytes of a line are counted for one place at most: a file that is one line of megabytes
/// must not make every place cost megabytes.
const PIECE: usize = 1024;

/// The lines of a text.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Lines {
    /// The first byte of each. Files are at most 4 GiB long.
    starts: Vec<u32>,
    /// Whether every character is one byte, so that there is nothing to count.
    ascii: bool,
    /// Inside of lines that are longer than a piece, where characters must be counted.
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Piece {
    offset: usize,
    /// The characters of its line before it.
    before: usize,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        // Measured on the original's files: 31 bytes a line.
        let mut starts = Vec::with_capacity(text.len() / 24 + 2);
        starts.push(0);
        each_line_end(text.as_bytes(), |at| starts.push(short(at + 1)));
        let ascii = text.is_ascii();
        let mut lines = Self { starts, ascii, pieces: Vec::new() };
        if !ascii {
            lines.count(text);
        }
        lines
    }

    fn count(&mut self, text: &str) {
        let ends = self.starts.iter().skip(1).map(|start| *start as usize).chain([text.len()]);
        for (start, end) in self.starts.iter().zip(ends) {
            let (mut piece, mut before) = (*start as usize, 0);
            while end - piece > PIECE {
                let next = boundary_before(text, piece + PIECE);
                before += characters(text, piece, next);
                self.pieces.push(Piece { offset: next, before });
                piece = next;
            }
        }
    }

    pub(super) fn are_ascii(&self) -> bool {
        self.ascii
    }

    /// Line and column, from 1, of the character that begins at a byte. `near` is where to look
    /// first, and then where it was.
    #[inline]
    pub(super) fn position(&self, text: &str, offset: usize, near: &mut usize) -> (u32, u32) {
        let line = self.line(short(offset), *near);
        *near = line;
        let start = self.starts[line] as usize;
        let before = if self.ascii { offset - start } else { self.before(text, start, offset) };
        (short(line + 1), short(before + 1))
    }

    /// The line in which a byte is; it is most often `near`, or soon after it.
    #[inline]
    fn line(&self, offset: u32, near: usize) -> usize {
        let after = self.starts.get(near..).unwrap_or_default();
        let ahead = after.iter().take(4).take_while(|start| **start <= offset).count();
        if ahead == 0 || (ahead == 4 && after.len() > 4) {
            return self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        }
        near + ahead - 1
    }

    /// The characters between the beginning of a line and a byte in it.
    fn before(&self, text: &str, start: usize, offset: usize) -> usize {
        let piece = self.pieces.partition_point(|piece| piece.offset <= offset);
        match piece.checked_sub(1).map(|piece| self.pieces[piece]) {
            Some(piece) if piece.offset > start => {
                piece.before + characters(text, piece.offset, offset)
            }
            _ => characters(text, start, offset),
        }
    }
}

fn characters(text: &str, start: usize, end: usize) -> usize {
    text.get(start..end).unwrap_or_default().chars().count()
}

fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Finds every `\n`. Lines are short, so eight bytes are looked at in one word: a search that is
/// begun anew for each line costs twice as much.
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
