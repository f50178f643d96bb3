//! memtester: patterns in memory, and whether they are still there.

use xenrt::prelude::*;

use super::{Batch, Figure, Said, not_understood};

/// Memory filled with patterns and read back, with memtester.
#[derive(Debug, Clone)]
pub struct Memtester {
    memory: Memory,
    loops: u32,
}

impl Memtester {
    /// On so much memory, which it keeps from being swapped out. One loop unless set.
    pub fn new(memory: Memory) -> Self {
        Self { memory, loops: 1 }
    }

    /// Sets how often it does all its tests.
    #[must_use]
    pub fn loops(mut self, loops: u32) -> Self {
        self.loops = loops.max(1);
        self
    }
}

impl Batch for Memtester {
    const NAME: &'static str = "memtester";
    const PROGRAMS: &'static [&'static str] = &["memtester"];

    fn command(&self) -> Command {
        // A loop takes half a minute for 64 MiB on a slow host.
        let mib = self.memory.as_mib().max(1);
        let patience = 120 + u64::from(self.loops) * (30 + mib * 2);
        Command::new("memtester")
            .args([format!("{mib}M"), self.loops.to_string()])
            .deadline(Duration::from_secs(patience))
    }

    fn figures(&self, said: &Said) -> Result<Vec<Figure>> {
        if let Some(wrong) =
            said.out.lines().chain(said.err.lines()).find(|line| line.contains("FAILURE"))
        {
            return Err(TestError::product(format!("memtester found {:?}", shown(wrong))));
        }
        // memtester(8), "EXIT CODE": 1 is memory that cannot be had, 2 and 4 are failed tests.
        match said.status.code() {
            Some(0) => {}
            Some(code) if code & 6 != 0 => {
                return Err(TestError::product(format!(
                    "memtester ended with {code}: a test failed"
                )));
            }
            _ => return Err(said.failed("memtester")),
        }
        let passed = said.out.lines().filter(|line| shown(line).ends_with("ok")).count();
        if passed == 0 {
            return Err(not_understood("memtester", "lines that end with ok", &said.out));
        }
        Ok(vec![Figure::new("passed tests", passed as f64, "")])
    }
}

/// A line as a terminal shows it in the end: it draws over itself with backspaces.
fn shown(line: &str) -> String {
    let mut kept: Vec<char> = Vec::new();
    for c in line.chars() {
        match c {
            '\u{8}' => drop(kept.pop()),
            '\r' => kept.clear(),
            c => kept.push(c),
        }
    }
    kept.into_iter().collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::batch::{recorded, told};
    use super::*;

    /// The beginning, middle and end of what memtester 4.6.0 of Debian 12 prints.
    const RECORDED: &str = "\
memtester version 4.6.0 (64-bit)
want 4MB (4194304 bytes)
got  4MB (4194304 bytes), trying mlock ...locked.
Loop 1/1:
  Random Value        :  \u{8}\\\u{8}|\u{8}/\u{8}-\u{8}\\\u{8} \u{8}ok
  Compare XOR         : ok
  Compare SUB         : ok
  Walking Zeroes      :            \u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}setting   0\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}           \u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}ok

Done.
";

    #[test]
    fn recorded_output_is_read() {
        let figures = Memtester::new(Memory::mib(4)).figures(&recorded(RECORDED)).unwrap();
        assert_eq!(told(&figures), ["passed tests: 4 "]);
    }

    #[test]
    fn wrong_memory_is_the_products_and_missing_memory_is_not() {
        let own = Memtester::new(Memory::mib(4));
        // memtester 4.6.0, tests.c: `FAILURE: 0x%08lx != 0x%08lx at offset 0x%08lx.`
        let line = "FAILURE: 0x00000001 != 0x00000000 at offset 0x00000010.\n";
        let error = own.figures(&recorded(line)).unwrap_err();
        assert_eq!(error.blame(), Some(xenrt::Blame::Product));
        assert!(error.to_string().contains("memtester found"), "{error}");
        let mut none = recorded("");
        none.status = xenrt::remote::ExitStatus::Code(1);
        none.err = "failed to allocate memory".into();
        assert_eq!(own.figures(&none).unwrap_err().blame(), Some(xenrt::Blame::Infrastructure));
        assert!(own.figures(&recorded("what?")).is_err());
    }
}
