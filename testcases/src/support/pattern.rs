//! Data on a disk that is known again, wherever it turns up.

use xenrt::prelude::*;

use super::noise::noise;

/// Data is written and compared in blocks of this many bytes, each of which says what it is.
const BLOCK: usize = 4096;
/// So many blocks are written at each place.
const STRETCH: u64 = 64;

/// The data of one disk: its blocks at the beginning, in the middle and at the end are filled with
/// what follows from the seed and from where they are, so that a block that is lost, old, in the
/// wrong place or of another disk is told from each of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pattern {
    seed: u64,
    blocks: u64,
}

impl Pattern {
    /// The pattern of a seed for a disk of this size, of at least 1 MiB.
    pub(crate) fn new(seed: u64, size: Memory) -> Self {
        Self { seed, blocks: size.as_bytes() / BLOCK as u64 }
    }

    /// How much is written and read of a disk.
    pub(crate) const fn amount() -> Memory {
        Memory::bytes(3 * STRETCH * BLOCK as u64)
    }

    fn stretches(self) -> [u64; 3] {
        let middle = (self.blocks / 2).saturating_sub(STRETCH / 2);
        [0, middle, self.blocks.saturating_sub(STRETCH)]
    }

    fn bytes(self, from: u64) -> Vec<u8> {
        (from..from + STRETCH).flat_map(|number| block(self.seed, number)).collect()
    }

    /// Writes it to a disk of the guest, through to the disk.
    ///
    /// # Errors
    /// Where the guest cannot be reached or cannot write.
    pub(crate) async fn write(self, guest: &dyn Guest, device: &str) -> Result {
        let shell = guest.shell().await?;
        for from in self.stretches() {
            let dd = Command::new("dd").arg(format!("of=/dev/{device}"));
            let dd = dd.arg(format!("bs={BLOCK}")).arg(format!("seek={from}"));
            let dd = dd.arg("conv=notrunc,fsync").stdin(self.bytes(from));
            shell.run(&dd.deadline(Duration::from_secs(300))).await?;
        }
        Ok(())
    }

    /// Reads it back from the disk, past what the guest has in memory of it.
    ///
    /// # Errors
    /// The product's, with the first block that is not what was written, and what it is instead;
    /// as [`write`](Self::write).
    pub(crate) async fn verify(self, guest: &dyn Guest, device: &str) -> Result {
        let sync = Command::new("sync").deadline(Duration::from_secs(120));
        guest.shell().await?.run(&sync).await?;
        self.verify_written(guest, device).await
    }

    /// The same, of what was [written](Self::write) by this and is on the disk for sure: other disks of the
    /// guest, which may have something to write and cannot, are not waited for.
    pub(crate) async fn verify_written(self, guest: &dyn Guest, device: &str) -> Result {
        let shell = guest.shell().await?;
        let drop = Command::shell_line("echo 3 > /proc/sys/vm/drop_caches");
        shell.run(&drop.deadline(Duration::from_secs(120))).await?;
        for from in self.stretches() {
            let found = read(shell.as_ref(), device, from).await?;
            if let Some(problem) = self.difference(from, &found) {
                return Err(TestError::product(format!(
                    "data on {device} of guest {} is not what was written: {problem}",
                    guest.name()
                )));
            }
        }
        Ok(())
    }

    /// Nothing where a disk holds nothing but zeros in all the places that a pattern is written to.
    ///
    /// # Errors
    /// The product's, with what it holds.
    pub(crate) async fn verify_blank(self, guest: &dyn Guest, device: &str) -> Result {
        let shell = guest.shell().await?;
        for from in self.stretches() {
            let found = read(shell.as_ref(), device, from).await?;
            if let Some(at) = found.iter().position(|byte| *byte != 0) {
                let number = from + (at / BLOCK) as u64;
                let start = at / BLOCK * BLOCK;
                let what = describe(&found[start..found.len().min(start + BLOCK)]);
                return Err(TestError::product(format!(
                    "the new disk {device} of guest {} is not blank: block {number} holds {what}",
                    guest.name()
                )));
            }
        }
        Ok(())
    }

