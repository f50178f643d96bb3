//! The tree of a file: nodes in one list, since a file of 100 MB has millions of them.
//!
//! Texts are kept as the bytes of the file that they stand in, and only those that are not written
//! out there (with references in them, or in YAML) as texts of their own.

use std::ops::Range;

use super::super::vocabulary::{Attr, Tag, Word};
use super::Source;

/// Some bytes of a file. Files are at most 4 GiB long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::sequence) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(in crate::sequence) fn start(self) -> usize {
        self.start as usize
    }

    pub(in crate::sequence) fn end(self) -> usize {
        self.end as usize
    }

    pub(in crate::sequence) fn range(self) -> Range<usize> {
        self.start()..self.end()
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: short(range.start), end: short(range.end) }
    }
}

/// A node of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sequence) struct NodeId(u32);

impl NodeId {
    /// The root of every tree.
    pub(in crate::sequence) const ROOT: Self = Self(0);
}

/// Where there is no node. No node is the child or the next of another that is the root.
const NONE: u32 = 0;

#[derive(Debug)]
struct Node {
    next: u32,
    first: u32,
    at: Span,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Element {
        tag: Option<Tag>,
        word: Word,
        attributes: u16,
        first_attribute: u32,
    },
    /// The bytes at its place, or this.
    Text(Option<Box<str>>),
}

/// One attribute.
#[derive(Debug)]
pub(in crate::sequence) struct AttributeNode {
    /// What it is, where it is known.
    pub(in crate::sequence) name: Option<Attr>,
    pub(in crate::sequence) name_at: Span,
    pub(in crate::sequence) value: TextNode,
}

/// A text: the bytes at its place, or another one where these are not to be taken as they stand.
#[derive(Debug)]
pub(in crate::sequence) struct TextNode {
    pub(in crate::sequence) at: Span,
    pub(in crate::sequence) own: Option<Box<str>>,
}

impl TextNode {
    pub(in crate::sequence) fn get<'t>(&'t self, source: &'t Source) -> &'t str {
        match &self.own {
            Some(own) => own,
            None => source.text().get(self.at.range()).unwrap_or_default(),
        }
    }
}

/// The tree of a file.
#[derive(Debug, Default)]
pub(in crate::sequence) struct Tree {
    nodes: Vec<Node>,
    attributes: Vec<AttributeNode>,
}

impl Tree {
    /// An empty one, with room for a file of so many bytes.
    pub(in crate::sequence) fn for_bytes(bytes: usize) -> Self {
        // Measured on the original's files: a node for 30 bytes, an attribute for 50.
        Self {
            nodes: Vec::with_capacity(bytes / 30 + 8),
            attributes: Vec::with_capacity(bytes / 50 + 8),
        }
    }

    /// Gives back what is not used.
    pub(in crate::sequence) fn fit(&mut self) {
        if self.nodes.capacity() > 2 * self.nodes.len() + 1024 {
            self.nodes.shrink_to_fit();
        }
    }

    fn add(&mut self, at: Span, body: Body) -> Option<NodeId> {
        let id = u32::try_from(self.nodes.len()).ok()?;
        self.nodes.push(Node { next: NONE, first: NONE, at, body });
        Some(NodeId(id))
    }

    /// A new element; its attributes are those that are added until the next element is.
    pub(in crate::sequence) fn add_element(
        &mut self,
        at: Span,
        tag: Option<Tag>,
    ) -> Option<NodeId> {
        let first_attribute = u32::try_from(self.attributes.len()).ok()?;
        self.add(at, Body::Element { tag, word: Word::Unknown, attributes: 0, first_attribute })
    }

    pub(in crate::sequence) fn add_text(&mut self, text: TextNode) -> Option<NodeId> {
        self.add(text.at, Body::Text(text.own))
    }

    /// Adds an attribute to the element that was added last.
    pub(in crate::sequence) fn add_attribute(&mut self, to: NodeId, attribute: AttributeNode) {
        if let Body::Element { attributes, .. } = &mut self.nodes[to.0 as usize].body {
            self.attributes.push(attribute);
            *attributes = attributes.saturating_add(1);
        }
    }

