//! What the double keeps.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xenrt_core::sim::NetbackFault;

use super::answer::Failure;
use super::defects::Defect;
use super::rules::Rule;
use super::schema::{self, Kind};

/// The content of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// A reference to nothing.
    Null,
    /// One value.
    Text(String),
    /// Members of a set.
    Set(Vec<String>),
    /// Pairs of a map, in the order in which they are printed.
    Map(Vec<(String, String)>),
}

impl Content {
    /// What `printed` is for a field of `kind`.
    pub(super) fn read(printed: &str, kind: Kind) -> Self {
        if printed == "<not in database>" {
            return Self::Null;
        }
        let parts = |separator| match printed {
            "" => Vec::new(),
            _ => printed.split(separator).map(str::to_owned).collect::<Vec<String>>(),
        };
        match kind {
            Kind::Single => Self::Text(printed.to_owned()),
            Kind::Set => Self::Set(parts("; ")),
            Kind::Tags => Self::Set(parts(", ")),
            Kind::Map => {
                let pair = |part: String| match part.split_once(": ") {
                    Some((key, value)) => (key.to_owned(), value.to_owned()),
                    None => (part, String::new()),
                };
                Self::Map(parts("; ").into_iter().map(pair).collect())
            }
        }
    }
}

/// One object of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its class: `vm`, `vdi`, ...
    pub(super) class: String,
    /// Its fields; those that are not here have the value of a new object.
    pub(super) fields: BTreeMap<String, Content>,
    /// What it is made of beyond what xapi shows: the memory of a checkpoint, disks of a template.
    #[serde(default)]
    pub(super) hidden: BTreeMap<String, String>,
}

impl Object {
    /// A new object with an identity of its own.
    pub fn new(class: &str) -> Self {
        Self::with_uuid(class, Uuid::new_v4().to_string())
    }

    /// A new object with this identity.
    pub fn with_uuid(class: &str, uuid: impl Into<String>) -> Self {
        let (class, fields) = (class.to_owned(), BTreeMap::new());
        Self { class, fields, hidden: BTreeMap::new() }.with("uuid", uuid)
    }

    /// With a field as `xe` would print it. A field that its class has not is an error of the test
    /// and left out.
    #[must_use]
    pub fn with(mut self, field: &str, printed: impl Into<String>) -> Self {
        self.set(field, printed);
        self
    }

    /// With something that xapi does not show; see the field of that name.
    #[must_use]
    pub fn with_hidden(mut self, key: &str, value: impl Into<String>) -> Self {
        self.hidden.insert(key.to_owned(), value.into());
        self
    }

    /// Its identity.
    pub fn uuid(&self) -> String {
        self.text("uuid")
    }

    /// Something that xapi does not show: `boot` of a VM differs after each boot.
    pub fn hidden(&self, key: &str) -> Option<&str> {
        self.hidden.get(key).map(String::as_str)
    }

    /// A field's content.
    pub(super) fn content(&self, field: &str) -> Content {
        self.fields.get(field).cloned().unwrap_or_else(|| schema::default(&self.class, field))
    }

