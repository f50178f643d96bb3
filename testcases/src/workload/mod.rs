//! Programs that keep a guest busy, and what they say of it.
//!
//! A [`Workload`] is installed and run to its end, or [started](Running::start) beside others while a test
//! does something else. [`named`] makes one of a word, as arguments of tests have it.
//!
//! Left out, because Debian has no free package of them: netperf (iperf and iperf3 measure the same);
//! `UnixBench` and lmbench are for who [supplies](Supplied) them, and so are those that are sold.

mod batch;
mod dbench;
mod fio;
mod hackbench;
mod iperf;
mod iperf3;
mod memtester;
mod names;
mod pgbench;
mod postmark;
mod running;
mod stress_ng;
mod supplied;
mod sysbench;
mod web;

pub use dbench::Dbench;
pub use fio::Fio;
pub use hackbench::Hackbench;
pub use iperf::Iperf;
pub use iperf3::Iperf3;
pub use memtester::Memtester;
pub use names::{NAMES, Settings, named};
pub use pgbench::Pgbench;
pub use postmark::Postmark;
pub use running::Running;
pub use stress_ng::StressNg;
pub use supplied::{Medium, Supplied};
pub use sysbench::{Sysbench, SysbenchTest};
pub use web::Web;

use batch::{Batch, Said};
use xenrt::prelude::*;

/// One figure that a workload gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is of: `throughput`.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its unit: `Mbit/s`.
    pub unit: &'static str,
}

impl Figure {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit }
    }
}

/// A program that keeps a guest busy for a time and gives figures.
#[async_trait]
pub trait Workload: Send + Sync + std::fmt::Debug {
    /// Its name: `iperf`.
    fn name(&self) -> &'static str;

    /// The programs that must be where it runs.
    fn programs(&self) -> &'static [&'static str];

    /// The packages of Debian that have those of its [programs](Self::programs) that are not in a package
    /// of their own name.
    fn packages(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Has what it needs where `shell` leads to: looks for its programs, and installs Debian's package
    /// where one is missing and `apt-get` is there.
    ///
    /// # Errors
    /// A [skip](TestError::skip) that says what is missing where it cannot be had.
    async fn install(&self, shell: &dyn Shell) -> Result {
        for program in self.programs() {
            let other = self.packages().iter().find(|(own, _)| own == program);
            let package = other.map_or(*program, |(_, package)| *package);
            has_program(shell, program, package, self.name()).await?;
        }
        Ok(())
    }

    /// Runs it to its end and returns its figures.
    ///
    /// # Errors
    /// The product's where the program found something wrong; where it could not be run, or printed
    /// what is not understood.
    async fn run(&self, shell: &dyn Shell) -> Result<Vec<Figure>>;
}

/// Has `program` behind a shell, from this package where it must be installed.
async fn has_program(shell: &dyn Shell, program: &str, package: &str, name: &str) -> Result {
    let look = Command::new("command").args(["-v", program]);
    if shell.succeeds(&look).await? {
        return Ok(());
    }
    let apt = shell.succeeds(&Command::new("command").args(["-v", "apt-get"])).await?;
    let install = Command::new("apt-get").args(["install", "-y", "-q"]);
    let install = install.args(["--no-install-recommends", package]);
    let install = install.env("DEBIAN_FRONTEND", "noninteractive");
    let install = install.deadline(Duration::from_secs(900));
    if apt && shell.succeeds(&install).await? && shell.succeeds(&look).await? {
        return Ok(());
    }
    let target = shell.target();
    let reason = format!("{target} has no {program}, which the workload {name} needs");
    Err(TestError::skip(reason))
}

/// What a program printed that is not what it is known to print.
fn not_understood(what: &str, expected: &str, found: &str) -> TestError {
    let found = found.trim().chars().take(300).collect();
    xenrt::Error::UnexpectedOutput { what: what.to_owned(), expected: expected.to_owned(), found }
        .into()
}