    /// Puts `child` at the end of the children of `parent`, of which `last` is the last.
    pub(in crate::sequence) fn link(
        &mut self,
        parent: NodeId,
        last: Option<NodeId>,
        child: NodeId,
    ) {
        match last {
            Some(last) => self.nodes[last.0 as usize].next = child.0,
            None => self.nodes[parent.0 as usize].first = child.0,
        }
    }

    /// Takes away all children.
    pub(in crate::sequence) fn clear_children(&mut self, parent: NodeId) {
        self.nodes[parent.0 as usize].first = NONE;
    }

    pub(in crate::sequence) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(in crate::sequence) fn at(&self, node: NodeId) -> Span {
        self.nodes[node.0 as usize].at
    }

    /// What the element is; a text is unknown.
    pub(in crate::sequence) fn word(&self, node: NodeId) -> Word {
        match self.nodes[node.0 as usize].body {
            Body::Element { word, .. } => word,
            Body::Text(_) => Word::Unknown,
        }
    }

    pub(in crate::sequence) fn set_word(&mut self, node: NodeId, to: Word) {
        if let Body::Element { word, .. } = &mut self.nodes[node.0 as usize].body {
            *word = to;
        }
    }

    pub(in crate::sequence) fn tag(&self, node: NodeId) -> Option<Tag> {
        match self.nodes[node.0 as usize].body {
            Body::Element { tag, .. } => tag,
            Body::Text(_) => None,
        }
    }

    pub(in crate::sequence) fn is_element(&self, node: NodeId) -> bool {
        matches!(self.nodes[node.0 as usize].body, Body::Element { .. })
    }

    /// The name of an element as it stands in the file.
    pub(in crate::sequence) fn name<'t>(&self, node: NodeId, source: &'t Source) -> &'t str {
        match self.tag(node) {
            Some(tag) => tag.name(),
            None => {
                let at = self.at(node);
                source.text().get(at.start() + 1..at.end()).unwrap_or_default()
            }
        }
    }

    /// A text with its place; `None` for an element.
    pub(in crate::sequence) fn text<'t>(
        &'t self,
        node: NodeId,
        source: &'t Source,
    ) -> Option<(&'t str, Span, bool)> {
        let Node { at, body, .. } = &self.nodes[node.0 as usize];
        match body {
            Body::Element { .. } => None,
            Body::Text(Some(own)) => Some((own, *at, false)),
            Body::Text(None) => {
                Some((source.text().get(at.range()).unwrap_or_default(), *at, true))
            }
        }
    }

    pub(in crate::sequence) fn attributes(&self, node: NodeId) -> &[AttributeNode] {
        match self.nodes[node.0 as usize].body {
            Body::Element { attributes, first_attribute, .. } => {
                let first = first_attribute as usize;
                self.attributes.get(first..first + usize::from(attributes)).unwrap_or_default()
            }
            Body::Text(_) => &[],
        }
    }

    pub(in crate::sequence) fn attribute(
        &self,
        node: NodeId,
        name: Attr,
    ) -> Option<&AttributeNode> {
        self.attributes(node).iter().find(|attribute| attribute.name == Some(name))
    }

    /// All children, texts too.
    pub(in crate::sequence) fn children(&self, node: NodeId) -> Children<'_> {
        Children { tree: self, next: self.nodes[node.0 as usize].first }
    }

    /// The node after this one, below the same parent.
    pub(in crate::sequence) fn after(&self, node: NodeId) -> Option<NodeId> {
        let next = self.nodes[node.0 as usize].next;
        (next != NONE).then_some(NodeId(next))
    }

    pub(in crate::sequence) fn elements(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.children(node).filter(|child| self.is_element(*child))
    }
}

/// The children of a node.
#[derive(Debug, Clone)]
pub(in crate::sequence) struct Children<'t> {
    tree: &'t Tree,
    next: u32,
}

impl Iterator for Children<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        if self.next == NONE {
            return None;
        }
        let id = NodeId(self.next);
        self.next = self.tree.nodes[self.next as usize].next;
        Some(id)
    }
}

/// The bytes without the white space around them.
pub(in crate::sequence) fn trimmed(source: &Source, at: Span) -> Span {
    let Some(text) = source.text().get(at.range()) else { return at };
    let lead = text.len() - text.trim_start().len();
    let start = at.start() + lead;
    (start..start + text.trim().len()).into()
}
