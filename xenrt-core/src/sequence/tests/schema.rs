//! The schemas that the project keeps are those of the vocabulary, and agree with the parser.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::originals::real_files;
use super::*;

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema").join(name)
}

/// With `XENRT_UPDATE_SCHEMA` set they are written instead.
#[test]
fn the_schemas_are_up_to_date() {
    for (name, text) in [("sequence.xsd", xsd()), ("prepare.schema.json", json_schema())] {
        let path = kept(name);
        if std::env::var_os("XENRT_UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            known == text,
            "docs/schema/{name} is not that of the vocabulary; run this test with \
             XENRT_UPDATE_SCHEMA=1"
        );
    }
}

#[test]
fn the_json_schema_is_whole() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).unwrap();
    let definitions = schema["$defs"].as_object().unwrap();
    for (name, definition) in definitions {
        assert!(definition["properties"].is_object(), "{name} is referred to and not there");
    }
    for name in ["Prepare", "Pool", "Host", "Vm", "Topology", "Physical"] {
        assert!(definitions.contains_key(name), "{name}");
    }
    assert!(definitions["Host"]["properties"]["product_version"].is_object());
}

/// Whether `xmllint` finds each file valid; `None` where there is no such program.
fn validate(files: &[PathBuf]) -> Option<Vec<bool>> {
    let mut valid = Vec::new();
    for some in files.chunks(500) {
        let output = Command::new("xmllint")
            .args(["--noout", "--nonet", "--schema"])
            .arg(kept("sequence.xsd"))
            .args(some)
            .output()
            .ok()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!told.contains("failed to compile"), "{told}");
        for file in some {
            let name = file.display().to_string();
            let line = |end: &str| told.lines().any(|line| line == format!("{name} {end}"));
            let ok = line("validates");
            assert!(ok || told.contains(&name), "nothing is said of {name}");
            valid.push(ok);
        }
    }
    Some(valid)
}

/// Whether the parser finds a file right as far as a schema can know: words, where they stand, and
/// what values look like.
fn grammatical(text: &str) -> Option<bool> {
    let Err(error) = parse(text, "x.seq") else { return Some(true) };
    let kinds: BTreeSet<DiagnosticKind> = error
        .diagnostics()
        .iter()
        .filter(|problem| problem.severity() == Severity::Error)
        .map(Diagnostic::kind)
        .collect();
    let of_grammar = [
        DiagnosticKind::UnknownElement,
        DiagnosticKind::UnknownAttribute,
        DiagnosticKind::MisplacedElement,
        DiagnosticKind::UnexpectedText,
    ];
    if of_grammar.iter().any(|kind| kinds.contains(kind)) {
        return Some(false);
    }
    // Of a value that is not right or missing, the schema may know or not.
    let unclear = [
        // A document type is XML, and refused all the same.
        DiagnosticKind::MalformedXml,
        DiagnosticKind::InvalidValue,
        DiagnosticKind::Missing,
    ];
    if unclear.iter().any(|kind| kinds.contains(kind)) { None } else { Some(true) }
}

#[test]
fn the_xml_schema_agrees_with_the_parser() {
    let folder = tempfile::tempdir().unwrap();
    let mut texts: Vec<String> = vec![WHOLE.to_owned()];
    // A schema cannot say that elements of any name have no attributes.
    let known = WRONG.iter().filter(|(name, _)| *name != "attribute_of_a_variable");
    texts.extend(known.map(|(_, text)| (*text).to_owned()));
    // One of each word, as the vocabulary has it, and each with something that it does not have.
    texts.extend(vocabulary_files());
    if let Some(files) = real_files() {
        texts.extend(files.iter().map(|file| std::fs::read_to_string(file).unwrap()));
    }
    let files: Vec<PathBuf> =
        (0..texts.len()).map(|number| folder.path().join(format!("{number:05}.seq"))).collect();
    for (file, text) in files.iter().zip(&texts) {
        std::fs::write(file, text).unwrap();
    }
    let Some(valid) = validate(&files) else {
        eprintln!("skipped: there is no xmllint (Debian's libxml2-utils)");
        return;
    };
    let (mut right, mut wrong) = (0, 0);
    for (text, valid) in texts.iter().zip(valid) {
        if let Some(expected) = grammatical(text) {
            assert_eq!(valid, expected, "the schema says {valid}, the parser {expected}: {text}");
            if expected { right += 1 } else { wrong += 1 }
        }
    }
    assert!(right > 60 && wrong > 100, "{right} right and {wrong} wrong files are too few");
}

/// A file for each element with all of its attributes, and the same with one that is not known, and
/// with an element that is not known in it.
fn vocabulary_files() -> Vec<String> {
    use vocabulary::{Content, Kind, Word};
    fn value(kind: Kind) -> String {
        match kind {
            Kind::Free | Kind::Text => "a".into(),
            Kind::Flag => "yes".into(),
            Kind::Number(least, _) => least.max(1).to_string(),
            Kind::Decimal => "1.5".into(),
            Kind::Duration => "90s".into(),
            Kind::Words(words) => words[0].into(),
            Kind::Storage => "nfs".into(),
            Kind::Product => "kvm".into(),
            Kind::Abilities => "pv,suspend".into(),
            Kind::Address => "10.0.0.1/8".into(),
            Kind::Speed => "10G".into(),
        }
    }
    fn open(word: Word, all: bool, more: &str) -> String {
        let attributes: String = word
            .attributes()
            .filter(|attribute| all || attribute.required)
            .map(|attribute| format!(" {}=\"{}\"", attribute.name.name(), value(attribute.kind)))
            .collect();
        format!("<{}{attributes}{more}>", word.tag().name())
    }
    let mut files = Vec::new();
    for word in Word::ALL {
        // The way from the root.
        let mut way = vec![*word];
        while let Some(parent) = way.last().and_then(|word| word.parents().next()) {
            way.push(parent);
        }
        way.reverse();
        let around: String =
            way[..way.len() - 1].iter().map(|word| open(*word, false, "")).collect();
        let close: String = way[..way.len() - 1]
            .iter()
            .rev()
            .map(|word| format!("</{}>", word.tag().name()))
            .collect();
        let text = match word.content() {
            Content::Text(kind) | Content::Optional(kind) => value(kind),
            _ => String::new(),
        };
        let end = format!("</{}>", word.tag().name());
        for (all, more, inside) in [
            (true, "", text.as_str()),
            (false, "", text.as_str()),
            (true, " unheard=\"of\"", text.as_str()),
            (true, "", "<unheard/>"),
            (true, "", "<xenrt/>"),
        ] {
            files.push(format!("{around}{}{inside}{end}{close}", open(*word, all, more)));
        }
    }
    files
}
