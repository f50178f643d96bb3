//! Workloads whose programs somebody must supply: those that are sold, and those that no free package of
//! Debian has.

use std::path::PathBuf;

use xenrt::prelude::*;

use super::batch::{Said, carry_out, number};
use super::{Figure, Workload, not_understood};

/// Where they are in a guest of Linux.
const LINUX: &str = "/var/tmp/xenrt-media";
/// Where they are in a guest of Windows.
const WINDOWS: &str = "C:\\xenrt";

/// A program that is supplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// `UnixBench` (byte-unixbench): the folder `UnixBench` of its source, with compilers in the guest.
    UnixBench,
    /// lmbench: a folder `lmbench` with the programs that its source builds.
    Lmbench,
    /// The time that a kernel takes to build: the folder `linux` of its source, with compilers in the guest.
    Kernbench,
    /// `BurnInTest` of `PassMark`, in `C:\xenrt\burnintest`.
    BurnInTest,
    /// Iometer with a configuration `config.icf`, in `C:\xenrt\iometer`.
    IoMeter,
    /// Prime95, in `C:\xenrt\prime95`.
    Prime95,
}

impl Medium {
    /// The name of its folder, and of the archive `NAME.tar.gz`.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnixBench => "unixbench",
            Self::Lmbench => "lmbench",
            Self::Kernbench => "kernbench",
            Self::BurnInTest => "burnintest",
            Self::IoMeter => "iometer",
            Self::Prime95 => "prime95",
        }
    }

    /// Whether it is a program of Windows.
    pub fn is_for_windows(self) -> bool {
        matches!(self, Self::BurnInTest | Self::IoMeter | Self::Prime95)
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::UnixBench => &["make", "gcc", "perl"],
            Self::Kernbench => &["make", "gcc", "flex", "bison", "bc"],
            _ => &[],
        }
    }

    /// A file that is there once it is unpacked.
    fn file(self) -> String {
        match self {
            Self::UnixBench => format!("{LINUX}/UnixBench/Run"),
            Self::Lmbench => format!("{LINUX}/lmbench/lat_syscall"),
            Self::Kernbench => format!("{LINUX}/linux/Makefile"),
            Self::BurnInTest => format!("{WINDOWS}\\burnintest\\bit.exe"),
            Self::IoMeter => format!("{WINDOWS}\\iometer\\IOmeter.exe"),
            Self::Prime95 => format!("{WINDOWS}\\prime95\\prime95.exe"),
        }
    }

    /// The command, and how long it may take beyond `seconds`.
    fn command(self, seconds: u32) -> Command {
        let line = match self {
            Self::UnixBench => {
                format!("cd {LINUX}/UnixBench && ./Run -i 1 dhry2reg syscall pipe spawn")
            }
            Self::Lmbench => {
                format!("cd {LINUX}/lmbench && ./lat_syscall null 2>&1 && ./bw_mem 8m cp 2>&1")
            }
            Self::Kernbench => format!(
                "cd {LINUX}/linux && make -s mrproper tinyconfig >&2 && time -p make -s -j$(nproc) vmlinux >&2"
            ),
            // PassMark, "BurnInTest, command line arguments": minutes, run at once, exit at the end.
            Self::BurnInTest => format!(
                "Set-Location {WINDOWS}\\burnintest; Remove-Item BIT_LOG*.log -ErrorAction SilentlyContinue; \
                 Start-Process -Wait .\\bit.exe -ArgumentList '-D {} -R -X'; Get-Content BIT_LOG*.log",
                seconds.div_ceil(60)
            ),
            // Iometer User's Guide, "Command line".
            Self::IoMeter => format!(
                "Set-Location {WINDOWS}\\iometer; Start-Process -Wait .\\IOmeter.exe -ArgumentList \
                 '/c config.icf /r results.csv'; Get-Content results.csv"
            ),
            // Prime95's readme.txt: -t is the torture test, which does not end by itself.
            Self::Prime95 => format!(
                "Set-Location {WINDOWS}\\prime95; Remove-Item results.txt -ErrorAction SilentlyContinue; \
                 $p = Start-Process -PassThru .\\prime95.exe -ArgumentList '-t'; \
                 Wait-Process -Id $p.Id -Timeout {seconds} -ErrorAction SilentlyContinue; \
                 Stop-Process -Id $p.Id -ErrorAction SilentlyContinue; Get-Content results.txt"
            ),
        };
        Command::shell_line(line).deadline(Duration::from_secs(u64::from(seconds) * 2 + 7200))
    }

    fn figures(self, said: &Said) -> Result<Vec<Figure>> {
        let name = self.name();
        let find = |words: &str| said.out.lines().find(|line| line.contains(words));
        let wrong = match self {
            // The original looked for the same words (benchmarks/workloads.py, benchmarks/stress.py).
            Self::BurnInTest => find("TEST RUN FAILED"),
            Self::Prime95 => find("FATAL ERROR"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(TestError::product(format!("{name} found {:?}", wrong.trim())));
        }
        if !said.status.success() {
            return Err(said.failed(name));
        }
        let missing = |expected: &str| not_understood(name, expected, &said.out);
        let one = |figure: &str, value: Option<f64>, unit: &'static str, expected: &str| {
            value
                .map(|value| vec![Figure::new(figure, value, unit)])
                .ok_or_else(|| missing(expected))
        };
        match self {
            Self::UnixBench => {
                let score = find("System Benchmarks Index Score");
                let score = score.and_then(|line| line.split_whitespace().last()).and_then(number);
                one("index", score, "", "a line with the index score")
            }
            Self::Lmbench => {
                let call = said.number_after("Simple syscall:");
                let copy = said.out.lines().last().and_then(|line| line.split_whitespace().nth(1));
                match (call, copy.and_then(number)) {
                    (Some(call), Some(copy)) => Ok(vec![
                        Figure::new("system call", call, "us"),
                        Figure::new("memory copied", copy, "MB/s"),
                    ]),
                    _ => Err(missing("the time of a call and the rate of a copy")),
                }
            }
            Self::Kernbench => {
                // time(1), -p; on standard error, as POSIX has it.
                let real = said.err.lines().find_map(|line| line.strip_prefix("real "));
                one("build", real.and_then(number), "s", "a line `real SECONDS`")
            }
            Self::BurnInTest => match find("TEST RUN PASSED") {
                Some(_) => Ok(vec![Figure::new("passed", 1.0, "")]),
                None => Err(missing("TEST RUN PASSED or TEST RUN FAILED")),
            },
            Self::IoMeter => {
                // The line of all managers; the columns are those of Iometer 1.1.
                let all = said.out.lines().find_map(|line| line.strip_prefix("ALL,All,"));
                let fields: Vec<&str> = all.unwrap_or_default().split(',').collect();
                match (fields.get(4).and_then(|f| number(f)), fields.get(7).and_then(|f| number(f)))
                {
                    (Some(operations), Some(rate)) => Ok(vec![
                        Figure::new("operations", operations, "/s"),
                        Figure::new("throughput", rate, "MB/s"),
                    ]),
                    _ => Err(missing("the line of all managers in its results")),
                }
            }
            Self::Prime95 => {
                let passed = said.out.lines().filter(|line| line.contains("passed!")).count();
                one(
                    "passed self-tests",
                    (passed > 0).then_some(passed as f64),
                    "",
                    "self-tests that passed",
                )
            }
        }
    }
}

