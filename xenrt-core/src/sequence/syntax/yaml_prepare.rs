//! The other form of `<prepare>`, a value of YAML, into the elements that mean the same.

use std::ops::Range;

use super::yaml::{Yaml, YamlValue};
use super::{AttributeNode, NodeId, Span, Tree};
use crate::sequence::vocabulary::{Attr, Content, Tag, Word};

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sequence) enum Meaning {
    /// An attribute, of the same name or nearly so.
    Attribute(Attr),
    /// A child with a text.
    Text(Tag),
    /// A child for each item.
    Each(Tag),
    /// A child with children of its own for the items.
    Around(Tag, Tag),
    /// A child that holds the description as it is.
    Description(Tag),
    /// So many children, or one for each number of a list.
    Counted(Tag, Attr),
    /// A child that is there or not, with an attribute that may say how.
    Use(Tag, Option<Attr>),
}

/// Keys that are not called like the attribute or element that they stand for.
const RENAMED: &[(&str, Word, Meaning)] = &[
    ("name", Word::Host, Meaning::Attribute(Attr::Alias)),
    ("install_sr_type", Word::Host, Meaning::Attribute(Attr::Installsr)),
    ("end", Word::Allhosts, Meaning::Attribute(Attr::Stop)),
    ("count", Word::Disk, Meaning::Attribute(Attr::Number)),
    ("deployment_profile", Word::Blueprint, Meaning::Attribute(Attr::Profile)),
    ("network", Word::Vif, Meaning::Attribute(Attr::Bridge)),
    ("sr", Word::Vm, Meaning::Text(Tag::Storage)),
    ("file_name", Word::Vm, Meaning::Text(Tag::File)),
    ("nics", Word::Physical, Meaning::Counted(Tag::Nic, Attr::Enum)),
    ("specified_nics", Word::Physical, Meaning::Counted(Tag::Nic, Attr::Enum)),
    ("management", Word::Physical, Meaning::Use(Tag::Management, Some(Attr::Mode))),
    ("storage", Word::Physical, Meaning::Use(Tag::StorageUse, Some(Attr::Mode))),
    ("vms", Word::Physical, Meaning::Use(Tag::GuestUse, None)),
    ("network", Word::Host, Meaning::Each(Tag::Network)),
];

/// Keys with a list of things behind them.
const LISTS: &[(&str, Meaning)] = &[
    ("pools", Meaning::Each(Tag::Pool)),
    ("hosts", Meaning::Each(Tag::Host)),
    ("multihosts", Meaning::Each(Tag::Allhosts)),
    ("utilityvms", Meaning::Around(Tag::Sharedhost, Tag::Vm)),
    ("templates", Meaning::Each(Tag::Template)),
    ("instances", Meaning::Each(Tag::Instance)),
    ("vlans", Meaning::Each(Tag::Vlan)),
    ("vlans", Meaning::Each(Tag::TaggedNetwork)),
    ("blueprints", Meaning::Each(Tag::Blueprint)),
    ("cloud", Meaning::Description(Tag::Cloud)),
    ("srs", Meaning::Each(Tag::Storage)),
    ("bridges", Meaning::Each(Tag::Bridge)),
    ("vms", Meaning::Each(Tag::Vm)),
    ("vm_groups", Meaning::Each(Tag::Vmgroup)),
    ("physical_networks", Meaning::Each(Tag::Physical)),
    ("vifs", Meaning::Each(Tag::Vif)),
    ("disks", Meaning::Each(Tag::Disk)),
    ("postinstall", Meaning::Each(Tag::Postinstall)),
    ("scripts", Meaning::Each(Tag::Script)),
];

/// Words whose keys are those of another.
fn like(word: Word) -> Word {
    match word {
        Word::Vmgroup | Word::Template => Word::Vm,
        Word::Pool | Word::Allhosts => Word::Host,
        Word::Vlan => Word::Physical,
        Word::Preprepare => Word::Prepare,
        other => other,
    }
}

/// Every key of an element, and what it stands for.
pub(in crate::sequence) fn keys(word: Word) -> Vec<(String, Meaning)> {
    let mut keys: Vec<(String, Meaning)> = Vec::new();
    let fits = |meaning: Meaning| match meaning {
        Meaning::Attribute(attribute) => word.has(attribute),
        Meaning::Text(tag) | Meaning::Each(tag) | Meaning::Around(tag, _) => {
            word.child(tag) != Word::Unknown
        }
        Meaning::Description(tag) | Meaning::Counted(tag, _) | Meaning::Use(tag, _) => {
            word.child(tag) != Word::Unknown
        }
    };
    for (key, of, meaning) in RENAMED {
        if (word == *of || like(word) == *of) && fits(*meaning) {
            keys.push(((*key).to_owned(), *meaning));
        }
    }
    for (key, meaning) in LISTS {
        if fits(*meaning) && !keys.iter().any(|(known, _)| known == key) {
            keys.push(((*key).to_owned(), *meaning));
        }
    }
    for attribute in word.attributes().filter(|attribute| attribute.name != Attr::Filter) {
        let key = snake(attribute.name.name());
        let taken = |meaning: &Meaning| *meaning == Meaning::Attribute(attribute.name);
        if !keys.iter().any(|(known, meaning)| *known == key || taken(meaning)) {
            keys.push((key, Meaning::Attribute(attribute.name)));
        }
    }
    for child in word.children() {
        let meaning = Meaning::Text(child.tag());
        let key = snake(child.tag().name());
        let text = matches!(child.content(), Content::Text(_));
        if text && !keys.iter().any(|(known, other)| *known == key || *other == meaning) {
            keys.push((key, meaning));
        }
    }
    // Of the file that a guest is imported from.
    if word.child(Tag::File) != Word::Unknown {
        keys.push((String::from("user"), Meaning::Attribute(Attr::User)));
    }
    keys
}

