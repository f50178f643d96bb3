//! XML into a [`Tree`].

use std::ops::Range;
use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::errors::{Error as XmlError, IllFormedError};
use quick_xml::escape::{EscapeError, resolve_predefined_entity};
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use super::{AttributeNode, NodeId, Source, Span, TextNode, Tree, plain, refers};
use crate::sequence::Limits;
use crate::sequence::diagnostic::{Diagnostic, DiagnosticKind};
use crate::sequence::vocabulary::{Attr, Tag};

/// The tree of the text, or what is wrong with it as XML.
pub(in crate::sequence) fn read(
    source: &Arc<Source>,
    limits: &Limits,
) -> Result<Tree, Box<Diagnostic>> {
    match plain::read(source.text(), limits) {
        Some(tree) => Ok(tree),
        None => read_any(source, limits),
    }
}

/// The same without trying whether the text is plain.
pub(super) fn read_any(source: &Arc<Source>, limits: &Limits) -> Result<Tree, Box<Diagnostic>> {
    let text = source.text();
    let tree = Tree::for_bytes(text.len());
    Builder { source, text, limits, open: Vec::new(), tree, run: None }.read()
}

/// An element that is not closed yet.
struct Open {
    node: NodeId,
    last: Option<NodeId>,
    at: Span,
}

/// A text that may go on: references end a piece of it and not the text.
struct Run {
    at: Range<usize>,
    /// What it is, where it is not its bytes.
    own: Option<String>,
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    text: &'a str,
    limits: &'a Limits,
    open: Vec<Open>,
    tree: Tree,
    run: Option<Run>,
}