/// A workload whose program is supplied.
///
/// For Linux, the folder that was given has `NAME.tar.gz`, which is unpacked in the guest. For Windows, the
/// program is in `C:\xenrt\NAME` of the guest's image: what is sold is licensed for where it is installed.
#[derive(Debug, Clone)]
pub struct Supplied {
    medium: Medium,
    folder: Option<PathBuf>,
    seconds: u32,
}

impl Supplied {
    /// From this folder of this machine, where there is one. 60 s unless set.
    pub fn new(medium: Medium, folder: Option<PathBuf>) -> Self {
        Self { medium, folder, seconds: 60 }
    }

    /// Sets how long it runs, where it does not itself know when it is done.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds.max(1);
        self
    }

    async fn is_there(&self, shell: &dyn Shell) -> Result<bool> {
        let file = self.medium.file();
        let look = if self.medium.is_for_windows() {
            Command::shell_line(format!("if (Test-Path {file}) {{ exit 0 }} else {{ exit 1 }}"))
        } else {
            Command::new("test").args(["-e", &file])
        };
        Ok(shell.succeeds(&look.deadline(Duration::from_secs(60))).await?)
    }
}

#[async_trait]
impl Workload for Supplied {
    fn name(&self) -> &'static str {
        self.medium.name()
    }

    fn programs(&self) -> &'static [&'static str] {
        self.medium.programs()
    }

    async fn install(&self, shell: &dyn Shell) -> Result {
        let (name, target) = (self.name(), shell.target());
        if self.is_there(shell).await? {
            return Ok(());
        }
        if self.medium.is_for_windows() {
            return Err(TestError::skip(format!(
                "{target} has no {}; {name} is not free: put it there in an image of Windows",
                self.medium.file()
            )));
        }
        let archive = format!("{name}.tar.gz");
        let file = self.folder.as_ref().map(|folder| folder.join(&archive));
        let Some(file) = file.filter(|file| file.is_file()) else {
            let folder = self
                .folder
                .as_ref()
                .map_or("none".to_owned(), |folder| folder.display().to_string());
            return Err(TestError::skip(format!(
                "{name} must be supplied: there is no {archive} in the folder `media` ({folder})"
            )));
        };
        for program in self.programs() {
            super::has_program(shell, program, program, name).await?;
        }
        let make = Command::new("mkdir").args(["-p", LINUX]);
        shell.run(&make.deadline(Duration::from_secs(60))).await?;
        let there = format!("{LINUX}/{archive}");
        shell.upload(&file, &there, 0o644).await?;
        let unpack = Command::new("tar").args(["-xzf", &there, "-C", LINUX]);
        shell.run(&unpack.deadline(Duration::from_secs(600))).await?;
        if self.is_there(shell).await? {
            return Ok(());
        }
        let expected = self.medium.file();
        Err(TestError::test(format!("{} has no {expected} in it", file.display())))
    }

    async fn run(&self, shell: &dyn Shell) -> Result<Vec<Figure>> {
        self.medium.figures(&carry_out(shell, &self.medium.command(self.seconds)).await?)
    }
}