/// `productType` as `product_type`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for character in name.chars() {
        if character.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(if character == '-' { '_' } else { character.to_ascii_lowercase() });
    }
    snake
}

/// Names that differ by case and signs alone are the same.
fn same(key: &str, name: &str) -> bool {
    fn plain(text: &str) -> impl Iterator<Item = u8> {
        let bytes = text.bytes().filter(|byte| !matches!(byte, b'_' | b'-'));
        bytes.map(|byte| byte.to_ascii_lowercase())
    }
    plain(key).eq(plain(name))
}

/// A problem of a translation: a message, what is expected, and where.
pub(in crate::sequence) type Told = (String, String, Span);

/// The elements that a description of `<prepare>` stands for, as children of `into`.
pub(in crate::sequence) fn translate(
    tree: &mut Tree,
    into: NodeId,
    word: Word,
    description: &Yaml,
    place: &dyn Fn(&Range<usize>) -> Span,
) -> Vec<Told> {
    let mut translator = Translator { tree, place, told: Vec::new() };
    translator.tree.clear_children(into);
    translator.children(into, word, description);
    translator.told
}

struct Translator<'a> {
    tree: &'a mut Tree,
    place: &'a dyn Fn(&Range<usize>) -> Span,
    told: Vec<Told>,
}

impl Translator<'_> {
    /// An element with its attributes, then its children.
    fn element(&mut self, tag: Tag, word: Word, value: &Yaml) -> Option<NodeId> {
        let start = value.at.start..value.at.start + 1;
        let node = self.tree.add_element((self.place)(&start), Some(tag))?;
        let keys = keys(word);
        match &value.value {
            YamlValue::Map(pairs) => {
                for (key, item) in pairs {
                    let name = key.scalar().unwrap_or("");
                    let found = keys.iter().find(|(known, _)| same(known, name));
                    let Some((_, Meaning::Attribute(attribute))) = found else { continue };
                    if *attribute == Attr::User || item.is_null() {
                        continue;
                    }
                    let text = match attribute {
                        Attr::ExtraConfig => Some(item.to_json().to_string()),
                        _ => item.flat(),
                    };
                    match text {
                        Some(text) => self.attribute(node, *attribute, text, key, item),
                        None => self.tell(item, format!("`{name}` is not a text"), "a text"),
                    }
                }
                self.children(node, word, value);
            }
            // The one thing that there is to say about it.
            YamlValue::Scalar { text, .. } => {
                let main = match tag {
                    Tag::Postinstall => Some(Attr::Action),
                    _ if word.has(Attr::Name) => Some(Attr::Name),
                    _ => None,
                };
                match main {
                    Some(name) => self.attribute(node, name, text.clone(), value, value),
                    None => self.tell(value, format!("a text for {}", tag.name()), "a map"),
                }
            }
            YamlValue::List(_) => {
                self.tell(value, format!("a list for one {}", tag.name()), "a map");
            }
        }
        Some(node)
    }

    fn attribute(&mut self, node: NodeId, name: Attr, text: String, key: &Yaml, value: &Yaml) {
        let value = self.tree.own_text((self.place)(&value.at), text.into_boxed_str());
        let Some(value) = value else { return };
        let name_at = (self.place)(&key.at);
        self.tree.add_attribute(node, AttributeNode { name: Some(name), name_at, value });
    }

    fn children(&mut self, parent: NodeId, word: Word, value: &Yaml) {
        let YamlValue::Map(pairs) = &value.value else {
            let message = "a description that is not a map".to_owned();
            return self.tell(value, message, "a map with keys such as `hosts` or `pools`");
        };
        let keys = keys(word);
        let mut last = None;
        for (key, item) in pairs {
            let name = key.scalar().unwrap_or("");
            let Some((_, meaning)) = keys.iter().find(|(known, _)| same(known, name)) else {
                let names = keys.iter().map(|(name, _)| name.as_str());
                let hint = match crate::nearest::nearest(name, names.clone()) {
                    Some(near) => format!("`{near}`"),
                    None => names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
                };
                let message = format!("unknown key `{name}` of {}", word.tag().name());
                self.tell(key, message, &hint);
                continue;
            };
            if item.is_null() {
                continue;
            }
            let mut nodes = Vec::new();
            match *meaning {
                Meaning::Attribute(_) => {}
                Meaning::Text(tag) => nodes.extend(self.text(tag, item, pairs)),
                Meaning::Description(tag) => {
                    nodes.extend(self.with_text(tag, item.to_json().to_string(), item));
                }
                Meaning::Each(tag) => {
                    let child = word.child(tag);
                    for item in items(item) {
                        nodes.extend(self.element(tag, child, item));
                    }
                }
                Meaning::Around(tag, inner) => {
                    let at = (self.place)(&key.at);
                    if let Some(node) = self.tree.add_element(at, Some(tag)) {
                        let child = word.child(tag).child(inner);
                        let mut before = None;
                        for item in items(item) {
                            let Some(inside) = self.element(inner, child, item) else { continue };
                            self.tree.link(node, before, inside);
                            before = Some(inside);
                        }
                        nodes.push(node);
                    }
                }
                Meaning::Counted(tag, attribute) => nodes = self.counted(tag, attribute, item),
                Meaning::Use(tag, mode) => nodes.extend(self.used(tag, mode, item)),
            }
            for node in nodes {
                self.tree.link(parent, last, node);
                last = Some(node);
            }
        }
    }

    fn text(&mut self, tag: Tag, item: &Yaml, pairs: &[(Yaml, Yaml)]) -> Option<NodeId> {
        let Some(text) = item.flat() else {
            self.tell(item, format!("`{}` is not a text", tag.name()), "a text");
            return None;
        };
        let node = self.tree.add_element((self.place)(&item.at), Some(tag))?;
        if tag == Tag::File {
            let user = pairs.iter().find(|(key, _)| key.scalar() == Some("user"));
            if let Some((key, value)) = user
                && let Some(flag) = value.flat()
            {
                self.attribute(node, Attr::User, flag, key, value);
            }
        }
        self.put_text(node, text, item);
        Some(node)
    }

    fn with_text(&mut self, tag: Tag, text: String, item: &Yaml) -> Option<NodeId> {
        let node = self.tree.add_element((self.place)(&item.at), Some(tag))?;
        self.put_text(node, text, item);
        Some(node)
    }

    fn put_text(&mut self, node: NodeId, text: String, item: &Yaml) {
        let text = self.tree.own_text((self.place)(&item.at), text.into_boxed_str());
        if let Some(text) = text.and_then(|text| self.tree.add_text(text)) {
            self.tree.link(node, None, text);
        }
    }

    fn counted(&mut self, tag: Tag, attribute: Attr, item: &Yaml) -> Vec<NodeId> {
        const MOST: usize = 256;
        if let YamlValue::List(numbers) = &item.value {
            let mut nodes = Vec::new();
            for number in numbers {
                let at = (self.place)(&number.at);
                let (Some(text), Some(node)) =
                    (number.flat(), self.tree.add_element(at, Some(tag)))
                else {
                    continue;
                };
                self.attribute(node, attribute, text, number, number);
                nodes.push(node);
            }
            return nodes;
        }
        let count = item.scalar().and_then(|text| text.parse::<usize>().ok());
        let Some(count) = count.filter(|count| *count <= MOST) else {
            let expected = "how many, or a list of numbers";
            self.tell(item, format!("not a number of {}", tag.name()), expected);
            return Vec::new();
        };
        let at = (self.place)(&item.at);
        (0..count).filter_map(|_| self.tree.add_element(at, Some(tag))).collect()
    }

    fn used(&mut self, tag: Tag, mode: Option<Attr>, item: &Yaml) -> Option<NodeId> {
        let (said, at) = match &item.value {
            YamlValue::Map(pairs) => {
                let mode = pairs.iter().find(|(key, _)| key.scalar() == Some("mode"));
                (mode.and_then(|(_, value)| value.scalar()), item)
            }
            _ => (item.scalar(), item),
        };
        let flag = said.map(|said| said.to_ascii_lowercase());
        if matches!(flag.as_deref(), Some("false" | "no" | "0")) {
            return None;
        }
        let node = self.tree.add_element((self.place)(&item.at), Some(tag))?;
        if let (Some(attribute), Some(said)) = (mode, said)
            && !matches!(flag.as_deref(), Some("true" | "yes" | "1"))
        {
            self.attribute(node, attribute, said.to_owned(), at, at);
        }
        Some(node)
    }

    fn tell(&mut self, item: &Yaml, message: String, expected: &str) {
        self.told.push((message, format!("expected {expected}"), (self.place)(&item.at)));
    }
}

/// The items of a list; something else is one item.
fn items(value: &Yaml) -> &[Yaml] {
    match &value.value {
        YamlValue::List(items) => items,
        _ => std::slice::from_ref(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_original() {
        for (word, key) in [
            (Word::Prepare, "multihosts"),
            (Word::Host, "product_type"),
            (Word::Host, "disk_count"),
            (Word::Host, "extra_config"),
            (Word::Pool, "vm_groups"),
            (Word::Vm, "cores_per_socket"),
            (Word::Vm, "boot_params"),
            (Word::Physical, "bond_mode"),
            (Word::CloudTemplate, "root_disk"),
        ] {
            let keys = keys(word);
            assert!(keys.iter().any(|(known, _)| same(known, key)), "{key} of {word:?}: {keys:?}");
        }
    }
}
