//! Text into a tree of elements, each with its place. What the elements mean is known to whoever
//! reads the tree.

mod bytes;
mod lines;
mod plain;
mod source;
mod tree;
mod xml;
mod yaml;
mod yaml_prepare;

pub(super) use source::Source;
#[cfg(test)]
pub(super) use source::{boundary_after, boundary_before};
pub(super) use tree::{
    AttributeNode, NodeId, Span, TextNode, Tree, Written, refers, trim, trimmed,
};
pub(super) use xml::read;
pub(super) use yaml::parse as parse_yaml;
pub(super) use yaml_prepare::{Meaning, keys, translate};
