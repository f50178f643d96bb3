//! `check`: every problem of sequence files.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use miette::GraphicalReportHandler;
use xenrt::sequence::{Diagnostic, SequenceError, Severity};

use crate::reading::Reading;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Sequence files, and folders with `*.seq` files in them at any depth
    #[arg(required = true, value_name = "FILE|FOLDER")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// One line for each problem, without the line of the file that it is in
    #[arg(long)]
    short: bool,
    /// Tell errors alone
    #[arg(long)]
    no_warnings: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match check(arguments, &mut anstream::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads has seen enough, such as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all are right.
fn check(arguments: &Arguments, out: &mut dyn io::Write) -> io::Result<bool> {
    let files = sequence_files(&arguments.files)?;
    let (mut ok, mut warnings) = (0_usize, 0_usize);
    let mut out = io::BufWriter::new(out);
    for file in &files {
        let result = arguments.reading.options(file).read(file);
        let told = match &result {
            Ok(sequence) => &sequence.warnings[..],
            Err(error) => error.diagnostics(),
        };
        for problem in told {
            warnings += usize::from(problem.severity() == Severity::Warning);
            if problem.severity() == Severity::Error || !arguments.no_warnings {
                show(problem, arguments.short, &mut out)?;
            }
        }
        match result {
            Ok(_) => ok += 1,
            Err(error @ SequenceError::Read { .. }) => {
                let cause = std::error::Error::source(&error);
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                writeln!(out, "{}: {error}{cause}", file.display())?;
            }
            Err(_) => {}
        }
    }
    let failed = files.len() - ok;
    writeln!(out, "{} files, {ok} ok, {failed} failed", files.len())?;
    if warnings > 0 && arguments.no_warnings {
        writeln!(out, "{warnings} warnings are not shown")?;
    }
    out.flush()?;
    Ok(failed == 0)
}

fn show(problem: &Diagnostic, short: bool, out: &mut dyn io::Write) -> io::Result<()> {
    if short || problem.severity() == Severity::Warning {
        return writeln!(out, "{problem}");
    }
    let mut text = String::new();
    let report = problem.clone().into_report();
    match GraphicalReportHandler::new().render_report(&mut text, &report) {
        Ok(()) => writeln!(out, "{problem}\n{text}"),
        Err(_) => writeln!(out, "{problem}"),
    }
}

/// The files themselves, and those in the folders, in the order of their names.
pub(crate) fn sequence_files(given: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        if path.is_dir() {
            let mut inside = Vec::new();
            below(path, &mut inside, 0)?;
            inside.sort();
            files.extend(inside);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn below(folder: &Path, files: &mut Vec<PathBuf>, depth: usize) -> io::Result<()> {
    // A link to a folder above would lead round and round.
    const DEEPEST: usize = 32;
    if depth > DEEPEST {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            below(&path, files, depth + 1)?;
        } else if path.extension().is_some_and(|extension| extension == "seq") {
            files.push(path);
        }
    }
    Ok(())
}
