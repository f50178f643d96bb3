//! Programs that keep a guest busy, and what they say of it.

mod fio;
mod iperf;
mod stress_ng;

pub use fio::Fio;
pub use iperf::Iperf;
pub use stress_ng::StressNg;

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

    /// Has what it needs where `shell` leads to: looks for its programs, and installs Debian's package
    /// of the same name where one is missing and `apt-get` is there.
    ///
    /// # Errors
    /// A [skip](TestError::skip) that says what is missing where it cannot be had.
    async fn install(&self, shell: &dyn Shell) -> Result {
        for program in self.programs() {
            let look = Command::new("command").args(["-v", program]);
            if shell.succeeds(&look).await? {
                continue;
            }
            let apt = shell.succeeds(&Command::new("command").args(["-v", "apt-get"])).await?;
            let install = Command::new("apt-get").args(["install", "-y", "-q"]);
            let install = install.args(["--no-install-recommends", program]);
            let install = install.env("DEBIAN_FRONTEND", "noninteractive");
            let install = install.deadline(Duration::from_secs(900));
            if !apt || !shell.succeeds(&install).await? || !shell.succeeds(&look).await? {
                let (target, name) = (shell.target(), self.name());
                let reason = format!("{target} has no {program}, which the workload {name} needs");
                return Err(TestError::skip(reason));
            }
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

/// What a program printed that is not what it is known to print.
fn not_understood(what: &str, expected: &str, found: &str) -> TestError {
    let found = found.trim().chars().take(300).collect();
    xenrt::Error::UnexpectedOutput { what: what.to_owned(), expected: expected.to_owned(), found }
        .into()
}
