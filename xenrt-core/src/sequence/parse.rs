//! The ways into this module: a text or a file into a sequence.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, DiagnosticKind, SequenceError, Severity};
use super::reader::Reader;
use super::source::Source;
use super::xml::{self, Element};
use super::{Block, Node, Sequence, vocabulary};

/// A text into a sequence. `file_name` is what the diagnostics call it; nothing is read.
///
/// ```
/// use xenrt_core::sequence::parse;
///
/// let sequence = parse(
///     r#"<xenrt>
///          <prepare><host id="0"><vm name="tiny"/></host></prepare>
///          <testsequence><testcase id="lifecycle.reboot" guest="tiny"/></testsequence>
///        </xenrt>"#,
///     "reboot.seq",
/// )?;
/// assert_eq!(sequence.prepare.hosts[0].guests[0].name, "tiny");
///
/// let error = parse("<xenrt>\n  <testsequense/>\n</xenrt>", "typo.seq").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "typo.seq:2:3: unknown element <testsequense> in <xenrt>; \
///      expected <variables>, <prepare> or <testsequence>; did you mean <testsequence>?"
/// );
/// # Ok::<(), xenrt_core::sequence::SequenceError>(())
/// ```
///
/// # Errors
/// [`SequenceError::Invalid`] with *all* problems of the text; where it is not even XML, with the
/// place where it ceases to be.
pub fn parse(text: &str, file_name: &str) -> Result<Sequence, SequenceError> {
    parse_with(text, file_name, &BTreeMap::new())
}

/// As [`parse`], with variables from outside: they win over those that the file defines, as the
/// original's `-D NAME=VALUE` did.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(
    text: &str,
    file_name: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Sequence, SequenceError> {
    sequence(&Arc::new(Source::new(file_name, text)), variables)
}

/// Reads a sequence file. The whole file is read at once, as this thread waits.
///
/// # Errors
/// [`SequenceError::Read`] where it cannot be read; as [`parse_with`].
pub fn read(path: &Path, variables: &BTreeMap<String, String>) -> Result<Sequence, SequenceError> {
    let file = path.display().to_string();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(SequenceError::Read { file, source }),
    };
    match String::from_utf8(bytes) {
        Ok(text) => sequence(&Arc::new(Source::new(file, text)), variables),
        Err(error) => {
            // What stands before the first wrong byte has the same length in both texts.
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = Arc::new(Source::new(file, text));
            let problem = Diagnostic::new(
                &source,
                DiagnosticKind::MalformedXml,
                &(at..at + 1),
                "this byte is not UTF-8",
            );
            Err(invalid(&source, vec![problem.help("save the file as UTF-8")]))
        }
    }
}

fn invalid(source: &Source, diagnostics: Vec<Diagnostic>) -> SequenceError {
    SequenceError::Invalid { file: source.file().to_owned(), diagnostics }
}

fn sequence(
    source: &Arc<Source>,
    given: &BTreeMap<String, String>,
) -> Result<Sequence, SequenceError> {
    let root = xml::read(source).map_err(|problem| invalid(source, vec![*problem]))?;
    let mut reader = Reader::new(source, given, &root);
    if root.name != vocabulary::root().name {
        let problem = reader
            .problem(
                DiagnosticKind::UnknownElement,
                &root.at,
                format!("the root element is <{}>", root.name),
            )
            .help("expected <xenrt>");
        return Err(invalid(source, vec![problem]));
    }
    let children = reader.enter(&root, vocabulary::root());
    let named = |name: &'static str| children.iter().filter(move |(_, word)| word.name == name);

    let mut defined = Vec::new();
    for (element, _) in named("variables") {
        defined.append(&mut define_variables(&mut reader, element));
    }
    settle_variables(&mut reader, &defined);

    let mut prepares = named("prepare").map(|(element, _)| *element);
    let prepare = prepares.next().map(|first| {
        for second in prepares {
            let problem =
                reader.problem(DiagnosticKind::Duplicate, &second.at, "a second <prepare>");
            let problem = problem.help("put all of it into one").see(&first.at, "the first is");
            reader.push(problem);
        }
        reader.prepare(first)
    });

    let mut blocks: Vec<Block> =
        named("testsequence").map(|(element, word)| reader.root_block(element, word)).collect();
    let tests = match blocks.len() {
        0 | 1 => blocks.pop(),
        // One after the other, in the order of the file.
        _ => Some(Block {
            place: blocks[0].place,
            steps: blocks.into_iter().map(Node::Block).collect(),
            ..Block::default()
        }),
    };

    let variables = reader.variables.settled();
    let diagnostics = reader.finish();
    if diagnostics.iter().any(|problem| problem.severity() == Severity::Error) {
        return Err(invalid(source, diagnostics));
    }
    Ok(Sequence {
        file: source.file().to_owned(),
        variables,
        semaphores: BTreeMap::new(),
        prepare: prepare.unwrap_or_default(),
        tests,
        warnings: diagnostics,
        ..Sequence::default()
    })
}

/// The definitions of one `<variables>`, as they stand, in the order of the file.
fn define_variables<'e, 't>(
    reader: &mut Reader<'_>,
    variables: &'e Element<'t>,
) -> Vec<(String, &'e Element<'t>)> {
    for text in variables.texts() {
        let problem =
            reader.problem(DiagnosticKind::UnexpectedText, &text.at, "text in <variables>");
        reader.push(problem.help("expected <NAME>value</NAME>"));
    }
    let mut defined = Vec::new();
    for child in variables.elements() {
        define(reader, child, child.name.to_owned(), &mut defined);
    }
    defined
}

fn define<'e, 't>(
    reader: &mut Reader<'_>,
    element: &'e Element<'t>,
    name: String,
    defined: &mut Vec<(String, &'e Element<'t>)>,
) {
    if let Some(attribute) = element.attributes.first() {
        let message = format!("the variable <{name}> has an attribute");
        let problem = reader.problem(DiagnosticKind::UnknownAttribute, &attribute.name_at, message);
        reader.push(problem.help("expected <NAME>value</NAME>"));
    }
    let mut texts = element.texts();
    if let Some(first) = texts.next() {
        if let Some(second) = texts.next() {
            let message = format!("the variable <{name}> has more than one text");
            let problem = reader.problem(DiagnosticKind::Duplicate, &second.at, message);
            reader.push(problem.help("give it one").see(&first.at, "the first is"));
        }
        if !reader.variables.define(name.clone(), first.text.into_owned()) {
            let message = format!("the variable <{name}> is defined again");
            let problem = reader.problem(DiagnosticKind::Duplicate, &element.at, message);
            reader.push(problem.warning().help("this definition counts; remove the other"));
        }
        defined.push((name.clone(), element));
    }
    for child in element.elements() {
        define(reader, child, format!("{name}/{}", child.name), defined);
    }
}

/// Tells the problems of variables where they are defined, once, and not at each use.
fn settle_variables(reader: &mut Reader<'_>, defined: &[(String, &Element<'_>)]) {
    for (name, element) in defined {
        if reader.variables.is_given(name) {
            continue;
        }
        for text in element.texts() {
            if !reader.expand(&text).settled {
                reader.variables.mark_broken(name);
            }
        }
    }
}
