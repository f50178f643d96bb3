//! `resolve`: how many tests of sequence files there are in the library.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use xenrt::sequence::{Block, Node, Sequence};
use xenrt::testcase::Registry;

use crate::check::sequence_files;
use crate::reading::Reading;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Sequence files, and folders with `*.seq` files in them at any depth
    #[arg(required = true, value_name = "FILE|FOLDER")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// Show so many of the ids that are asked for most and are not there
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    missing: usize,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let registry = match Registry::global() {
        Ok(registry) => registry,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let files = match sequence_files(&arguments.files) {
        Ok(files) => files,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let (mut unread, mut whole, mut with_tests) = (0_usize, 0_usize, 0_usize);
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut missing: BTreeMap<String, usize> = BTreeMap::new();
    for file in &files {
        let Ok(sequence) = arguments.reading.options(file).read(file) else {
            unread += 1;
            continue;
        };
        let ids = tests(&sequence);
        with_tests += usize::from(!ids.is_empty());
        let mut all = !ids.is_empty();
        for id in ids {
            match registry.find(id) {
                Ok(test) => *known.entry(test.id).or_default() += 1,
                Err(_) => {
                    all = false;
                    *missing.entry(id.to_owned()).or_default() += 1;
                }
            }
        }
        whole += usize::from(all);
    }
    let (resolved, unresolved): (usize, usize) = (known.values().sum(), missing.values().sum());
    let share = 100.0 * resolved as f64 / (resolved + unresolved).max(1) as f64;
    anstream::println!(
        "{resolved} of {} tests are in the library ({share:.1} %); {whole} of {with_tests} sequences \
         consist of such tests alone; {unread} files could not be read",
        resolved + unresolved
    );
    for (title, counts) in [
        ("in the library", known.iter().map(|(id, count)| (*id, *count)).collect::<Vec<_>>()),
        ("not there", missing.iter().map(|(id, count)| (id.as_str(), *count)).collect()),
    ] {
        let mut counts = counts;
        counts.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
        if title == "not there" {
            counts.truncate(arguments.missing);
        }
        anstream::println!("{title}:");
        for (id, count) in counts {
            anstream::println!("  {count:>6}  {id}");
        }
    }
    ExitCode::SUCCESS
}

/// The ids of all tests of a sequence, in order, as often as they stand in it.
fn tests(sequence: &Sequence) -> Vec<&str> {
    fn below<'a>(block: &'a Block, ids: &mut Vec<&'a str>) {
        for step in &block.steps {
            match step {
                Node::Test(test) => ids.push(&test.id),
                Node::Block(block) => below(block, ids),
                Node::Action(_) => {}
            }
        }
        block.finally.iter().for_each(|block| below(block, ids));
    }
    let mut ids = Vec::new();
    sequence.tests.iter().for_each(|block| below(block, &mut ids));
    ids
}
