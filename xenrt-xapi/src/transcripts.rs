//! Outputs that were recorded from a real xapi: each is understood, and the double prints it too.
//!
//! The records are not part of this repository; where they are not beside it, these tests say so
//! and do nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::parse::{self, Value};
use crate::xe::{Ran, XeCommand, understand};

/// One recorded command.
pub(crate) struct Transcript {
    /// `278-vm-start-already`
    pub(crate) name: String,
    /// The shell line that was recorded.
    #[cfg(feature = "double")]
    pub(crate) line: String,
    /// The words after `xe`; nothing where the recorded line was more than one `xe`.
    pub(crate) words: Option<Vec<String>>,
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The folder of the records: the environment says it, or it is beside the checkout.
fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/xe");
    let folder = std::env::var_os("XENRT_XE_TRANSCRIPTS").unwrap_or_else(|| beside.into());
    Some(PathBuf::from(folder)).filter(|folder| folder.join("errors.json").exists())
}

/// All records in order; nothing, said aloud, where they are not there.
pub(crate) fn all() -> Option<Vec<Transcript>> {
    let Some(folder) = folder() else {
        eprintln!(
            "skipped: there are no recorded outputs (XENRT_XE_TRANSCRIPTS names their folder)"
        );
        return None;
    };
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    files.sort();
    assert!(files.len() > 300, "only {} recorded outputs", files.len());
    Some(files.iter().filter_map(|file| read(file)).collect())
}

fn read(file: &Path) -> Option<Transcript> {
    let text = std::fs::read_to_string(file).unwrap();
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    let (head, rest) = text.split_once("--- stdout ---\n")?;
    let (stdout, stderr) = rest.rsplit_once("--- stderr ---\n").unwrap_or((rest, ""));
    let (line, status) = head.rsplit_once("exit: ")?;
    let status = status.split_whitespace().next()?.parse().ok()?;
    let line = line.strip_prefix("$ ")?.trim_end_matches('\n');
    // What follows far behind is a remark.
    let line = line.split_once("        (").map_or(line, |(line, _)| line);
    Some(Transcript {
        name,
        #[cfg(feature = "double")]
        line: line.to_owned(),
        words: command(line),
        status,
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    })
}

/// The words after `xe` of a shell line that is one command of it; nothing for anything else.
pub(crate) fn command(line: &str) -> Option<Vec<String>> {
    let words = words(line)?;
    let (first, rest) = words.split_first()?;
    (first == "xe").then(|| rest.to_vec())
}

/// The words of a shell line that is one command; nothing for anything else.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(end)) if c == end => quote = None,
            ('$' | '`', Some('"') | None) | (';' | '|' | '&' | '(' | '>', None) => return None,
            ('\\', Some('"') | None) => word.get_or_insert_default().push(chars.next()?),
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// What a record means, in a line for each thing.
fn meaning(transcript: &Transcript, words: &[String]) -> String {
    let Some(name) = words.first() else { return "no command".to_owned() };
    let ran = Ran {
        status: transcript.status,
        stdout: transcript.stdout.clone(),
        stderr: transcript.stderr.clone(),
    };
    let output = match understand(&XeCommand::new(name.as_str()), ran) {
        Ok(output) => output,
        Err(error) => return format!("{:?} {error}", error.kind()),
    };
    let short = |text: &str| {
        let text = text.escape_debug().to_string();
        let cut = text.floor_char_boundary(60);
        if cut < text.len() { format!("{}...", &text[..cut]) } else { text }
    };
    let minimal = words.iter().any(|word| word == "--minimal");
    let mut shown = String::new();
    if minimal {
        for value in parse::minimal(&output).unwrap() {
            let _ = write!(shown, "[{}] ", short(&value));
        }
        return format!("minimal {}", shown.trim_end());
    }
    if name.ends_with("-param-get") {
        return match parse::single(&output) {
            Value::Text(text) => format!("value \"{}\"", short(text)),
            other => format!("{other:?}"),
        };
    }
    if name == "help" && words.len() > 1 {
        return match parse::command_help(&output).unwrap() {
            Some(help) => format!("{} {:?} {:?}", help.name, help.required, help.optional),
            None => "unknown command".to_owned(),
        };
    }
    if name.ends_with("-list") && !matches!(name.as_str(), "vm-disk-list" | "vm-cd-list") {
        let mut count = 0;
        for record in parse::records(&output) {
            let record = record.unwrap();
            count += 1;
            // Large outputs tell nothing more with every record.
            if count > 3 {
                continue;
            }
            for field in &record.fields {
                let kind = format!("{:?} {:?}", field.kind, field.access);
                let value = Value::of(field.value);
                let value = match value {
                    Value::Text(text) => format!("\"{}\"", short(text)),
                    other => format!("{other:?}"),
                };
                let _ = write!(shown, "\n    {} {kind} {value}", field.name);
            }
            shown.push_str("\n    --");
        }
        return format!("{count} records{shown}");
    }
    if name.starts_with("diagnostic-gc") {
        return format!("{} rows", parse::table(&output).unwrap().len());
    }
    let creates =
        ["-create", "-install", "-clone", "-copy", "-snapshot", "-checkpoint", "-introduce"];
    if creates.iter().any(|end| name.ends_with(end)) && name != "message-create" {
        return format!("made {:?}", parse::created_all(&output).unwrap().len());
    }
    format!("done {}", short(&output))
}

#[test]
fn every_recorded_output_is_understood() {
    let Some(transcripts) = all() else { return };
    let mut shown = String::new();
    let mut understood = 0;
    for transcript in &transcripts {
        // Lines of several commands are for the double; see there.
        let Some(words) = &transcript.words else { continue };
        understood += 1;
        let _ = writeln!(shown, "{}: {}", transcript.name, meaning(transcript, words));
    }
    assert!(understood > 270, "only {understood} were understood");
    insta::assert_snapshot!(shown);
}
