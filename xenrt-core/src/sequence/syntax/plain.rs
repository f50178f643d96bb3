//! Plain XML into a [`Tree`], which is nearly every sequence file.
//!
//! What is plain: tags whose names are letters, digits, `_`, `.`, `:` and `-`, attributes without
//! references and line ends in them, texts without references, comments, and `<?xml?>` at the
//! beginning. Where a file has anything else, or is not well-formed, or goes beyond a limit, this
//! gives up and [`super::xml`] reads it from the beginning, so that there is one place that knows all
//! of XML and says what is wrong. A test holds the two against one another.

use super::bytes::{end_of_space, end_of_value, packed};
use super::{AttributeNode, NodeId, Span, TextNode, Tree};
use crate::sequence::Limits;
use crate::sequence::vocabulary::{Attr, Tag};

/// The tree of a text; `None` where it is not plain.
pub(super) fn read(text: &str, limits: &Limits) -> Option<Tree> {
    // References and line ends that are no `\n` change what a text is.
    if memchr::memchr2(b'&', b'\r', text.as_bytes()).is_some() {
        return None;
    }
    let tree = Tree::for_bytes(text.len());
    let mut plain =
        Plain { text, bytes: text.as_bytes(), at: 0, limits, open: Vec::with_capacity(16), tree };
    plain.declaration()?;
    plain.content()?;
    plain.tree.fit();
    Some(plain.tree)
}

/// Whether a byte can be part of a name.
static IN_NAMES: [bool; 256] = {
    let mut in_names = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
        let sign = byte as u8;
        in_names[byte] = matches!(
            sign,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b':' | b'-'
        );
        byte += 1;
    }
    in_names
};

/// An element that is not closed yet.
struct Open {
    node: NodeId,
    last: Option<NodeId>,
    name: Name,
}

/// A name, also as one number where it is short.
#[derive(Clone, Copy)]
struct Name {
    at: Span,
    packed: Option<u128>,
}

struct Plain<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    limits: &'a Limits,
    open: Vec<Open>,
    tree: Tree,
}

