//! What is on the disks of simulated guests, and how `dd` reads and writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commands::{Session, SimAnswer};
use super::machine::MachineState;
use super::vm::Vm;

/// Blocks are kept whole, in this size: writing one costs no more on a large disk.
const BLOCK: usize = 4096;

/// The bytes of a disk. What was never written is zero and takes no room; copies share their blocks.
#[derive(Debug, Clone)]
pub(super) struct Content {
    size: u64,
    blocks: BTreeMap<u64, Arc<[u8; BLOCK]>>,
}

impl Content {
    /// A blank disk of this many bytes.
    pub(super) fn blank(size: u64) -> Self {
        Self { size, blocks: BTreeMap::new() }
    }

    fn read(&self, from: u64, length: u64) -> Vec<u8> {
        let end = from.saturating_add(length).min(self.size);
        let mut bytes = Vec::with_capacity(usize::try_from(end.saturating_sub(from)).unwrap_or(0));
        let mut at = from;
        while at < end {
            let (block, offset) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let take = (BLOCK - offset).min((end - at) as usize);
            match self.blocks.get(&block) {
                Some(block) => bytes.extend_from_slice(&block[offset..offset + take]),
                None => bytes.resize(bytes.len() + take, 0),
            }
            at += take as u64;
        }
        bytes
    }

    /// Writes as much as there is room for; says whether that was all.
    fn write(&mut self, from: u64, bytes: &[u8]) -> bool {
        let room = usize::try_from(self.size.saturating_sub(from)).unwrap_or(usize::MAX);
        let (mut at, mut left) = (from, &bytes[..bytes.len().min(room)]);
        while !left.is_empty() {
            let (block, offset) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let take = (BLOCK - offset).min(left.len());
            let kept = self.blocks.entry(block).or_insert_with(|| Arc::new([0; BLOCK]));
            Arc::make_mut(kept)[offset..offset + take].copy_from_slice(&left[..take]);
            at += take as u64;
            left = &left[take..];
        }
        bytes.len() <= room
    }
}

impl MachineState {
    /// What is on the disks that were made for a guest.
    pub(super) fn contents_of(&self, vm: &Vm) -> BTreeMap<String, Content> {
        let paths = vm.disks.iter().filter(|disk| disk.owned).map(|disk| &disk.disk.path);
        paths.filter_map(|path| Some((path.clone(), self.contents.get(path)?.clone()))).collect()
    }
}

/// A disk that nobody gave a size has this one.
const UNKNOWN_SIZE: u64 = 1 << 30;

impl Session<'_> {
    /// `dd` between a disk of the guest and the shell: `if=` or `of=` a device, `bs=`, `skip=`,
    /// `seek=`, `count=`; `None` for another use of it.
    pub(super) fn dd(&self, words: &[&str], stdin: &[u8]) -> Option<SimAnswer> {
        let value =
            |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str, otherwise: u64| value(name).map_or(Some(otherwise), size);
        let bs = number("bs", 512)?;
        let (reads, path) = match (value("if"), value("of")) {
            (Some(path), None) => (true, path),
            (None, Some(path)) => (false, path),
            _ => return None,
        };
        let device = path.strip_prefix("/dev/")?;
        let refused = |why: &str| SimAnswer::failure(1, format!("dd: {path}: {why}\n"));
        let mut state = self.machine.state();
        let vm = state.vm(self.machine, self.guest?)?;
        let seen = vm.inside_view().is_some_and(|view| view.disks.iter().any(|own| own == device));
        let disk = vm.disks.iter().find(|disk| disk.disk.device == device).cloned();
        let Some(disk) = disk.filter(|_| seen) else {
            return Some(refused("No such file or directory"));
        };
        if !reads && disk.disk.read_only {
            return Some(refused("Operation not permitted"));
        }
        if state.mapper.fails(&disk.disk.path) {
            return Some(refused("Input/output error"));
        }
        let blank = || Content::blank(UNKNOWN_SIZE);
        let content = state.contents.entry(disk.disk.path).or_insert_with(blank);
        Some(if reads {
            let from = number("skip", 0)?.saturating_mul(bs);
            SimAnswer::text(content.read(from, number("count", u64::MAX)?.saturating_mul(bs)))
        } else if content.write(number("seek", 0)?.saturating_mul(bs), stdin) {
            SimAnswer::success()
        } else {
            refused("No space left on device")
        })
    }
}

impl Session<'_> {
    /// How many sectors of 512 bytes the disk of a guest has, as sysfs tells it in `path`.
    pub(super) fn sectors(&self, path: &str) -> Option<u64> {
        let device = path.strip_prefix("/sys/block/")?.strip_suffix("/size")?;
        let mut state = self.machine.state();
        let vm = state.vm(self.machine, self.guest?)?;
        let disk = vm.disks.iter().find(|disk| disk.disk.device == device)?.disk.path.clone();
        Some(state.contents.get(&disk).map_or(UNKNOWN_SIZE, |content| content.size) / 512)
    }
}

/// A number of dd(1): `4096`, `64k`, `1M`.
fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[digits..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "M" => 1 << 20,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_copies_do_not_see_later_writes() {
        let mut content = Content::blank(3 * BLOCK as u64);
        assert!(content.write(BLOCK as u64 - 2, b"abcd"));
        let kept = content.clone();
        assert!(content.write(BLOCK as u64, b"XY"));
        assert_eq!(content.read(BLOCK as u64 - 3, 6), b"\0abXY\0");
        assert_eq!(kept.read(BLOCK as u64 - 3, 6), b"\0abcd\0");
        assert!(!content.write(3 * BLOCK as u64 - 1, b"no room"));
        assert_eq!(content.read(3 * BLOCK as u64 - 2, 100), b"\0n");
    }

    #[test]
    fn sizes_are_those_of_dd() {
        assert_eq!(
            (size("4096"), size("64k"), size("1M")),
            (Some(4096), Some(65536), Some(1 << 20))
        );
        assert_eq!((size("1G2"), size("")), (None, None));
    }
}
