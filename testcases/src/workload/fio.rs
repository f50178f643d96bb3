//! fio: throughput and latency of disks, with what was written verified.

use serde::Deserialize;
use xenrt::prelude::*;

use super::batch::carry_out;
use super::{Figure, Workload, not_understood};

/// Random reads and writes on a disk or file with fio, whose own checksums are verified at the end.
#[derive(Debug, Clone)]
pub struct Fio {
    path: String,
    size: Memory,
    seconds: u32,
    jobs: u32,
}

impl Fio {
    /// On this file or device, which is overwritten. 64 MiB, 10 s and one job unless set.
    pub fn on(path: impl Into<String>) -> Self {
        Self { path: path.into(), size: Memory::mib(64), seconds: 10, jobs: 1 }
    }

    /// Sets how much of it is used.
    #[must_use]
    pub fn size(mut self, size: Memory) -> Self {
        self.size = size;
        self
    }

    /// Sets how long it runs at the most.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }

    /// Sets how many jobs share the disk, each with a part of its own.
    #[must_use]
    pub fn jobs(mut self, jobs: u32) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    fn command(&self) -> Command {
        let each = self.size.as_bytes() / u64::from(self.jobs);
        Command::new("fio")
            .args(["--name=xenrt", "--rw=randrw", "--bs=4k", "--direct=1", "--ioengine=psync"])
            .args([
                "--verify=crc32c",
                "--verify_fatal=1",
                "--group_reporting",
                "--output-format=json",
            ])
            .arg(format!("--filename={}", self.path))
            .arg(format!("--size={each}"))
            .arg(format!("--offset_increment={each}"))
            .arg(format!("--numjobs={}", self.jobs))
            .arg(format!("--runtime={}", self.seconds))
            .deadline(Duration::from_secs(u64::from(self.seconds) * 4 + 300))
    }
}

#[async_trait]
impl Workload for Fio {
    fn name(&self) -> &'static str {
        "fio"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["fio"]
    }

    async fn run(&self, shell: &dyn Shell) -> Result<Vec<Figure>> {
        let said = carry_out(shell, &self.command()).await?;
        let errors = &said.err;
        let all = format!("{errors}\n{}", said.out);
        if let Some(wrong) = all.lines().find(|line| line.contains("verify:")) {
            let message = format!("fio found {:?} on {}", wrong.trim(), self.path);
            return Err(TestError::product(message));
        }
        if !said.status.success() {
            let message = format!("fio ended with {}: {}", said.status, errors.trim());
            return Err(TestError::infrastructure(message));
        }
        figures(&said.out)
    }
}

/// What is read of fio's JSON (fio(1), "JSON OUTPUT"); it has much more.
#[derive(Deserialize)]
struct Report {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    error: i64,
    read: Direction,
    write: Direction,
}

#[derive(Deserialize)]
struct Direction {
    /// KiB/s.
    bw: f64,
    iops: f64,
    clat_ns: Latency,
}

#[derive(Deserialize)]
struct Latency {
    mean: f64,
}

fn figures(text: &str) -> Result<Vec<Figure>> {
    // Notes of fio may stand in front of it.
    let json = text.find('{').map_or(text, |at| &text[at..]);
    let report: Report = serde_json::from_str(json)
        .map_err(|error| not_understood("fio --output-format=json", &error.to_string(), text))?;
    let [job] = report.jobs.as_slice() else {
        let found = format!("{} jobs", report.jobs.len());
        return Err(not_understood("the report of fio", "one group of jobs", &found));
    };
    if job.error != 0 {
        return Err(TestError::product(format!("fio met the error {} (errno)", job.error)));
    }
    let mut figures = Vec::new();
    for (name, direction) in [("read", &job.read), ("write", &job.write)] {
        let mib = direction.bw / 1024.0;
        figures.push(Figure::new(format!("{name} throughput"), mib, "MiB/s"));
        figures.push(Figure::new(format!("{name} operations"), direction.iops, "/s"));
        let milliseconds = direction.clat_ns.mean / 1e6;
        figures.push(Figure::new(format!("{name} latency, mean"), milliseconds, "ms"));
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// fio 3.33 of Debian 12 with the command above, two seconds on 16 MiB of an ext4 disk.
    const RECORDED: &str = include_str!("samples/fio-3.33.json");

    #[test]
    fn a_recorded_report_is_read() {
        let figures = figures(RECORDED).unwrap();
        let told: Vec<String> = figures
            .iter()
            .map(|figure| format!("{}: {:.2} {}", figure.name, figure.value, figure.unit))
            .collect();
        assert_eq!(
            told,
            [
                "read throughput: 93.02 MiB/s",
                "read operations: 23813.95 /s",
                "read latency, mean: 0.03 ms",
                "write throughput: 72.09 MiB/s",
                "write operations: 18456.14 /s",
                "write latency, mean: 0.02 ms",
            ]
        );
    }

    #[test]
    fn errors_are_the_products_and_noise_is_not_understood() {
        let failed = RECORDED.replace("\"error\" : 0", "\"error\" : 5");
        assert!(figures(&failed).unwrap_err().to_string().contains("the error 5"));
        for noise in ["", "fio: command not found", "{\"jobs\":[]}", "{\"jobs\":3}"] {
            assert!(
                figures(noise).unwrap_err().to_string().contains("cannot understand"),
                "{noise}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = figures(&text);
        }
    }
}
