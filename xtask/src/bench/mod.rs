//! `cargo xtask bench`: ours and its peers, alternating in one run, as ratios.

#[cfg(feature = "libvirt")]
mod libvirt;
mod noop;
mod seqfile;
mod shell;
mod sim;
mod table;
mod xe;

use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use table::Row;

/// What a chore that fails gives.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which benchmarks; all where none is named.
    #[arg(value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(NAMES))]
    names: Vec<String>,
    /// Also writes the rows to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often each side is measured; the median counts.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(5..))]
    rounds: u16,
}

const NAMES: [&str; 7] =
    ["noop", "shell-seq", "shell-par8", "seqfile", "sim", "xe-calls", "libvirt-verbs"];

/// Measures, in a release build.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    if cfg!(debug_assertions) {
        return again_in_release();
    }
    let mut rows = Vec::new();
    for name in NAMES {
        if !arguments.names.is_empty() && !arguments.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        anstream::eprintln!("measuring {name}");
        rows.extend(match name {
            "noop" => {
                let mut rows = noop::run(arguments.rounds.into())?;
                rows.extend(noop::sizes(arguments.rounds.into())?);
                rows
            }
            "shell-seq" => shell::run(name, 1, arguments.rounds.into())?,
            "shell-par8" => shell::run(name, 8, arguments.rounds.into())?,
            "seqfile" => seqfile::run(arguments.rounds.into())?,
            "sim" => sim::run(arguments.rounds.into())?,
            "xe-calls" => xe::run(arguments.rounds.into())?,
            #[cfg(feature = "libvirt")]
            "libvirt-verbs" => libvirt::run(arguments.rounds.into())?,
            #[cfg(not(feature = "libvirt"))]
            "libvirt-verbs" => vec![Row {
                name: name.to_owned(),
                unit: "verbs/s".to_owned(),
                ours: f64::NAN,
                peer: "libvirt-python".to_owned(),
                peer_value: None,
                ratio: None,
                note: "not measured: libvirt's C library is missing (Debian: libvirt-dev)"
                    .to_owned(),
            }],
            _ => return Err(format!("the benchmark {name} is listed and not there").into()),
        });
    }
    table::print(&rows);
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One measurement in a process of its own.
pub(crate) fn noop_alone(tests: usize) -> Result<ExitCode, Error> {
    noop::alone(tests)?;
    Ok(ExitCode::SUCCESS)
}

/// A debug build measures nothing that anybody wants to know.
fn again_in_release() -> Result<ExitCode, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // What needs libvirt's C library is only built where that is.
    let library = std::path::Path::new("/usr/include/libvirt/libvirt.h").exists();
    let features: &[&str] = if library { &["--features", "libvirt"] } else { &[] };
    let status = std::process::Command::new(cargo)
        .args(["run", "--quiet", "--release", "--package", "xtask"])
        .args(features)
        .arg("--")
        .args(std::env::args_os().skip(1))
        .status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The middle of some measurements.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
