//! sysbench: prime numbers, and memory that is written.

use xenrt::prelude::*;

use super::{Batch, Figure, Said, not_understood};

/// Which of its tests sysbench does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SysbenchTest {
    /// Prime numbers.
    Cpu,
    /// Memory that is written.
    Memory,
}

/// Processors or memory measured with sysbench 1.0.
#[derive(Debug, Clone)]
pub struct Sysbench {
    test: SysbenchTest,
    threads: u32,
    seconds: u32,
}

impl Sysbench {
    /// This test. One thread for 10 s unless set.
    pub fn new(test: SysbenchTest) -> Self {
        Self { test, threads: 1, seconds: 10 }
    }

    /// Sets how many threads there are.
    #[must_use]
    pub fn threads(mut self, threads: u32) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Sets how long it runs.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }
}

impl Batch for Sysbench {
    const NAME: &'static str = "sysbench";
    const PROGRAMS: &'static [&'static str] = &["sysbench"];

    fn command(&self) -> Command {
        let mut command = Command::new("sysbench");
        command = match self.test {
            SysbenchTest::Cpu => command.arg("cpu"),
            // The time is to end it, not the amount.
            SysbenchTest::Memory => command.args(["memory", "--memory-total-size=100T"]),
        };
        command
            .args([format!("--threads={}", self.threads), format!("--time={}", self.seconds)])
            .arg("run")
            .deadline(Duration::from_secs(u64::from(self.seconds) * 2 + 120))
    }

    fn figures(&self, said: &Said) -> Result<Vec<Figure>> {
        if !said.status.success() {
            return Err(said.failed("sysbench"));
        }
        let rate = match self.test {
            SysbenchTest::Cpu => said
                .number_after("events per second:")
                .map(|rate| Figure::new("prime number runs", rate, "/s")),
            SysbenchTest::Memory => said
                .out
                .lines()
                .find_map(|line| line.split_once("MiB transferred ("))
                .and_then(|(_, rate)| super::batch::number(rate))
                .map(|rate| Figure::new("memory written", rate, "MiB/s")),
        };
        let slowest = said.number_after("max:");
        match (rate, slowest) {
            (Some(rate), Some(slowest)) => {
                Ok(vec![rate, Figure::new("longest run", slowest, "ms")])
            }
            _ => Err(not_understood("sysbench", "its rate and latency", &said.out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{recorded, told};
    use super::*;

    /// What sysbench 1.0.20 of Debian 12 prints, but for its settings.
    const CPU: &str = "\
CPU speed:
    events per second:    98.80

General statistics:
    total time:                          2.0942s
    total number of events:              207

Latency (ms):
         min:                                    0.28
         avg:                                   18.48
         max:                                  328.34
         95th percentile:                      179.94
";
    const MEMORY: &str = "\
Total operations: 204136 (99582.78 per second)

199.35 MiB transferred (97.25 MiB/sec)

Latency (ms):
         max:                                  282.06
";

    #[test]
    fn recorded_outputs_are_read() {
        let figures = |test, text: &str| Sysbench::new(test).figures(&recorded(text));
        assert_eq!(
            told(&figures(SysbenchTest::Cpu, CPU).unwrap()),
            ["prime number runs: 98.8 /s", "longest run: 328.34 ms"]
        );
        assert_eq!(
            told(&figures(SysbenchTest::Memory, MEMORY).unwrap()),
            ["memory written: 97.25 MiB/s", "longest run: 282.06 ms"]
        );
        assert!(figures(SysbenchTest::Cpu, MEMORY).is_err());
    }
}
