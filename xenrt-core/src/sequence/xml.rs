//! Text into a tree of elements, each with its place. What the elements mean is not known here.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::errors::{Error as XmlError, IllFormedError};
use quick_xml::escape::{EscapeError, resolve_predefined_entity};
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use super::diagnostic::{Diagnostic, DiagnosticKind};
use super::source::Source;

/// Elements within elements; the deepest sequence of the original's collection has 12 levels.
/// Without a limit, a few kilobytes could exhaust the stack of whoever walks the tree.
const DEEPEST: usize = 64;

/// One element.
#[derive(Debug)]
pub(super) struct Element<'a> {
    pub(super) name: &'a str,
    /// `<` and the name.
    pub(super) at: Range<usize>,
    pub(super) attributes: Vec<Attribute<'a>>,
    pub(super) children: Vec<Child<'a>>,
}

/// One attribute, its references resolved.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) name_at: Range<usize>,
    pub(super) value: Text<'a>,
}

/// A text with the bytes that it stands in.
#[derive(Debug, Clone)]
pub(super) struct Text<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) at: Range<usize>,
    /// Whether the text is the bytes as they stand, so that a part of it has a place.
    pub(super) literal: bool,
}

#[derive(Debug)]
pub(super) enum Child<'a> {
    Element(Element<'a>),
    Text(Text<'a>),
}

impl<'a> Element<'a> {
    pub(super) fn elements(&self) -> impl Iterator<Item = &Element<'a>> {
        self.children.iter().filter_map(|child| match child {
            Child::Element(element) => Some(element),
            Child::Text(_) => None,
        })
    }

    /// The texts that are more than white space, without the white space around them. Comments
    /// and elements separate them.
    pub(super) fn texts(&self) -> impl Iterator<Item = Text<'a>> {
        self.children.iter().filter_map(|child| match child {
            Child::Element(_) => None,
            Child::Text(text) => text.trimmed(),
        })
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

impl<'a> Text<'a> {
    fn trimmed(&self) -> Option<Self> {
        let trimmed = self.text.trim();
        if trimmed.is_empty() {
            return None;
        }
        if !self.literal {
            return Some(Self { text: Cow::Owned(trimmed.to_owned()), ..self.clone() });
        }
        let before = self.text.len() - self.text.trim_start().len();
        let start = self.at.start + before;
        let text = match &self.text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(_) => Cow::Owned(trimmed.to_owned()),
        };
        Some(Self { text, at: start..start + trimmed.len(), literal: true })
    }
}

/// The root of the text, or what is wrong with it as XML.
pub(super) fn read(source: &Arc<Source>) -> Result<Element<'_>, Box<Diagnostic>> {
    Tree { source, text: source.text(), open: Vec::new(), root: None }.read()
}

struct Tree<'a> {
    source: &'a Arc<Source>,
    text: &'a str,
    open: Vec<Element<'a>>,
    root: Option<Element<'a>>,
}