    fn difference(self, from: u64, found: &[u8]) -> Option<String> {
        for (index, number) in (from..from + STRETCH).enumerate() {
            let start = index * BLOCK;
            let Some(bytes) = found.get(start..start + BLOCK) else {
                return Some(format!(
                    "the disk ends in block {number}, after {} of {} bytes",
                    found.len(),
                    STRETCH as usize * BLOCK
                ));
            };
            if bytes != block(self.seed, number) {
                let what = describe(bytes);
                return Some(format!(
                    "block {number} holds {what}, not block {number} of pattern {:x}",
                    self.seed
                ));
            }
        }
        None
    }
}

async fn read(shell: &dyn Shell, device: &str, from: u64) -> Result<Vec<u8>> {
    let dd = Command::new("dd").arg(format!("if=/dev/{device}")).arg(format!("bs={BLOCK}"));
    let dd = dd.arg(format!("skip={from}")).arg(format!("count={STRETCH}"));
    Ok(shell.run(&dd.deadline(Duration::from_secs(300))).await?.stdout)
}

/// What every block begins with.
const MAGIC: &[u8; 8] = b"xenrtblk";

/// One block: magic, seed, number, and a stream that follows from both.
fn block(seed: u64, number: u64) -> [u8; BLOCK] {
    let mut bytes = [0; BLOCK];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&seed.to_le_bytes());
    bytes[16..24].copy_from_slice(&number.to_le_bytes());
    let own = noise(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    for (chunk, eight) in bytes[24..].chunks_exact_mut(8).zip(own) {
        chunk.copy_from_slice(&eight);
    }
    bytes
}

/// What a block is that is not what it should be.
fn describe(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) {
        return "zeros".to_owned();
    }
    let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let (Some(seed), Some(number)) = (word(8), word(16)) else { return "a part".to_owned() };
    if bytes.starts_with(MAGIC) && *bytes == block(seed, number) {
        return format!("block {number} of pattern {seed:x}");
    }
    if bytes.starts_with(MAGIC) {
        let whole = block(seed, number);
        let same = bytes.iter().zip(&whole).take_while(|(found, right)| found == right).count();
        return format!("block {number} of pattern {seed:x}, damaged from byte {same}");
    }
    format!("foreign data (it begins with {:02x?})", &bytes[..8.min(bytes.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_block_is_told_by_what_it_is() {
        let pattern = Pattern::new(7, Memory::mib(16));
        let good = pattern.bytes(0);
        assert_eq!(pattern.difference(0, &good), None);
        let with = |number: usize, bytes: &[u8]| {
            let mut found = good.clone();
            found[number * BLOCK..number * BLOCK + bytes.len()].copy_from_slice(bytes);
            pattern.difference(0, &found).unwrap_or_default()
        };
        assert!(with(3, &[0; BLOCK]).starts_with("block 3 holds zeros"));
        assert!(with(3, &block(7, 4)).contains("holds block 4 of pattern 7,"));
        assert!(with(3, &block(8, 3)).contains("holds block 3 of pattern 8,"));
        let mut torn = block(7, 3);
        torn[2048..].fill(0xaa);
        assert!(with(3, &torn).contains("damaged from byte 2048"));
        assert!(with(3, b"somebody").contains("foreign data"));
        assert!(
            pattern.difference(0, &good[..5000]).unwrap_or_default().contains("ends in block 1")
        );
    }

    #[test]
    fn stretches_lie_within_the_disk() {
        for mib in [1, 2, 16, 1000] {
            let pattern = Pattern::new(1, Memory::mib(mib));
            for from in pattern.stretches() {
                assert!(from + STRETCH <= mib * 256, "{mib} MiB: {from}");
            }
        }
    }
}
