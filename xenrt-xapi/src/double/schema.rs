//! Which fields objects have, in which order, and what they hold at first.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::world::Content;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    Set,
    /// The one set that is joined by commas.
    Tags,
    Map,
}

/// One field of a class.
#[derive(Debug)]
pub(super) struct FieldSchema {
    pub(super) name: &'static str,
    /// `SRO`, `RW`, ...
    access: &'static str,
    deprecated: bool,
    pub(super) kind: Kind,
    pub(super) listed: bool,
    pub(super) expensive: bool,
    default: &'static str,
}

impl FieldSchema {
    /// The name with its tag, as printed.
    pub(super) fn tagged(&self) -> String {
        let deprecated = if self.deprecated { " [DEPRECATED]" } else { "" };
        format!("{} ({:>3}){deprecated}", self.name, self.access)
    }

    pub(super) fn writable(&self) -> bool {
        self.access.ends_with("RW")
    }
}

static SCHEMA: LazyLock<HashMap<&'static str, Vec<FieldSchema>>> = LazyLock::new(|| {
    let mut classes: HashMap<&'static str, Vec<FieldSchema>> = HashMap::new();
    let lines = include_str!("schema.tsv").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let &[class, name, access, deprecated, listed, expensive, default] = columns.as_slice()
        else {
            continue;
        };
        let kind = match access.get(..1) {
            Some("S") if name == "tags" => Kind::Tags,
            Some("S") => Kind::Set,
            Some("M") => Kind::Map,
            _ => Kind::Single,
        };
        classes.entry(class).or_default().push(FieldSchema {
            name,
            access,
            deprecated: !deprecated.is_empty(),
            kind,
            listed: !listed.is_empty(),
            expensive: !expensive.is_empty(),
            default,
        });
    }
    classes
});

/// The fields of a class, in order; none for a class that is not there.
pub(super) fn fields(class: &str) -> &'static [FieldSchema] {
    SCHEMA.get(class).map_or(&[], Vec::as_slice)
}

/// The field of this name.
pub(super) fn field(class: &str, name: &str) -> Option<&'static FieldSchema> {
    fields(class).iter().find(|field| field.name == name)
}

/// What a new object holds in a field.
pub(super) fn default(class: &str, name: &str) -> Content {
    match field(class, name) {
        Some(field) => Content::read(field.default, field.kind),
        None => Content::Null,
    }
}
