//! Where the lines of a text begin, so that a place costs a short look and not a walk from the
//! beginning.

use super::bytes::each_line_end;
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
        let ascii = each_line_end(text.as_bytes(), |at| starts.push(short(at + 1)));
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
        const SOON: usize = 4;
        if let Some(after) = self.starts.get(near..near + SOON + 1)
            && after[0] <= offset
            && offset < after[SOON]
        {
            let begun = |line: usize| usize::from(after[line] <= offset);
            return near + begun(1) + begun(2) + begun(3);
        }
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
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