#[cfg(test)]
mod tests {
    use xenrt::remote::LocalShell;

    use super::super::batch::{recorded, told};
    use super::*;

    /// As the programs' documentation shows them: none of them could be recorded here.
    #[test]
    fn what_they_print_is_read() {
        let of = |medium: Medium, out: &str| medium.figures(&recorded(out));
        let score = "System Benchmarks Index Score (Partial Only)                         1234.5\n";
        assert_eq!(told(&of(Medium::UnixBench, score).unwrap()), ["index: 1234.5 "]);
        let lmbench = "Simple syscall: 0.0712 microseconds\n8.00 9876.54\n";
        assert_eq!(
            told(&of(Medium::Lmbench, lmbench).unwrap()),
            ["system call: 0.0712 us", "memory copied: 9876.54 MB/s"]
        );
        let mut built = recorded("");
        built.err = "real 81.25\nuser 150.10\nsys 9.00\n".into();
        assert_eq!(told(&Medium::Kernbench.figures(&built).unwrap()), ["build: 81.25 s"]);
        assert!(of(Medium::BurnInTest, "TEST RUN PASSED").is_ok());
        let failed = of(Medium::BurnInTest, "CPU: 3 errors\nTEST RUN FAILED\n").unwrap_err();
        assert_eq!(failed.blame(), Some(xenrt::Blame::Product));
        let csv = "ALL,All,4 KiB random,1,1,1,2500.5,1250.2,1250.3,9.767578,4.8,4.9\n";
        assert_eq!(
            told(&of(Medium::IoMeter, csv).unwrap()),
            ["operations: 2500.5 /s", "throughput: 9.767578 MB/s"]
        );
        let prime = "Self-test 8K passed!\nSelf-test 10K passed!\n";
        assert_eq!(told(&of(Medium::Prime95, prime).unwrap()), ["passed self-tests: 2 "]);
        assert!(of(Medium::Prime95, "FATAL ERROR: Rounding was 0.5\n").is_err());
        for medium in [
            Medium::UnixBench,
            Medium::Lmbench,
            Medium::BurnInTest,
            Medium::IoMeter,
            Medium::Prime95,
        ] {
            let error = of(medium, "what?").unwrap_err();
            assert!(error.to_string().contains("cannot understand"), "{error}");
        }
    }

    #[tokio::test]
    async fn one_that_is_not_there_is_skipped_with_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let shell = LocalShell::new();
        let own = Supplied::new(Medium::Lmbench, Some(folder.path().to_owned()));
        let error = own.install(&shell).await.unwrap_err();
        assert!(error.to_string().contains("no lmbench.tar.gz"), "{error}");
        let error = Supplied::new(Medium::BurnInTest, None).install(&shell).await.unwrap_err();
        assert!(error.to_string().contains("C:\\xenrt\\burnintest\\bit.exe"), "{error}");
    }
}