    /// A field as `xe` prints it.
    pub fn text(&self, field: &str) -> String {
        let tags = schema::field(&self.class, field).is_some_and(|known| known.kind == Kind::Tags);
        match self.content(field) {
            Content::Null => "<not in database>".to_owned(),
            Content::Text(text) => text,
            Content::Set(members) => members.join(if tags { ", " } else { "; " }),
            Content::Map(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| format!("{key}: {value}"));
                pairs.collect::<Vec<_>>().join("; ")
            }
        }
    }

    pub(super) fn set(&mut self, field: &str, printed: impl Into<String>) {
        if let Some(known) = schema::field(&self.class, field) {
            let content = Content::read(&printed.into(), known.kind);
            self.fields.insert(field.to_owned(), content);
        }
    }

    pub(super) fn put(&mut self, field: &str, content: Content) {
        self.fields.insert(field.to_owned(), content);
    }

    pub(super) fn is(&self, field: &str, value: &str) -> bool {
        self.text(field) == value
    }

    /// `UUID (name)`, as references are shown in errors.
    pub(super) fn reference(&self) -> String {
        let name = self.text("name-label");
        let named = schema::field(&self.class, "name-label").is_some();
        if named { format!("{} ({name})", self.uuid()) } else { self.uuid() }
    }

    pub(super) fn number(&self, field: &str) -> u64 {
        self.text(field).parse().unwrap_or(0)
    }

    /// The value of a key of a map.
    pub(super) fn key(&self, field: &str, key: &str) -> Option<String> {
        match self.content(field) {
            Content::Map(pairs) => pairs.into_iter().find(|(own, _)| own == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub(super) fn remove_key(&mut self, field: &str, key: &str) {
        let Content::Map(mut pairs) = self.content(field) else { return };
        pairs.retain(|(own, _)| own != key);
        self.put(field, Content::Map(pairs));
    }

    pub(super) fn set_key(&mut self, field: &str, key: &str, value: &str) {
        let mut pairs = match self.content(field) {
            Content::Map(pairs) => pairs,
            Content::Null => Vec::new(),
            Content::Text(_) | Content::Set(_) => return,
        };
        pairs.retain(|(own, _)| own != key);
        pairs.insert(0, (key.to_owned(), value.to_owned()));
        self.put(field, Content::Map(pairs));
    }
}

/// Everything that there is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct World {
    /// The objects, in the order in which they are listed.
    pub(super) objects: Vec<Object>,
    /// What goes wrong.
    pub(super) rules: Vec<Rule>,
    /// How many domains and addresses were given out.
    pub(super) domains: u32,
    /// Who may log in from elsewhere: user and password.
    pub(super) login: Option<(String, String)>,
    /// The coordinator's address, where this host is none.
    pub(super) coordinator: Option<String>,
    /// How many looks at a guest's addresses find none after it started.
    pub(super) agent_delay: u32,
    /// What is broken about this double.
    #[serde(default)]
    pub(super) defect: Option<Defect>,
    /// Whether the coordinator is gone.
    #[serde(default)]
    pub(super) emergency: bool,
    /// The worlds of other pools, by the addresses of their coordinators.
    #[serde(default)]
    pub(super) pools: BTreeMap<String, PathBuf>,
    /// What is wrong with the VIFs of guests.
    #[serde(default)]
    pub(super) netback: Option<NetbackFault>,
    /// Where the worlds of other hosts are, by their addresses.
    #[serde(default)]
    pub(super) peers: BTreeMap<String, PathBuf>,
    /// The world of the pool that its host joined.
    #[serde(default)]
    pub(super) joined: Option<PathBuf>,
    /// Where the worlds are that hosts which joined had alone, by the identities of the hosts.
    #[serde(default)]
    pub(super) homes: BTreeMap<String, PathBuf>,
}

impl World {
    /// A world with nothing in it.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds an object.
    pub fn add(&mut self, object: Object) -> String {
        let uuid = object.uuid();
        self.objects.push(object);
        uuid
    }

    /// The objects of a class. Templates and snapshots are VMs.
    pub fn all<'a>(&'a self, class: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects.iter().filter(move |object| object.class == class)
    }

    /// The object of this class with this identity.
    pub fn object(&self, class: &str, uuid: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.class == class && object.is("uuid", uuid))
    }

    /// Notes beside an object what `xe` does not show; copies of the object have it too. Nothing where
    /// there is no such object.
    pub fn hide(&mut self, class: &str, uuid: &str, key: &str, value: impl Into<String>) {
        if let Some(object) = self.object_mut(class, uuid) {
            object.hidden.insert(key.to_owned(), value.into());
        }
    }

    pub(super) fn object_mut(&mut self, class: &str, uuid: &str) -> Option<&mut Object> {
        self.objects.iter_mut().find(|object| object.class == class && object.is("uuid", uuid))
    }

    /// The object, or the API's error for an identity that is not there.
    pub(super) fn find(&self, class: &str, uuid: &str) -> Result<&Object, Failure> {
        self.object(class, uuid).ok_or_else(|| no_such(class, uuid))
    }

    pub(super) fn find_mut(&mut self, class: &str, uuid: &str) -> Result<&mut Object, Failure> {
        self.object_mut(class, uuid).ok_or_else(|| no_such(class, uuid))
    }

    pub(super) fn remove(&mut self, class: &str, uuid: &str) {
        self.objects.retain(|object| object.class != class || !object.is("uuid", uuid));
    }

    /// The first object of a class: the host, the pool.
    pub(super) fn only(&self, class: &str) -> Result<&Object, Failure> {
        let none = || Failure::internal(format!("this world has no {class}"));
        self.objects.iter().find(|object| object.class == class).ok_or_else(none)
    }
}

/// What xapi calls a class in errors.
fn no_such(class: &str, uuid: &str) -> Failure {
    let name = match class {
        "host" | "task" | "network" | "pool" | "console" | "message" | "secret" => class.to_owned(),
        "bond" => "Bond".to_owned(),
        _ => class.to_uppercase(),
    };
    Failure::api("UUID_INVALID", [name, uuid.to_owned()])
}
