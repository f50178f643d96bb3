//! How fast sequence files are parsed: `cargo run --release -p xenrt-core --example
//! parse_sequences -- FOLDER`.
//!
//! All files of the folder are read first, and parsed several times; the best round counts.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use xenrt_core::sequence::parse;

const ROUNDS: u32 = 10;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: parse_sequences FOLDER");
        return ExitCode::FAILURE;
    };
    let texts = match read(&folder) {
        Ok(texts) if !texts.is_empty() => texts,
        Ok(_) => {
            eprintln!("{} has no files that end with .seq", folder.display());
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("cannot read {}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    let bytes: usize = texts.iter().map(String::len).sum();
    let mut best = Duration::MAX;
    let mut loaded = 0;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        loaded = texts.iter().filter(|text| parse(text, "file.seq").is_ok()).count();
        best = best.min(started.elapsed());
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let speed = bytes as f64 / best.as_secs_f64() / 1e6;
    println!(
        "{} files, {bytes} bytes, {loaded} load: {:.1} ms, {speed:.0} MB/s",
        texts.len(),
        best.as_secs_f64() * 1e3
    );
    ExitCode::SUCCESS
}

fn read(folder: &PathBuf) -> std::io::Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "seq") {
            texts.push(std::fs::read_to_string(path)?);
        }
    }
    Ok(texts)
}
