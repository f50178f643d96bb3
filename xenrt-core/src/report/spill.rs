//! What is known of ended tests, on disk instead of in memory.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

/// Records by number in a file that nobody else sees and that goes with the process, however it
/// ends. Twelve bytes a record are kept in memory.
#[derive(Debug, Default)]
pub(super) struct Spill {
    /// Made when it is needed first.
    file: Option<File>,
    /// What is not in the file yet.
    buffer: Vec<u8>,
    /// Where the buffer begins.
    written: u64,
    /// Where each record is; of length 0 where there is none.
    places: Vec<(u64, u32)>,
}

impl Spill {
    const BLOCK: usize = 256 * 1024;

    /// Keeps a record; an earlier one of the same number is forgotten.
    pub(super) fn put(&mut self, number: usize, record: &[u8]) -> io::Result<()> {
        if number >= self.places.len() {
            self.places.resize(number + 1, (0, 0));
        }
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        self.places[number] = (self.written + self.buffer.len() as u64, length);
        self.buffer.extend_from_slice(record);
        if self.buffer.len() >= Self::BLOCK { self.write() } else { Ok(()) }
    }

    /// Whether there is a record of this number.
    pub(super) fn has(&self, number: usize) -> bool {
        self.places.get(number).is_some_and(|place| place.1 > 0)
    }

    /// The record of this number, if there is one.
    pub(super) fn get(&mut self, number: usize) -> io::Result<Option<Vec<u8>>> {
        let Some((at, length)) = self.places.get(number).copied().filter(|place| place.1 > 0)
        else {
            return Ok(None);
        };
        self.write()?;
        let Some(file) = &self.file else { return Ok(None) };
        let mut record = vec![0; length as usize];
        file.read_exact_at(&mut record, at)?;
        Ok(Some(record))
    }

    fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_whole_and_the_last_one_of_a_number_counts() {
        let mut spill = Spill::default();
        let large = vec![b'x'; Spill::BLOCK];
        spill.put(3, b"first").unwrap();
        spill.put(1, &large).unwrap();
        spill.put(3, b"second").unwrap();
        assert_eq!(spill.get(3).unwrap().unwrap(), b"second");
        spill.put(0, b"after a look").unwrap();
        assert_eq!(spill.get(0).unwrap().unwrap(), b"after a look");
        assert_eq!(spill.get(1).unwrap().unwrap(), large);
        assert_eq!(spill.get(2).unwrap(), None);
        assert_eq!(spill.get(4).unwrap(), None);
    }
}
