//! Any XML document as a tree that keeps all that is in it.

use quick_xml::Reader;
use quick_xml::escape::{escape, partial_escape, resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};

/// The deepest nesting that is read; libvirt's own documents have a dozen levels.
const DEEPEST: usize = 200;

/// Why a text is not an XML document of libvirt's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XmlError {
    /// It is not well-formed.
    #[error("not well-formed XML at byte {at}: {problem}")]
    Malformed {
        /// The place in the text.
        at: u64,
        /// What is wrong there.
        problem: String,
    },
    /// It is well-formed, and not what was expected.
    #[error("not the expected XML: {0}")]
    Unexpected(String),
}

/// One element with all that is in it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its name, with the prefix of its name space if it has one.
    pub name: String,
    /// Its attributes, in order.
    pub attributes: Vec<(String, String)>,
    /// What is in it.
    pub children: Vec<Node>,
}

/// What can be in an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Another element.
    Element(Element),
    /// Text, white space between elements included.
    Text(String),
    /// A comment.
    Comment(String),
}

impl Element {
    /// An element with nothing in it.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), attributes: Vec::new(), children: Vec::new() }
    }

    /// Reads a document. The XML declaration and comments outside the root are not kept.
    ///
    /// # Errors
    /// [`XmlError::Malformed`], for entities that are not XML's own as well: libvirt uses none.
    pub fn parse(text: &str) -> Result<Self, XmlError> {
        let mut reader = Reader::from_str(text);
        // Elements that were begun and not ended yet, the root first.
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        loop {
            let at = reader.buffer_position();
            let wrong = |problem: String| XmlError::Malformed { at, problem };
            let event = reader.read_event().map_err(|error| wrong(error.to_string()))?;
            match event {
                Event::Start(start) => {
                    if open.len() >= DEEPEST || (open.is_empty() && root.is_some()) {
                        return Err(wrong("too deep, or a second root".to_owned()));
                    }
                    open.push(begin(&start).map_err(wrong)?);
                }
                Event::Empty(start) => {
                    let element = begin(&start).map_err(wrong)?;
                    end(&mut open, &mut root, element).map_err(wrong)?;
                }
                Event::End(_) => {
                    let element = open.pop().ok_or_else(|| wrong("an end too many".to_owned()))?;
                    end(&mut open, &mut root, element).map_err(wrong)?;
                }
                Event::Text(text) => {
                    add_text(&mut open, &text).map_err(wrong)?;
                }
                Event::CData(data) => {
                    add_text(&mut open, &data).map_err(wrong)?;
                }
                Event::GeneralRef(reference) => {
                    let name: &str = &reference;
                    let text = match reference.resolve_char_ref() {
                        Ok(Some(character)) => character.to_string(),
                        Ok(None) => resolve_predefined_entity(name)
                            .ok_or_else(|| wrong(format!("the unknown entity &{name};")))?
                            .to_owned(),
                        Err(error) => return Err(wrong(error.to_string())),
                    };
                    add_text(&mut open, &text).map_err(wrong)?;
                }
                Event::Comment(comment) => {
                    if let Some(parent) = open.last_mut() {
                        parent.children.push(Node::Comment(comment.to_string()));
                    }
                }
                Event::DocType(_) => return Err(wrong("a document type".to_owned())),
                Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        let at = reader.buffer_position();
        match root {
            Some(root) if open.is_empty() => Ok(root),
            _ => Err(XmlError::Malformed { at, problem: "it ends too early".to_owned() }),
        }
    }

    /// The document, without an XML declaration.
    pub fn to_xml(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        text.push('<');
        text.push_str(&self.name);
        for (name, value) in &self.attributes {
            text.push(' ');
            text.push_str(name);
            text.push_str("=\"");
            // What a parser would turn into spaces (XML 1.0, 3.3.3) is written as what it is.
            for character in escape(value.as_str()).chars() {
                match character {
                    '\n' => text.push_str("&#10;"),
                    '\r' => text.push_str("&#13;"),
                    '\t' => text.push_str("&#9;"),
                    other => text.push(other),
                }
            }
            text.push('"');
        }
        if self.children.is_empty() {
            text.push_str("/>");
            return;
        }
        text.push('>');
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(text),
                Node::Text(own) => {
                    text.push_str(&partial_escape(own.as_str()).replace('\r', "&#13;"));
                }
                Node::Comment(comment) => {
                    text.push_str("<!--");
                    text.push_str(comment);
                    text.push_str("-->");
                }
            }
        }
        text.push_str("</");
        text.push_str(&self.name);
        text.push('>');
    }

    /// Its name without the prefix of its name space.
    pub fn local_name(&self) -> &str {
        self.name.rsplit(':').next().unwrap_or(&self.name)
    }

    /// The elements in it.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            _ => None,
        })
    }

    /// The first element of this name in it.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.elements().find(|element| element.name == name)
    }

    /// The first element of this name in it, made at the end where there is none.
    pub fn child_mut(&mut self, name: &str) -> &mut Self {
        let named = |node: &Node| matches!(node, Node::Element(element) if element.name == name);
        let at = match self.children.iter().position(named) {
            Some(at) => at,
            None => {
                self.children.push(Node::Element(Self::new(name)));
                self.children.len() - 1
            }
        };
        match &mut self.children[at] {
            Node::Element(element) => element,
            // The position is that of an element.
            Node::Text(_) | Node::Comment(_) => unreachable!("not an element"),
        }
    }

    /// Adds an element at the end.
    pub fn push(&mut self, element: Self) {
        self.children.push(Node::Element(element));
    }

    /// Removes the elements in it that `doomed` picks; says how many.
    pub fn remove(&mut self, doomed: impl Fn(&Self) -> bool) -> usize {
        let before = self.children.len();
        self.children.retain(|child| !matches!(child, Node::Element(element) if doomed(element)));
        before - self.children.len()
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Sets an attribute.
    pub fn set_attribute(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.attributes.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => *own = value,
            None => self.attributes.push((name.to_owned(), value)),
        }
    }

    /// Removes an attribute.
    pub fn remove_attribute(&mut self, name: &str) {
        self.attributes.retain(|(own, _)| own != name);
    }

    /// The text in it, as far as it is not in elements of its own.
    pub fn text(&self) -> String {
        let texts = self.children.iter().filter_map(|child| match child {
            Node::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// Replaces all that is in it by a text.
    pub fn set_text(&mut self, text: impl Into<String>) {
        self.children = vec![Node::Text(text.into())];
    }
}

fn begin(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut element = Element::new(start.name().as_ref());
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = unescape(&attribute.value).map_err(|error| error.to_string())?;
        element.attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(element)
}

fn end(open: &mut [Element], root: &mut Option<Element>, element: Element) -> Result<(), String> {
    match open.last_mut() {
        Some(parent) => parent.push(element),
        None if root.is_some() => return Err("a second root".to_owned()),
        None => *root = Some(element),
    }
    Ok(())
}

fn add_text(open: &mut [Element], text: &str) -> Result<(), String> {
    let Some(parent) = open.last_mut() else {
        let blank = text.trim().is_empty();
        return if blank { Ok(()) } else { Err("text outside the root".to_owned()) };
    };
    match parent.children.last_mut() {
        Some(Node::Text(before)) => before.push_str(text),
        _ if text.is_empty() => {}
        _ => parent.children.push(Node::Text(text.to_owned())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A domain with much that this library knows nothing of.
    pub(crate) const ODD: &str = include_str!("../../tests/data/odd-domain.xml");

    #[test]
    fn a_document_is_the_same_when_it_was_written_and_read_again() {
        let read = Element::parse(ODD).unwrap();
        assert_eq!(Element::parse(&read.to_xml()).unwrap(), read);
    }

    #[test]
    fn what_changes_is_changed_and_the_rest_is_left() {
        let mut domain = Element::parse(ODD).unwrap();
        domain.child_mut("vcpu").set_attribute("current", "3");
        let devices = domain.child_mut("devices");
        assert_eq!(devices.remove(|device| device.name == "interface"), 1);
        let after = domain.to_xml();
        let lines = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.replace('\'', "\"").trim().to_owned()).collect()
        };
        let (before, after) = (lines(ODD), lines(&after));
        let gone: Vec<&String> = before.iter().filter(|line| !after.contains(line)).collect();
        let new: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
        insta::assert_snapshot!(format!("gone: {gone:#?}\nnew: {new:#?}"));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in ["", "<a>", "</a>", "<a/><b/>", "<a>&nbsp;</a>", "a<a/>", "<a b='1' b='2'/>"] {
            assert!(Element::parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(Element::parse("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>").is_err());
        let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        assert!(Element::parse(&deep).is_err());
    }

    fn name() -> impl Strategy<Value = String> {
        "[a-z][a-zA-Z0-9_.-]{0,8}(:[a-z][a-z0-9]{0,4})?"
    }

    fn text() -> impl Strategy<Value = String> {
        "[ -~\t\n\ré日🦀]{1,12}"
    }

    fn tree() -> impl Strategy<Value = Element> {
        let attributes = || prop::collection::btree_map(name(), text(), 0..3);
        let make = |(name, attributes, children): (String, _, Vec<Node>)| {
            let attributes: std::collections::BTreeMap<String, String> = attributes;
            // Two texts in a row are one.
            let mut kept: Vec<Node> = Vec::new();
            for child in children {
                if !matches!((kept.last(), &child), (Some(Node::Text(_)), Node::Text(_))) {
                    kept.push(child);
                }
            }
            Element { name, attributes: attributes.into_iter().collect(), children: kept }
        };
        let leaf = (name(), attributes(), Just(Vec::new())).prop_map(make);
        leaf.prop_recursive(4, 40, 5, move |inner| {
            let child = prop_oneof![
                3 => inner.prop_map(Node::Element),
                2 => text().prop_map(Node::Text),
                1 => "[a-z <>&'\"]{0,9}".prop_map(Node::Comment),
            ];
            (name(), attributes(), prop::collection::vec(child, 0..5)).prop_map(make)
        })
    }

    proptest! {
        #[test]
        fn every_tree_survives_writing_and_reading(tree in tree()) {
            let written = tree.to_xml();
            prop_assert_eq!(Element::parse(&written).unwrap(), tree, "{}", written);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[<>/a='\"&;!\\[\\]? -]{0,40}") {
            let _ = Element::parse(&text);
        }
    }
}
