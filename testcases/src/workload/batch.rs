//! Workloads that are one command, and what it prints.

use std::fmt::Debug;

use xenrt::prelude::*;
use xenrt::remote::{ExitStatus, ProcessLine};

use super::{Figure, Workload};

/// What a command printed until it ended.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) status: ExitStatus,
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    /// An error of infrastructure for a program that could not do what it was told.
    pub(super) fn failed(&self, name: &str) -> TestError {
        let err = self.err.trim();
        let why = if err.is_empty() { self.out.trim() } else { err };
        let why: String = why.chars().take(300).collect();
        TestError::infrastructure(format!("{name} ended with {}: {why}", self.status))
    }

    /// The numbers that follow these words in a line, each up to the next white space.
    pub(super) fn number_after(&self, words: &str) -> Option<f64> {
        let line = self.out.lines().find_map(|line| line.trim().strip_prefix(words))?;
        number(line)
    }
}

/// The number that a text begins with: 12.5 of ` 12.5ms`.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].parse().ok().filter(|number: &f64| number.is_finite())
}

/// Runs a command to its end. Unlike [`Shell::execute`], whoever gives up waiting has it stopped.
pub(super) async fn carry_out(shell: &dyn Shell, command: &Command) -> Result<Said> {
    let process = shell.start(command).await?;
    let (mut out, mut err) = (String::new(), String::new());
    while let Some(line) = process.next_line().await {
        let (text, line) = match &line {
            ProcessLine::Stdout(line) => (&mut out, line),
            ProcessLine::Stderr(line) => (&mut err, line),
        };
        text.push_str(line);
        text.push('\n');
    }
    Ok(Said { status: process.wait().await?, out, err })
}

/// A workload that is one command.
pub(super) trait Batch: Send + Sync + Debug {
    /// See [`Workload::name`].
    const NAME: &'static str;
    /// See [`Workload::programs`].
    const PROGRAMS: &'static [&'static str];
    /// See [`Workload::packages`].
    const PACKAGES: &'static [(&'static str, &'static str)] = &[];

    /// The command.
    fn command(&self) -> Command;

    /// What it gave.
    fn figures(&self, said: &Said) -> Result<Vec<Figure>>;
}

#[async_trait]
impl<T: Batch> Workload for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn programs(&self) -> &'static [&'static str] {
        T::PROGRAMS
    }

    fn packages(&self) -> &'static [(&'static str, &'static str)] {
        T::PACKAGES
    }

    async fn run(&self, shell: &dyn Shell) -> Result<Vec<Figure>> {
        self.figures(&carry_out(shell, &self.command()).await?)
    }
}

/// What was recorded of a program that ended with 0.
#[cfg(test)]
pub(super) fn recorded(out: &str) -> Said {
    Said { status: ExitStatus::Code(0), out: out.to_owned(), err: String::new() }
}

/// Figures as people read them.
#[cfg(test)]
pub(super) fn told(figures: &[Figure]) -> Vec<String> {
    figures
        .iter()
        .map(|figure| format!("{}: {} {}", figure.name, figure.value, figure.unit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_their_units_begin() {
        assert_eq!(number(" 12.5ms"), Some(12.5));
        assert_eq!(number("7"), Some(7.0));
        assert_eq!([number("ms"), number(""), number("1.2.3"), number("-1")], [None; 4]);
    }
}
