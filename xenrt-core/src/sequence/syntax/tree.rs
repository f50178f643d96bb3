//! The tree of a file: nodes in one list, since a file of 100 MB has millions of them.
//!
//! Texts are kept as the bytes of the file that they stand in, and only those that are not written
//! out there (with references in them, or in YAML) as texts of their own.

use std::num::NonZeroU32;
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
        /// As [`Tree::given`], its two halves: a number of sixteen bytes is aligned to so many.
        given: [u64; 2],
    },
    Text {
        own: Own,
        refers: bool,
    },
}

/// One attribute.
#[derive(Debug)]
pub(in crate::sequence) struct AttributeNode {
    /// What it is, where it is known.
    pub(in crate::sequence) name: Option<Attr>,
    pub(in crate::sequence) name_at: Span,
    pub(in crate::sequence) value: TextNode,
}

/// The number of a text of a [`Tree`] that is not written out in the file, from 1; `None` where the
/// text is the bytes at its place.
pub(in crate::sequence) type Own = Option<NonZeroU32>;

/// A text: the bytes at its place, or another one where these are not to be taken as they stand.
#[derive(Debug, Clone, Copy)]
pub(in crate::sequence) struct TextNode {
    pub(in crate::sequence) at: Span,
    pub(in crate::sequence) own: Own,
    /// Whether a `$` or `%` is in it, without which it refers to no variable.
    pub(in crate::sequence) refers: bool,
}

/// A text as it is read.
#[derive(Debug, Clone, Copy)]
pub(in crate::sequence) struct Written<'t> {
    pub(in crate::sequence) text: &'t str,
    pub(in crate::sequence) at: Span,
    /// Whether it is the bytes at its place, so that a part of it has one too.
    pub(in crate::sequence) literal: bool,
    /// As [`TextNode::refers`].
    pub(in crate::sequence) refers: bool,
}

impl Written<'_> {
    /// The place of a part of it.
    pub(in crate::sequence) fn place(&self, within: &Range<usize>) -> Span {
        if !self.literal {
            return self.at;
        }
        (self.at.start() + within.start..self.at.start() + within.end).into()
    }

    /// Without the white space around it.
    pub(in crate::sequence) fn trimmed(self) -> Self {
        let text = trim(self.text);
        if text.len() == self.text.len() {
            return self;
        }
        let lead = self.text.len() - self.text.trim_start().len();
        Self { text, at: self.place(&(lead..lead + text.len())), ..self }
    }
}

/// The tree of a file.
#[derive(Debug, Default)]
pub(in crate::sequence) struct Tree {
    nodes: Vec<Node>,
    attributes: Vec<AttributeNode>,
    /// The texts that are not written out in the file.
    owned: Vec<Box<str>>,
}

impl Tree {
    /// An empty one, with room for a file of so many bytes.
    pub(in crate::sequence) fn for_bytes(bytes: usize) -> Self {
        // Measured on the original's files: a node for 30 bytes, an attribute for 50.
        Self {
            nodes: Vec::with_capacity(bytes / 30 + 8),
            attributes: Vec::with_capacity(bytes / 50 + 8),
            owned: Vec::new(),
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
        let (word, attributes, given) = (Word::Unknown, 0, [0; 2]);
        self.add(at, Body::Element { tag, word, attributes, first_attribute, given })
    }

    pub(in crate::sequence) fn add_text(&mut self, text: TextNode) -> Option<NodeId> {
        self.add(text.at, Body::Text { own: text.own, refers: text.refers })
    }

    /// A text that is not the bytes at its place; `None` where there are too many.
    pub(in crate::sequence) fn own_text(&mut self, at: Span, text: Box<str>) -> Option<TextNode> {
        let refers = refers(&text);
        self.owned.push(text);
        let own = NonZeroU32::new(u32::try_from(self.owned.len()).ok()?)?;
        Some(TextNode { at, own: Some(own), refers })
    }

    /// What a text is.
    pub(in crate::sequence) fn written<'t>(
        &'t self,
        node: &TextNode,
        source: &'t Source,
    ) -> Written<'t> {
        let TextNode { at, own, refers } = *node;
        let text = match own {
            Some(own) => self.owned.get(own.get() as usize - 1).map(|text| &**text),
            None => source.text().get(at.range()),
        };
        Written { text: text.unwrap_or_default(), at, literal: own.is_none(), refers }
    }

    /// Adds an attribute to the element that was added last.
    pub(in crate::sequence) fn add_attribute(&mut self, to: NodeId, attribute: AttributeNode) {
        if let Body::Element { attributes, given, .. } = &mut self.nodes[to.0 as usize].body {
            let bit = attribute.name.map_or(Attr::OTHER, Attr::bit);
            *given = halves(whole(*given) | bit);
            *attributes = attributes.saturating_add(1);
            self.attributes.push(attribute);
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
            Body::Text { .. } => Word::Unknown,
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
            Body::Text { .. } => None,
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
    ) -> Option<Written<'t>> {
        let Node { at, body, .. } = &self.nodes[node.0 as usize];
        match *body {
            Body::Element { .. } => None,
            Body::Text { own, refers } => {
                Some(self.written(&TextNode { at: *at, own, refers }, source))
            }
        }
    }

    pub(in crate::sequence) fn attributes(&self, node: NodeId) -> &[AttributeNode] {
        match self.nodes[node.0 as usize].body {
            Body::Element { attributes, first_attribute, .. } => {
                let first = first_attribute as usize;
                self.attributes.get(first..first + usize::from(attributes)).unwrap_or_default()
            }
            Body::Text { .. } => &[],
        }
    }

    /// Which attributes an element has, as [bits](Attr::bit), with [`Attr::OTHER`] for those that
    /// nobody knows.
    #[inline]
    pub(in crate::sequence) fn given(&self, node: NodeId) -> u128 {
        match self.nodes[node.0 as usize].body {
            Body::Element { given, .. } => whole(given),
            Body::Text { .. } => 0,
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

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
fn halves(bits: u128) -> [u64; 2] {
    [bits as u64, (bits >> 64) as u64]
}

#[inline]
fn whole([low, high]: [u64; 2]) -> u128 {
    u128::from(low) | u128::from(high) << 64
}

/// The text without the white space around it; most have none.
#[inline]
pub(in crate::sequence) fn trim(text: &str) -> &str {
    let plain = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b'!'..=b'~'));
    if plain(text.as_bytes().first()) && plain(text.as_bytes().last()) { text } else { text.trim() }
}

/// Whether a text may refer to a variable.
pub(in crate::sequence) fn refers(text: &str) -> bool {
    memchr::memchr2(b'$', b'%', text.as_bytes()).is_some()
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
