//! Logs of hosts and consoles of guests, and what is new in them.

use crate::remote::Command;

/// A log of a host in which findings are looked for.
#[derive(Debug, Clone)]
pub struct LogSource {
    /// What reports call it: `kernel log`.
    pub name: String,
    /// Prints the log, or its end where it is long.
    pub command: Command,
}

/// Where the last look at a log ended. The default has not looked yet.
#[derive(Debug, Clone, Default)]
pub struct LogMark {
    length: usize,
    /// The end of the log at the last look.
    tail: String,
}

impl LogMark {
    /// By so much of its end a log is recognised that has lost its beginning meanwhile.
    const TAIL: usize = 4096;

    /// What is new in a log that reads `whole` now; the mark moves to its end.
    ///
    /// A log in which the end of the last look cannot be found any more - it was begun anew, or
    /// more was written than it holds - is new as a whole.
    pub fn news<'a>(&mut self, whole: &'a str) -> &'a str {
        let grown = whole.get(..self.length).is_some_and(|old| old.ends_with(&self.tail));
        let from = match grown {
            true => self.length,
            false => whole.rfind(&self.tail).map_or(0, |at| at + self.tail.len()),
        };
        let from = if self.tail.is_empty() { 0 } else { from };
        let mut tail = whole.len().saturating_sub(Self::TAIL);
        while !whole.is_char_boundary(tail) {
            tail += 1;
        }
        self.length = whole.len();
        whole[tail..].clone_into(&mut self.tail);
        &whole[from..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_grew_is_new_from_where_it_ended() {
        let mut mark = LogMark::default();
        assert_eq!(mark.news(""), "");
        assert_eq!(mark.news("boot\nlogin: "), "boot\nlogin: ");
        assert_eq!(mark.news("boot\nlogin: "), "");
        assert_eq!(mark.news("boot\nlogin: panic\n"), "panic\n");
    }

    #[test]
    fn the_same_lines_again_are_new() {
        let mut mark = LogMark::default();
        let line = "blk_update_request: I/O error\n";
        mark.news(&line.repeat(3));
        assert_eq!(mark.news(&line.repeat(5)), line.repeat(2));
    }

    #[test]
    fn a_log_that_lost_its_beginning_is_recognised_by_its_end() {
        let mut mark = LogMark::default();
        let lines = |range: std::ops::Range<u32>| {
            range.map(|line| format!("[{line}] líne\n")).collect::<String>()
        };
        mark.news(&lines(0..10_000));
        assert_eq!(mark.news(&lines(9_000..10_003)), lines(10_000..10_003));
        assert_eq!(mark.news(&lines(20_000..20_002)), lines(20_000..20_002), "nothing is known");
        assert_eq!(mark.news("begun anew\n"), "begun anew\n");
    }
}