impl<'a> Tree<'a> {
    fn read(mut self) -> Result<Element<'a>, Box<Diagnostic>> {
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
                    let element = self.element(&tag, &at)?;
                    if self.open.len() == DEEPEST {
                        return Err(self
                            .problem(
                                &element.at,
                                format!(
                                    "<{}> stands in more than {DEEPEST} elements",
                                    element.name
                                ),
                            )
                            .into());
                    }
                    self.open.push(element);
                }
                Ok(Event::Empty(tag)) => {
                    let element = self.element(&tag, &at)?;
                    self.close(element)?;
                }
                Ok(Event::End(_)) => {
                    if let Some(element) = self.open.pop() {
                        self.close(element)?;
                    }
                }
                Ok(Event::Text(_)) => self.add_text(at.clone(), None)?,
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
                Ok(Event::Comment(_)) => {
                    // So that a comment separates the texts around it, as it did in the original.
                    if let Some(element) = self.open.last_mut() {
                        element.children.push(Child::Text(Text {
                            text: Cow::Borrowed(""),
                            at,
                            literal: false,
                        }));
                    }
                }
                Ok(Event::Decl(_) | Event::PI(_)) => {}
                Ok(Event::Eof) => break,
            }
        }
        if let Some(element) = self.open.pop() {
            return Err(self
                .problem(&element.at, format!("<{}> is never closed", element.name))
                .help(format!("expected </{}> before the end of the file", element.name))
                .into());
        }
        let end = self.text.len()..self.text.len();
        self.root.take().ok_or_else(|| {
            self.problem(&end, "the file has no element").help("expected <xenrt>").into()
        })
    }

    /// A start tag; `at` are its bytes with the angle brackets.
    fn element(
        &self,
        tag: &BytesStart<'_>,
        at: &Range<usize>,
    ) -> Result<Element<'a>, Box<Diagnostic>> {
        let name_at = at.start + 1..at.start + 1 + tag.name().as_ref().len();
        let name = self.text.get(name_at.clone()).unwrap_or_default();
        let element_at = at.start..name_at.end;
        if name.is_empty() {
            return Err(self.problem(at, "a tag without a name").into());
        }
        let mut attributes: Vec<Attribute<'a>> = Vec::new();
        let inside: &str = tag;
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| self.bad_attribute(&error, at, name))?;
            let key = attribute.key.as_ref();
            let name_at = self.part(inside, key, at);
            let raw_at = self.part(inside, &attribute.value, at);
            let raw = self.text.get(raw_at.clone()).unwrap_or_default();
            let text = if raw.contains(['&', '\n', '\r', '\t']) {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0);
                Cow::Owned(value.map_err(|error| self.bad_reference(&error, &raw_at))?.into_owned())
            } else {
                Cow::Borrowed(raw)
            };
            let literal = matches!(text, Cow::Borrowed(_));
            // An empty value is shown by its quotes.
            let value_at = if raw_at.is_empty() {
                raw_at.start.saturating_sub(1)..raw_at.end + 1
            } else {
                raw_at
            };
            let name = self.text.get(name_at.clone()).unwrap_or_default();
            let value = Text { text, at: value_at, literal };
            attributes.push(Attribute { name, name_at, value });
        }
        Ok(Element { name, at: element_at, attributes, children: Vec::new() })
    }

    /// The bytes of a part of a tag in the whole text. The reader hands out slices of the tag and
    /// no offsets, so the addresses are compared.
    fn part(&self, inside: &str, part: &str, tag: &Range<usize>) -> Range<usize> {
        let within = (part.as_ptr().addr()).wrapping_sub(inside.as_ptr().addr());
        if within > inside.len() {
            return tag.clone();
        }
        let start = tag.start + 1 + within;
        start..start + part.len()
    }

    fn close(&mut self, element: Element<'a>) -> Result<(), Box<Diagnostic>> {
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Child::Element(element)),
            None if self.root.is_none() => self.root = Some(element),
            None => {
                let message = format!("a second root <{}>", element.name);
                return Err(self
                    .problem(&element.at, message)
                    .help("expected the end of the file")
                    .into());
            }
        }
        Ok(())
    }

    /// Adds a text; `resolved` where it is not the bytes as they stand.
    fn add_text(
        &mut self,
        at: Range<usize>,
        resolved: Option<String>,
    ) -> Result<(), Box<Diagnostic>> {
        let raw = self.text.get(at.clone()).unwrap_or_default();
        let Some(element) = self.open.last_mut() else {
            if raw.trim().is_empty() {
                return Ok(());
            }
            let lead = raw.len() - raw.trim_start().len();
            let at = at.start + lead..at.start + lead + raw.trim().len();
            return Err(self
                .problem(&at, "text outside of the root element")
                .help("remove it")
                .into());
        };
        let literal = resolved.is_none() && !raw.contains('\r');
        let text = match resolved {
            Some(text) => Cow::Owned(text),
            None if literal => Cow::Borrowed(raw),
            // Line ends are \n for whoever reads XML (XML 1.0, 2.11).
            None => Cow::Owned(raw.replace("\r\n", "\n").replace('\r', "\n")),
        };
        match element.children.last_mut() {
            // Pieces of one text. (The mark of a comment is not one: it does not touch its end.)
            Some(Child::Text(last)) if last.at.end == at.start && !last.text.is_empty() => {
                last.text.to_mut().push_str(&text);
                last.at.end = at.end;
                last.literal = false;
            }
            _ => element.children.push(Child::Text(Text { text, at, literal })),
        }
        Ok(())
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
                    Some(open) => problem.see(&open.at, format!("<{expected}> is opened")),
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

/// Positions of the reader are within a text that is in memory.
fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
