//! One test of the library, by its id: by default in the virtual lab, with `--lab FILE` on your hosts.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use miette::IntoDiagnostic as _;
use xenrt::sequencer::{RunOrigin, SequenceOrigin};
use xenrt::testcase::{Registry, TestDescriptor};
use xenrt_examples::{PlaceArgs, ReportArgs, RunArgs, Source, log_to_stderr, run_source};
// Linking the library of tests puts all of them into this program's registry.
use xenrt_testcases as _;

/// Runs one test of the library, or lists them.
///
/// Exit codes: 0 passed, 1 failed, 2 bad usage or input, 3 errored, 4 the preparation failed, 5 nothing
/// was run, 130 cancelled.
#[derive(Parser)]
#[command(after_help = "Examples:
  testcase list                                 every test
  testcase list migration                       those with this word in their id, tags or legacy ids
  testcase lifecycle.reboot loops=3             in the virtual lab
  testcase migration.migrate --lab lab.toml     on hosts of yours
  testcase show lifecycle.reboot                what it does and which arguments it takes")]
struct Arguments {
    /// The id of a test (or its id in old sequences); or `list`, or `show`
    #[arg(value_name = "ID|list|show")]
    what: String,

    /// Arguments of the test; for `list` a word, for `show` an id
    #[arg(value_name = "NAME=VALUE|WORD")]
    values: Vec<String>,

    /// A guest of an image of the lab is prepared and given to the test, instead of one of its own
    #[arg(long, value_name = "IMAGE")]
    with_guest: Option<String>,

    /// Run in the virtual lab, which is what is done without `--lab`
    #[arg(long = "virtual", conflicts_with = "lab", help_heading = "Where")]
    in_virtual_lab: bool,

    /// Where the hosts come from.
    #[command(flatten)]
    place: PlaceArgs,

    /// Print what would be run, touch nothing, and stop
    #[arg(long)]
    dry_run: bool,

    /// Leave hosts and guests for a look when the test did not pass, and say how to get in
    #[arg(long, help_heading = "Afterwards")]
    keep: bool,

    /// Which reports are written besides those in the folder of the run.
    #[command(flatten)]
    reports: ReportArgs,

    /// Put journal, reports and evidence into this folder [default: runs/DATE-TIME]
    #[arg(long, value_name = "DIR", help_heading = "Afterwards")]
    out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match carry_out(Arguments::parse()).await {
        Ok(code) => code,
        Err(report) => {
            anstream::eprintln!("{report:?}");
            xenrt::sequencer::ExitCode::Usage.into()
        }
    }
}

async fn carry_out(arguments: Arguments) -> miette::Result<ExitCode> {
    let registry = Registry::global().into_diagnostic()?;
    match arguments.what.as_str() {
        "list" => {
            let found = list(&registry, &arguments.values);
            if found.is_empty() {
                miette::bail!(
                    "no test has {:?} in it; `list` alone shows all",
                    arguments.values.join(" ")
                );
            }
            anstream::print!("{found}");
            return Ok(ExitCode::SUCCESS);
        }
        "show" => {
            let [id] = arguments.values.as_slice() else {
                miette::bail!("`show` takes one id");
            };
            anstream::print!("{}", show(registry.find(id).into_diagnostic()?));
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    log_to_stderr();
    let test = registry.find(&arguments.what).into_diagnostic()?;
    let text = sequence_of(test, &arguments.values, arguments.with_guest.as_deref())?;
    let sequence = xenrt::sequence::parse(&text, "(one test)")
        .map_err(xenrt::sequence::SequenceError::into_report)?;
    let origin = Some(SequenceOrigin::new(None, text));
    let origin = RunOrigin { sequence: origin, ..RunOrigin::default() };
    let run = RunArgs {
        place: arguments.place,
        dry_run: arguments.dry_run,
        keep: arguments.keep,
        reports: arguments.reports,
        out: arguments.out,
        ..RunArgs::default()
    };
    Ok(run_source(Source { sequence, origin }, run).await?.into())
}

/// A line for each test that has all the words, with its legacy ids below it.
fn list(registry: &Registry, words: &[String]) -> String {
    let mut text = String::new();
    for test in registry {
        let about = format!("{} {} {}", test.id, test.tags.join(" "), test.legacy.join(" "));
        let about = about.to_lowercase();
        if !words.iter().all(|word| about.contains(&word.to_lowercase())) {
            continue;
        }
        let first = summary(test.description);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<34} {first}", test.id);
        for legacy in test.legacy {
            let _ = writeln!(text, "{:<34}   also {legacy}", "");
        }
    }
    text
}

/// What the first sentence says before it explains itself.
fn summary(description: &str) -> String {
    let first = description.split("\n\n").next().unwrap_or_default();
    let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = first.char_indices().find(|(at, c)| {
        let mut after = first[at + c.len_utf8()..].chars();
        let pause = after.next() == Some(' ');
        match c {
            ':' | ';' => pause,
            // An ellipsis in the middle of a sentence does not end it.
            '.' => pause && after.next().is_some_and(char::is_uppercase),
            _ => false,
        }
    });
    let end = end.map_or(first.len(), |(at, _)| at);
    first[..end].trim_end_matches('.').to_owned()
}

/// All that there is to know of a test.
fn show(test: &TestDescriptor) -> String {
    let mut text = format!("{}\n\n{}\n\n", test.id, test.description);
    let mut needs: Vec<String> = test.requires.abilities.iter().map(ToString::to_string).collect();
    needs.insert(0, format!("hosts: {}", test.requires.hosts));
    let lines = [
        ("needs", needs.join(", ")),
        ("tags", test.tags.join(", ")),
        ("in old sequences", test.legacy.join(", ")),
        ("time", test.timeout.map(|time| format!("{time:?} at the most")).unwrap_or_default()),
        ("written in", format!("{}:{}", test.file, test.line)),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "{name}: {value}");
    }
    text
}