impl Builder<'_> {
    fn read(mut self) -> Result<Tree, Box<Diagnostic>> {
        // The reader drops a byte order mark and does not count it.
        let body = self.text.strip_prefix('\u{feff}').unwrap_or(self.text);
        let skipped = self.text.len() - body.len();
        let mut reader = Reader::from_str(body);
        reader.config_mut().check_comments = true;
        loop {
            let start = skipped + offset(reader.buffer_position());
            let event = reader.read_event();
            let at = start..skipped + offset(reader.buffer_position());
            match event {
                Err(error) => {
                    let at = skipped + offset(reader.error_position());
                    return Err(self.malformed(&error, at).into());
                }
                Ok(Event::Start(tag)) => {
                    let (node, at) = self.element(&tag, &at)?;
                    self.open.push(Open { node, last: None, at });
                    if self.open.len() > self.limits.depth() {
                        let depth = self.limits.depth();
                        let name = self.text.get(at.start() + 1..at.end()).unwrap_or_default();
                        let message = format!("<{name}> stands in more than {depth} elements");
                        return Err(self
                            .limit(&at.range(), message)
                            .help("the limit is `depth`")
                            .into());
                    }
                }
                Ok(Event::Empty(tag)) => {
                    self.element(&tag, &at)?;
                }
                Ok(Event::End(_)) => {
                    self.end_text()?;
                    self.open.pop();
                }
                Ok(Event::Text(_)) => self.add_text(at, None)?,
                Ok(Event::GeneralRef(reference)) => {
                    let text = self.resolve(&reference, &at)?;
                    self.add_text(at, Some(text))?;
                }
                Ok(Event::CData(data)) => {
                    let text = data.xml10_content().into_owned();
                    self.add_text(at, Some(text))?;
                }
                Ok(Event::DocType(_)) => {
                    return Err(self
                        .problem(&at, "a document type has no place in a sequence file")
                        .help("remove it")
                        .into());
                }
                // Both separate the texts around them, as they did in the original.
                Ok(Event::Comment(_) | Event::PI(_)) => self.end_text()?,
                Ok(Event::Decl(_)) => {}
                Ok(Event::Eof) => break,
            }
        }
        if let Some(open) = self.open.pop() {
            let name = self.text.get(open.at.start() + 1..open.at.end()).unwrap_or_default();
            return Err(self
                .problem(&open.at.range(), format!("<{name}> is never closed"))
                .help(format!("expected </{name}> before the end of the file"))
                .into());
        }
        if self.tree.is_empty() {
            let end = self.text.len()..self.text.len();
            return Err(self
                .problem(&end, "the file has no element")
                .help("expected <xenrt>")
                .into());
        }
        self.tree.fit();
        Ok(self.tree)
    }

    /// A start tag; `at` are its bytes with the angle brackets.
    fn element(
        &mut self,
        tag: &BytesStart<'_>,
        at: &Range<usize>,
    ) -> Result<(NodeId, Span), Box<Diagnostic>> {
        self.end_text()?;
        let text = self.text;
        let name_at = at.start + 1..at.start + 1 + tag.name().as_ref().len();
        let name = text.get(name_at.clone()).unwrap_or_default();
        let element_at = at.start..name_at.end;
        if name.is_empty() {
            return Err(self.problem(at, "a tag without a name").into());
        }
        if self.open.is_empty() && !self.tree.is_empty() {
            return Err(self
                .problem(&element_at, format!("a second root <{name}>"))
                .help("expected the end of the file")
                .into());
        }
        let span = Span::from(element_at.clone());
        let Some(node) = self.tree.add_element(span, Tag::of(name)) else {
            return Err(self.limit(&element_at, "more elements than can be counted").into());
        };
        if let Some(open) = self.open.last_mut() {
            self.tree.link(open.node, open.last, node);
            open.last = Some(node);
        }
        let inside: &str = tag;
        if inside.len() > name.len() {
            self.attributes(tag, node, at, name)?;
        }
        Ok((node, span))
    }

    fn attributes(
        &mut self,
        tag: &BytesStart<'_>,
        node: NodeId,
        at: &Range<usize>,
        element: &str,
    ) -> Result<(), Box<Diagnostic>> {
        let text = self.text;
        let inside: &str = tag;
        // Whether one is given twice is looked at below, where their number is limited.
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| self.bad_attribute(&error, at, element))?;
            let name_at = part(inside, attribute.key.as_ref(), at);
            let raw_at = part(inside, &attribute.value, at);
            let raw = text.get(raw_at.clone()).unwrap_or_default();
            let name = text.get(name_at.clone()).unwrap_or_default();
            let own = if raw.bytes().any(|byte| matches!(byte, b'&' | b'\n' | b'\r' | b'\t' | b'<'))
            {
                if let Some(sign) = raw.find('<') {
                    let sign = raw_at.start + sign..raw_at.start + sign + 1;
                    return Err(self
                        .problem(&sign, format!("a `<` in an attribute of <{element}>"))
                        .help("write `&` as &amp; and `<` as &lt;")
                        .into());
                }
                let value = attribute.normalized_value(XmlVersion::Implicit1_0);
                let value = value.map_err(|error| self.bad_reference(&error, &raw_at))?;
                Some(value.into_owned().into_boxed_str())
            } else {
                None
            };
            // An empty value is shown by its quotes.
            let (value_at, own) = if raw_at.is_empty() {
                (raw_at.start.saturating_sub(1)..raw_at.end + 1, Some(Box::default()))
            } else {
                (raw_at, own)
            };
            let given = self.tree.attributes(node);
            if given.len() >= self.limits.attributes {
                let most = self.limits.attributes;
                let message = format!("<{element}> has more than {most} attributes");
                return Err(self.limit(&name_at, message).help("the limit is `attributes`").into());
            }
            let known = Attr::of(name);
            let first = given.iter().find(|first| {
                first.name == known
                    && (known.is_some() || text.get(first.name_at.range()) == Some(name))
            });
            if let Some(first) = first {
                let message = format!("an attribute of <{element}> is given twice");
                return Err(self
                    .problem(&name_at, message)
                    .help("remove one of them")
                    .see(&first.name_at.range(), "the first is")
                    .into());
            }
            let value = match own {
                Some(own) => self.tree.own_text(value_at.into(), own),
                None => Some(TextNode { at: value_at.into(), own: None, refers: refers(raw) }),
            };
            let Some(value) = value else {
                return Err(self.limit(&name_at, "more texts than can be counted").into());
            };
            let attribute = AttributeNode { name: known, name_at: name_at.into(), value };
            self.tree.add_attribute(node, attribute);
        }
        Ok(())
    }

    /// Adds a piece of text; `resolved` where it is not the bytes as they stand.
    fn add_text(
        &mut self,
        at: Range<usize>,
        resolved: Option<String>,
    ) -> Result<(), Box<Diagnostic>> {
        let raw = self.text.get(at.clone()).unwrap_or_default();
        // White space at the beginning of a text does not count, and most texts are nothing else.
        if self.run.is_none() && resolved.is_none() && raw.trim_ascii_start().is_empty() {
            return Ok(());
        }
        if self.open.is_empty() {
            if raw.trim().is_empty() {
                return Ok(());
            }
            let lead = raw.len() - raw.trim_start().len();
            let at = at.start + lead..at.start + lead + raw.trim().len();
            return Err(self
                .problem(&at, "text outside of the root element")
                .help("remove it")
                .into());
        }
        let piece = match resolved {
            Some(text) => Some(text),
            // Line ends are \n for whoever reads XML (XML 1.0, 2.11).
            None if memchr::memchr(b'\r', raw.as_bytes()).is_some() => {
                Some(raw.replace("\r\n", "\n").replace('\r', "\n"))
            }
            None => None,
        };
        match &mut self.run {
            None => self.run = Some(Run { at, own: piece }),
            Some(run) => {
                let text = self.text;
                let own = run
                    .own
                    .get_or_insert_with(|| text.get(run.at.clone()).unwrap_or_default().to_owned());
                own.push_str(piece.as_deref().unwrap_or(raw));
                run.at.end = at.end;
            }
        }
        Ok(())
    }

    /// The text so far is a whole one, which is kept where it is more than white space.
    fn end_text(&mut self) -> Result<(), Box<Diagnostic>> {
        let Some(run) = self.run.take() else { return Ok(()) };
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        let text = match &run.own {
            Some(own) => own,
            None => self.text.get(run.at.clone()).unwrap_or_default(),
        };
        if text.trim_ascii_start().is_empty() {
            return Ok(());
        }
        let refers = refers(text);
        let text = match run.own {
            Some(own) => self.tree.own_text(run.at.clone().into(), own.into_boxed_str()),
            None => Some(TextNode { at: run.at.clone().into(), own: None, refers }),
        };
        match text.and_then(|text| self.tree.add_text(text)) {
            Some(node) => {
                self.tree.link(open.node, open.last, node);
                open.last = Some(node);
                Ok(())
            }
            None => Err(self.limit(&run.at, "more texts than can be counted").into()),
        }
    }

    fn limit(&self, at: &Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.source, DiagnosticKind::LimitExceeded, at, message)
    }

    fn resolve(
        &self,
        reference: &BytesRef<'_>,
        at: &Range<usize>,
    ) -> Result<String, Box<Diagnostic>> {
        match reference.resolve_char_ref() {
            Ok(Some(character)) => return Ok(character.to_string()),
            Ok(None) => {}
            Err(error) => return Err(self.bad_reference(&error, at).into()),
        }
        let name: &str = reference;
        resolve_predefined_entity(name).map(str::to_owned).ok_or_else(|| {
            self.problem(at, format!("unknown reference &{name};"))
                .help("expected &amp;, &lt;, &gt;, &quot;, &apos; or a number such as &#65;")
                .into()
        })
    }

    fn problem(&self, at: &Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.source, DiagnosticKind::MalformedXml, at, message)
    }

    /// An error of the reader; `at` is where the markup begins that it could not read.
    fn malformed(&self, error: &XmlError, at: usize) -> Diagnostic {
        let rest = self.text.get(at..).unwrap_or_default();
        let shown = rest.find(['>', '\n']).map_or(rest.len(), |end| end + 1);
        let markup = at..at + rest[..shown].trim_end().len();
        match error {
            XmlError::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
                let message = format!("</{found}> closes <{expected}>");
                let problem =
                    self.problem(&markup, message).help(format!("expected </{expected}>"));
                match self.open.last() {
                    Some(open) => problem.see(&open.at.range(), format!("<{expected}> is opened")),
                    None => problem,
                }
            }
            XmlError::IllFormed(IllFormedError::UnmatchedEndTag(found)) => {
                self.problem(&markup, format!("</{found}> closes nothing that is open"))
            }
            XmlError::IllFormed(IllFormedError::DoubleHyphenInComment) => self
                .problem(&markup, "`--` inside a comment")
                .help("a comment ends at its first `--`, which `>` must follow"),
            XmlError::IllFormed(error) => self.problem(&markup, error.to_string()),
            XmlError::Syntax(error) => self.problem(&markup, error.to_string()),
            other => self.problem(&markup, other.to_string()),
        }
    }

    fn bad_attribute(&self, error: &AttrError, tag: &Range<usize>, element: &str) -> Diagnostic {
        let (inside, message) = match *error {
            AttrError::ExpectedEq(at) => (at, "an attribute without `=`"),
            AttrError::ExpectedValue(at) => (at, "an attribute without a value"),
            AttrError::UnquotedValue(at) => (at, "a value without quotes"),
            AttrError::ExpectedQuote(at, _) => (at, "a value whose quotes are not closed"),
            AttrError::Duplicated(at, first) => {
                let place = |at: usize| tag.start + 1 + at..tag.start + 2 + at;
                return self
                    .problem(&place(at), format!("an attribute of <{element}> is given twice"))
                    .help("remove one of them")
                    .see(&place(first), "the first is");
            }
        };
        let at = tag.start + 1 + inside;
        self.problem(&(at..at + 1), format!("{message} in <{element}>"))
            .help("expected name=\"value\"")
    }

    fn bad_reference(&self, error: &XmlError, at: &Range<usize>) -> Diagnostic {
        let message = match error {
            XmlError::Escape(EscapeError::UnrecognizedEntity(_, name)) => {
                format!("unknown reference &{name};")
            }
            XmlError::Escape(EscapeError::UnterminatedEntity(_)) => {
                String::from("an `&` that begins no reference")
            }
            other => other.to_string(),
        };
        self.problem(at, message).help("write `&` as &amp; and `<` as &lt;")
    }
}

/// The bytes of a part of a tag in the whole text. The reader hands out slices of the tag and no
/// offsets, so the addresses are compared.
fn part(inside: &str, part: &str, tag: &Range<usize>) -> Range<usize> {
    let within = (part.as_ptr().addr()).wrapping_sub(inside.as_ptr().addr());
    if within > inside.len() {
        return tag.clone();
    }
    let start = tag.start + 1 + within;
    start..start + part.len()
}

/// Positions of the reader are within a text that is in memory.
fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
