//! YAML, of which JSON is a part: texts into values with their places, and the other form of
//! `<prepare>` into the elements that mean the same.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{AttributeNode, NodeId, Span, Tree};
use crate::sequence::vocabulary::{Attr, Content, Tag, Word};

/// A value with the bytes that it begins at.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sequence) struct Yaml {
    pub(in crate::sequence) value: YamlValue,
    pub(in crate::sequence) at: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::sequence) enum YamlValue {
    /// A text; `plain` where it has no quotes, so that it may be a number.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Yaml>),
    Map(Vec<(Yaml, Yaml)>),
}

/// Why a text is not a value, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sequence) struct YamlError {
    pub(in crate::sequence) message: String,
    pub(in crate::sequence) at: usize,
}

/// Values within values.
const DEEPEST: usize = 64;

/// The value of a text with one document.
pub(in crate::sequence) fn parse(text: &str) -> Result<Yaml, YamlError> {
    let bytes = byte_offsets(text);
    let byte = |index: usize| match &bytes {
        Some(bytes) => bytes.get(index).copied().unwrap_or(text.len()),
        None => index.min(text.len()),
    };
    let mut open: Vec<Yaml> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            message: error.info().to_owned(),
            at: byte(error.marker().index()),
        })?;
        let at = byte(span.start.index())..byte(span.end.index());
        let start = at.start;
        let wrong = |message: &str| Err(YamlError { message: message.to_owned(), at: start });
        let closed = match event {
            Event::Scalar(text, style, _, _) => {
                let plain = style == ScalarStyle::Plain;
                Some(Yaml { value: YamlValue::Scalar { text: text.into_owned(), plain }, at })
            }
            Event::SequenceStart(..) => {
                open.push(Yaml { value: YamlValue::List(Vec::new()), at });
                None
            }
            Event::MappingStart(..) => {
                open.push(Yaml { value: YamlValue::Map(Vec::new()), at });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop(),
            // A few lines of aliases can stand for more than any memory holds.
            Event::Alias(_) => return wrong("an alias (`*name`), which is not understood here"),
            Event::DocumentStart(_) if root.is_some() => return wrong("a second document"),
            _ => None,
        };
        if open.len() > DEEPEST {
            return wrong("too many values within values");
        }
        let Some(closed) = closed else { continue };
        match open.last_mut() {
            None => root = Some(closed),
            Some(Yaml { value: YamlValue::List(list), .. }) => list.push(closed),
            Some(Yaml { value: YamlValue::Map(pairs), .. }) => match pairs.last_mut() {
                // A key whose value is still to come stands twice, since it is never a value that
                // begins before its key ends.
                Some((key, value)) if is_open(key, value) => *value = closed,
                _ => pairs.push((closed.clone(), Yaml { value: open_mark(), at: closed.at })),
            },
            Some(Yaml { value: YamlValue::Scalar { .. }, .. }) => {}
        }
    }
    root.ok_or_else(|| YamlError { message: "no value".to_owned(), at: text.len() })
}

/// What stands for a value that is still to come: no value of a text is like this.
fn open_mark() -> YamlValue {
    YamlValue::Scalar { text: String::from("\0"), plain: false }
}

fn is_open(key: &Yaml, value: &Yaml) -> bool {
    key.at == value.at && value.value == open_mark()
}

/// The byte of each character; `None` where each is one byte.
fn byte_offsets(text: &str) -> Option<Vec<usize>> {
    (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect())
}

impl Yaml {
    /// A text, where it is one; nothing and null are none.
    fn scalar(&self) -> Option<&str> {
        match &self.value {
            YamlValue::Scalar { text, plain } => {
                let null = *plain && matches!(text.as_str(), "" | "~" | "null" | "None");
                (!null).then_some(text)
            }
            YamlValue::List(_) | YamlValue::Map(_) => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self.value, YamlValue::Scalar { .. }) && self.scalar().is_none()
    }

    /// The same without places.
    pub(in crate::sequence) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.value {
            YamlValue::Scalar { .. } if self.is_null() => Value::Null,
            YamlValue::Scalar { text, plain: false } => Value::String(text.clone()),
            YamlValue::Scalar { text, plain: true } => match text.as_str() {
                "true" | "True" => Value::Bool(true),
                "false" | "False" => Value::Bool(false),
                number => {
                    let number = number.parse::<i64>().ok().map(Value::from).or_else(|| {
                        let decimal = number.parse::<f64>().ok()?;
                        serde_json::Number::from_f64(decimal).map(Value::Number)
                    });
                    number.unwrap_or_else(|| Value::String(text.clone()))
                }
            },
            YamlValue::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            YamlValue::Map(pairs) => Value::Object(
                pairs
                    .iter()
                    .map(|(key, value)| (key.scalar().unwrap_or("").to_owned(), value.to_json()))
                    .collect(),
            ),
        }
    }

    /// A text, or the texts of a list with commas between them, or `name=value` of a map.
    fn flat(&self) -> Option<String> {
        match &self.value {
            YamlValue::Scalar { .. } => self.scalar().map(str::to_owned),
            YamlValue::List(items) => {
                let items: Option<Vec<_>> = items.iter().map(Self::flat).collect();
                items.map(|items| items.join(","))
            }
            YamlValue::Map(pairs) => {
                let pairs: Option<Vec<_>> = pairs
                    .iter()
                    .map(|(key, value)| Some(format!("{}={}", key.scalar()?, value.flat()?)))
                    .collect();
                pairs.map(|pairs| pairs.join(","))
            }
        }
    }
}

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
    use proptest::prelude::*;

    #[test]
    fn json_is_yaml_and_commas_may_trail() {
        let value = parse("\n { \"hosts\": [ { \"id\": 0, \"größe\": \"1\", } ] }").unwrap();
        let expected = serde_json::json!({ "hosts": [ { "id": 0, "größe": "1" } ] });
        assert_eq!(value.to_json(), expected);
        let YamlValue::Map(pairs) = &value.value else { panic!("{value:?}") };
        assert_eq!(pairs[0].0.at, 4..11);
    }

    #[test]
    fn what_could_explode_is_refused() {
        let aliases = parse("a: &a [1]\nb: [*a, *a]").unwrap_err();
        assert!(aliases.message.contains("alias"), "{aliases:?}");
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert!(parse("a\n---\nb").is_err());
        assert!(parse("").is_err());
    }

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

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s)[\\[\\]{}:, \n\"'a*&|>-]{0,60}") {
            if let Err(error) = parse(&text) {
                prop_assert!(error.at <= text.len());
            }
        }
    }
}