/// A sequence with as many hosts as the test needs, and the test.
fn sequence_of(
    test: &TestDescriptor,
    values: &[String],
    with_guest: Option<&str>,
) -> miette::Result<String> {
    let mut arguments = String::new();
    for value in values {
        if !value.contains('=') {
            miette::bail!("{value:?} is not an argument of a test; expected NAME=VALUE");
        }
        let _ = write!(arguments, "<arg>{}</arg>", escaped(value));
    }
    let guest = with_guest.map_or_else(String::new, |image| {
        format!("<vm name=\"subject\"><distro>{}</distro></vm>", escaped(image))
    });
    let hosts: String = (0..test.requires.hosts)
        .map(|number| match number {
            0 => format!("<host id=\"0\">{guest}</host>"),
            _ => format!("<host id=\"{number}\"/>"),
        })
        .collect();
    let named = if with_guest.is_some() { " guest=\"subject\"" } else { "" };
    Ok(format!(
        "<xenrt>\n  <prepare>{hosts}</prepare>\n  <testsequence>\n    <testcase id=\"{}\"{named}>{arguments}\
         </testcase>\n  </testsequence>\n</xenrt>\n",
        test.id
    ))
}

/// As text in XML; `$` and `%` stand for variables in a sequence.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        Registry::global().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_test_can_be_run_by_its_id() {
        for test in &registry() {
            for guest in [None, Some("generic-linux")] {
                let values = ["how=\"a\" & <b>".to_owned()];
                let text =
                    sequence_of(test, &values, guest).unwrap_or_else(|error| panic!("{error}"));
                let sequence = xenrt::sequence::parse(&text, "one.seq")
                    .unwrap_or_else(|error| panic!("{}: {error}", test.id));
                let hosts = sequence.prepare.machines() as usize;
                assert_eq!(hosts, test.requires.hosts, "{text}");
            }
        }
    }

    #[test]
    fn a_list_is_narrowed_by_words_and_old_ids_are_found() {
        let registry = registry();
        let told = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            list(&registry, &words)
        };
        assert!(told(&["tcreboot"]).starts_with("lifecycle.reboot "));
        assert!(told(&["migration", "refusal"]).contains("migration.no_room"));
        assert_eq!(told(&["nothing-of-the-kind"]), "");
        let shown = "A guest has 1, 2, ... vCPUs; each time it\nsays so. More.\n\nArguments: none";
        assert_eq!(summary(shown), "A guest has 1, 2, ... vCPUs");
    }

    #[test]
    fn what_is_no_argument_is_refused() {
        let registry = registry();
        let test = registry.find("lifecycle.reboot").unwrap_or_else(|error| panic!("{error}"));
        let refused =
            sequence_of(test, &["loops".to_owned()], None).map_err(|error| error.to_string());
        assert_eq!(
            refused.err().as_deref(),
            Some("\"loops\" is not an argument of a test; expected NAME=VALUE")
        );
    }
}