impl Plain<'_> {
    #[inline]
    fn byte(&self) -> u8 {
        // There is no such byte in a plain file.
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn skip_space(&mut self) {
        self.at = end_of_space(self.bytes, self.at);
    }

    /// Goes over a byte that must be here.
    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.byte() == byte).then(|| self.at += 1)
    }

    /// A name that is not empty.
    #[inline]
    fn name(&mut self) -> Option<Name> {
        let start = self.at;
        let rest = self.bytes.get(start..)?;
        let other = |byte: &u8| !IN_NAMES[usize::from(*byte)];
        self.at += rest.iter().position(other).unwrap_or(rest.len());
        let length = self.at - start;
        let packed = packed(self.bytes, start, length);
        (length > 0).then(|| Name { at: (start..self.at).into(), packed })
    }

    fn declaration(&mut self) -> Option<()> {
        if !self.bytes.starts_with(b"<?") {
            return Some(());
        }
        let known = self.bytes.starts_with(b"<?xml ");
        let end = memchr::memmem::find(self.bytes, b"?>").filter(|_| known)?;
        self.at = end + 2;
        Some(())
    }

    fn content(&mut self) -> Option<()> {
        loop {
            let start = self.at;
            self.skip_space();
            if self.at == self.bytes.len() {
                let whole = self.open.is_empty() && !self.tree.is_empty();
                return whole.then_some(());
            }
            if self.byte() != b'<' {
                self.words(start)?;
            }
            self.expect(b'<')?;
            match self.byte() {
                b'/' => self.end()?,
                b'!' => self.comment()?,
                _ => self.element()?,
            }
        }
    }

    /// A text up to the next `<`.
    fn words(&mut self, start: usize) -> Option<()> {
        // A form feed is white space elsewhere.
        if self.byte() < b' ' {
            return None;
        }
        let mut refers = false;
        loop {
            let rest = self.bytes.get(self.at..)?;
            let next = memchr::memchr3(b'<', b'$', b'%', rest)?;
            self.at += next;
            if self.byte() == b'<' {
                break;
            }
            refers = true;
            self.at += 1;
        }
        let open = self.open.last_mut()?;
        let text = TextNode { at: (start..self.at).into(), own: None, refers };
        let node = self.tree.add_text(text)?;
        self.tree.link(open.node, open.last, node);
        open.last = Some(node);
        Some(())
    }

    fn comment(&mut self) -> Option<()> {
        let inside = self.bytes.get(self.at..)?.strip_prefix(b"!--")?;
        // Short comments are told apart where all of XML is known.
        let begins_well = !matches!(inside.first(), None | Some(b'>' | b'-'));
        let end = memchr::memmem::find(inside, b"--").filter(|_| begins_well)?;
        self.at += 3 + end + 2;
        self.expect(b'>')
    }

    fn end(&mut self) -> Option<()> {
        self.at += 1;
        let open = self.open.pop()?;
        let name = open.name.at.range();
        let end = self.at + name.len();
        // Near the end of the file it is not one number.
        let same = match packed(self.bytes, self.at, name.len()) {
            found @ Some(_) => found == open.name.packed,
            None => self.bytes.get(self.at..end)? == self.bytes.get(name)?,
        };
        if !same {
            return None;
        }
        self.at = end;
        self.skip_space();
        self.expect(b'>')
    }

    fn element(&mut self) -> Option<()> {
        let start = self.at - 1;
        let name = self.name()?;
        // A second root.
        if self.open.is_empty() && !self.tree.is_empty() {
            return None;
        }
        let tag = match name.packed {
            Some(packed) => Tag::of_packed(packed),
            None => Tag::of(self.text.get(name.at.range())?),
        };
        let node = self.tree.add_element((start..self.at).into(), tag)?;
        if let Some(open) = self.open.last_mut() {
            self.tree.link(open.node, open.last, node);
            open.last = Some(node);
        }
        loop {
            let before = self.at;
            self.skip_space();
            match self.byte() {
                b'>' => {
                    self.at += 1;
                    self.open.push(Open { node, last: None, name });
                    return (self.open.len() <= self.limits.depth()).then_some(());
                }
                b'/' => {
                    self.at += 1;
                    return self.expect(b'>');
                }
                _ if self.at > before => self.attribute(node)?,
                _ => return None,
            }
        }
    }

    fn attribute(&mut self, node: NodeId) -> Option<()> {
        let name = self.name()?;
        self.skip_space();
        self.expect(b'=')?;
        self.skip_space();
        let quote = self.byte();
        if quote != b'"' && quote != b'\'' {
            return None;
        }
        self.at += 1;
        let start = self.at;
        let (end, refers) = end_of_value(self.bytes, start, quote);
        self.at = end;
        self.expect(quote)?;
        let known = match name.packed {
            Some(packed) => Attr::of_packed(packed),
            None => Attr::of(self.text.get(name.at.range())?),
        };
        let earlier = self.tree.attributes(node);
        if earlier.len() >= self.limits.attributes {
            return None;
        }
        match known {
            Some(known) if self.tree.given(node) & known.bit() != 0 => return None,
            Some(_) => {}
            None => {
                let text = self.text.get(name.at.range());
                let same = |other: &AttributeNode| {
                    other.name.is_none() && self.text.get(other.name_at.range()) == text
                };
                if earlier.iter().any(same) {
                    return None;
                }
            }
        }
        let value = if start == end {
            // An empty value is shown by its quotes.
            self.tree.own_text((start - 1..end + 1).into(), Box::default())?
        } else {
            TextNode { at: (start..end).into(), own: None, refers }
        };
        self.tree.add_attribute(node, AttributeNode { name: known, name_at: name.at, value });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::{Source, xml};
    use super::*;

    fn whole(text: &str, limits: &Limits) -> Option<Tree> {
        xml::read_any(&Arc::new(Source::new("x", text)), limits).ok()
    }

    /// Where this reads a text, whoever knows all of XML reads the same.
    fn is_the_same(text: &str, limits: &Limits) -> bool {
        let Some(plain) = read(text, limits) else { return false };
        let whole = whole(text, limits).map(|tree| format!("{tree:?}"));
        assert_eq!(Some(format!("{plain:?}")), whole, "{text:?}");
        true
    }

    #[test]
    fn what_is_plain_is_read_here() {
        let limits = Limits::default();
        for text in [
            "<?xml version='1.0'?>\n<!-- a - b --> <a>\n <b c = \"'$d'\" e='' f:g.h-i='>'/>\n</a >\n",
            "<a>one<b/> t\u{e4}wo <!--c-->three%x</a>",
            "<xenrt><x/><unknown a='' b='\u{2003}'\n\tc='d'></unknown></xenrt>",
        ] {
            assert!(is_the_same(text, &limits), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_others() {
        let limits = Limits { depth: 2, attributes: 2, ..Limits::default() };
        for text in [
            "",
            " ",
            "a",
            "<a",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a b='c' b='d'/>",
            "<a x='' x=''/>",
            "<a b=c/>",
            "<a b/>",
            "<a b='<'/>",
            "<a b='c'd='e'/>",
            "<a b='\n'/>",
            "<a>&amp;</a>",
            "<a b='&lt;'/>",
            "<a>\r\n</a>",
            "<a>\u{c}</a>",
            "<a><![CDATA[b]]></a>",
            "<a><?b?></a>",
            "<!DOCTYPE a><a/>",
            "<a><!-- b -- c --></a>",
            "<a><!--></a>",
            "<a><!---></a>",
            "<a><!--b",
            "< a/>",
            "<a / >",
            "\u{feff}<a/>",
            "<a><b><c/></b></a>x",
            "<a><b><c></c></b></a>",
            "<a b='' c='' d=''/>",
            "<?php?><a/>",
            "<?xml ",
            "<a\0/>",
        ] {
            assert!(read(text, &limits).is_none(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_read_the_same(parts in proptest::collection::vec(prop_oneof![
            Just("<a>"), Just("</a>"), Just("<a/>"), Just("<b "), Just("c='d'"), Just("e=\"f$\""),
            Just("="), Just("'"), Just("\""), Just("/>"), Just(">"), Just("<"), Just(" "),
            Just("\n"), Just("\t"), Just("\r"), Just("\u{c}"), Just("text"), Just("%x%"),
            Just("\u{e4}"), Just("&amp;"), Just("<!--"), Just("-->"), Just("-"), Just("<!-- c -->"),
            Just("<?xml x?>"), Just("<?pi?>"), Just("<![CDATA["), Just("]]>"), Just("<host id='0'>"),
            Just("</host>"), Just("\0"), Just("c=''"),
        ], 0..14)) {
            let limits = Limits { depth: 3, attributes: 2, ..Limits::default() };
            let text = parts.concat();
            is_the_same(&text, &limits);
            is_the_same(&format!("<a>{text}</a>"), &limits);
        }
    }
}
