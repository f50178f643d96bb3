//! A command as the server reads it.

use super::answer::{Answer, Failure};
use super::schema;
use super::world::{Object, World};
use crate::xe::vocabulary::{self, Form};

/// A command with its parameters.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) name: String,
    pub(super) params: Vec<(String, String)>,
    form: Option<Form>,
    /// What a person answered to a question.
    typed: Option<String>,
}

impl Request {
    /// Reads arguments, joined by line ends as the client sends them.
    pub(super) fn read(sent: &str) -> Result<Self, Failure> {
        let mut words = sent.split('\n').map(|word| word.strip_suffix('\r').unwrap_or(word));
        let name = words.next().unwrap_or_default().to_owned();
        let mut params = Vec::new();
        for word in words.filter(|word| !word.is_empty()) {
            if let Some(flag) = word.strip_prefix("--") {
                params.push((flag.to_owned(), "true".to_owned()));
            } else if word.starts_with('-') {
                return Err(Failure::usage("Syntax error: "));
            } else {
                let (key, value) = word.split_once('=').unwrap_or((word, ""));
                params.push((key.to_owned(), value.to_owned()));
            }
        }
        let form = vocabulary::form(&name).ok();
        Ok(Self { name, params, form, typed: None })
    }

    /// The same with what a person answered to its question.
    pub(super) fn typed(self, typed: Option<String>) -> Self {
        Self { typed, ..self }
    }

    /// Asks a person after having `said` something, unless it is forced.
    ///
    /// # Errors
    /// With the answer to the command, where the person did not say yes.
    pub(super) fn confirmed(&self, said: &mut String) -> Result<Result<(), Answer>, Failure> {
        if self.flag("force")? {
            return Ok(Ok(()));
        }
        said.push_str("Type 'yes' to continue\n");
        Ok(match self.typed.as_deref() {
            Some(typed) if typed.trim().eq_ignore_ascii_case("yes") => Ok(()),
            Some(typed) => {
                said.push_str(&format!("Aborted (you typed: '{typed}')\n"));
                Err(Answer::text(said.clone()))
            }
            None => {
                let stdout = said.clone().into_bytes();
                Err(Answer { stdout, asked: true, ..Answer::lost() })
            }
        })
    }

    /// Fails where a parameter that it requires is missing.
    pub(super) fn require_all(&self) -> Result<(), Failure> {
        let required = self.form.as_ref().map_or(&[][..], |form| form.required());
        match required.iter().find(|name| self.get(name).is_none()) {
            Some(missing) => {
                Err(Failure::usage(format!("Required parameter not found: {missing}")))
            }
            None => Ok(()),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, key: &str) -> Result<&str, Failure> {
        let missing = || Failure::usage(format!("Required parameter not found: {key}"));
        self.get(key).ok_or_else(missing)
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, Failure> {
        match self.get(key).map(str::to_lowercase).as_deref() {
            None | Some("false" | "f" | "no" | "n" | "0") => Ok(false),
            Some("true" | "t" | "yes" | "y" | "1") => Ok(true),
            Some(other) => Err(Failure::Client(format!(
                "Failed to parse parameter '{key}': expecting a boolean, got '{other}'"
            ))),
        }
    }

    /// An amount of bytes, with or without a unit.
    pub(super) fn size(&self, key: &str) -> Result<u64, Failure> {
        let text = self.required(key)?;
        let wrong = || {
            Failure::Client(format!(
                "Failed to parse field '{key}': expecting an integer (possibly with suffix KiB, \
                 MiB, GiB, TiB), got '{text}'"
            ))
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let shift = match &text[digits..] {
            "" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(wrong()),
        };
        number.checked_mul(1 << shift).ok_or_else(wrong)
    }

    /// The pairs of a parameter `name:key=value`.
    pub(super) fn map(&self, name: &str) -> Vec<(String, String)> {
        let prefix = format!("{name}:");
        let pair = |(key, value): &(String, String)| {
            Some((key.strip_prefix(&prefix)?.to_owned(), value.clone()))
        };
        self.params.iter().filter_map(pair).collect()
    }

    /// The filters among the parameters: all that are no parameters of the command itself.
    pub(super) fn filters(&self) -> Vec<(&str, &str)> {
        let own = |key: &str| {
            ["params", "minimal", "multiple", "force", "trace"].contains(&key)
                || self.form.is_some_and(|form| form != Form::List && !form.selected_by(key))
        };
        let pairs = self.params.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        pairs.filter(|(key, _)| !own(key)).collect()
    }

    /// The VMs (or hosts) that it selects: one, or with `--multiple` any number.
    pub(super) fn selected(&self, world: &World, class: &str) -> Result<Vec<String>, Failure> {
        let plural = if class == "vm" { "VMs" } else { "hosts" };
        let mut found = Vec::new();
        for object in world.all(class).filter(|object| class != "vm" || is_plain_vm(object)) {
            let mut all = true;
            for (key, value) in self.filters() {
                all &= if key == class {
                    object.is("uuid", value) || object.is("name-label", value)
                } else {
                    matches(object, key, value)?
                };
            }
            if all {
                found.push(object.uuid());
            }
        }
        if found.is_empty() {
            // Fields are looked at even where there is no object.
            for (key, _) in self.filters().iter().filter(|(key, _)| *key != class) {
                known_field(class, key)?;
            }
            return Err(Failure::Client(format!("No matching {plural} found")));
        }
        if found.len() > 1 && !self.flag("multiple")? {
            return Err(Failure::Client(format!(
                "Multiple matches {plural} found. --multiple required to complete the operation"
            )));
        }
        Ok(found)
    }

    /// The one VM that it is about.
    pub(super) fn vm(&self, world: &World) -> Result<String, Failure> {
        Ok(self.selected(world, "vm")?.swap_remove(0))
    }
}

/// Whether it is neither a template, a snapshot nor a control domain.
pub(super) fn is_plain_vm(object: &Object) -> bool {
    object.is("is-a-template", "false") && object.is("is-control-domain", "false")
}

fn known_field(class: &str, key: &str) -> Result<(), Failure> {
    let name = key.split(':').next().unwrap_or(key);
    let dashed = schema::fields(class)
        .iter()
        .any(|field| key.strip_prefix(field.name).is_some_and(|rest| rest.starts_with('-')));
    if schema::field(class, name).is_some() || dashed {
        return Ok(());
    }
    Err(Failure::Client(format!("Unknown field '{key}'")))
}

/// Whether a field has a value: exactly the printed one, without regard to case for two fields.
pub(super) fn matches(object: &Object, key: &str, value: &str) -> Result<bool, Failure> {
    known_field(&object.class, key)?;
    if schema::field(&object.class, key).is_some() {
        let own = object.text(key);
        let any_case = ["MAC", "device"].contains(&key);
        return Ok(own == value || (any_case && own.eq_ignore_ascii_case(value)));
    }
    let (name, sub) = match key.split_once(':') {
        Some(pair) => pair,
        None => {
            let fields = schema::fields(&object.class).iter();
            let mut dashed = fields.filter_map(|field| {
                Some((field.name, key.strip_prefix(field.name)?.strip_prefix('-')?))
            });
            dashed.next_back().unwrap_or((key, ""))
        }
    };
    if sub == "contains" && object.key(name, sub).is_none() {
        return Ok(match object.content(name) {
            super::Content::Set(members) => members.iter().any(|member| member == value),
            _ => false,
        });
    }
    Ok(object.key(name, sub).as_deref() == Some(value))
}
