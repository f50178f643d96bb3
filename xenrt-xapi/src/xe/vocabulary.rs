//! Which commands there are, and which parameters they take.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use xenrt_core::nearest::hint;

/// What a command takes besides what all take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `*-list`: filters on any field, `params=`.
    List,
    /// `*-param-set` and `event-wait`: required ones, then any field.
    Fields(&'static [&'static str]),
    /// `*-param-get` and the like: these, and these optionally.
    Fixed(&'static [&'static str], &'static [&'static str]),
    /// One of the table.
    Acts(&'static Acts),
}

/// A command of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Acts {
    pub(crate) required: Vec<&'static str>,
    pub(crate) optional: Vec<&'static str>,
    /// Whether it selects its objects by any of their fields.
    pub(crate) selects: bool,
    /// Whether it asks before it acts, unless forced.
    pub(crate) prompts: bool,
}

/// Classes that have `*-list` and the commands for parameters.
const CLASSES: &[&str] = &[
    "appliance",
    "bond",
    "cd",
    "cluster",
    "console",
    "feature",
    "host",
    "host-cpu",
    "host-crashdump",
    "message",
    "network",
    "network-sriov",
    "patch",
    "pbd",
    "pgpu",
    "pif",
    "pool",
    "pusb",
    "repository",
    "role",
    "secret",
    "snapshot",
    "sr",
    "subject",
    "task",
    "template",
    "tunnel",
    "update",
    "vbd",
    "vdi",
    "vgpu",
    "vif",
    "vlan",
    "vm",
    "vtpm",
];

static ACTS: LazyLock<BTreeMap<&'static str, Acts>> = LazyLock::new(|| {
    let lines = include_str!("commands.tsv").lines().filter(|line| !line.starts_with('#'));
    let names = |text: &'static str| text.split(',').filter(|name| !name.is_empty());
    lines
        .filter_map(|line| {
            let mut columns = line.split('\t');
            let name = columns.next()?;
            let required = names(columns.next()?).collect();
            let optional: Vec<&str> = names(columns.next()?).collect();
            let selects = optional.iter().any(|name| name.ends_with("-selectors>"));
            let prompts = columns.next() == Some("prompts");
            Some((name, Acts { required, optional, selects, prompts }))
        })
        .collect()
});

/// The form of a command.
///
/// # Errors
/// Says that there is none, with the nearest one that there is.
pub(crate) fn form(name: &str) -> Result<Form, String> {
    if let Some(acts) = ACTS.get(name) {
        return Ok(Form::Acts(acts));
    }
    let forms: &[(&str, Form)] = &[
        ("-param-list", Form::Fixed(&["uuid"], &["params"])),
        ("-list", Form::List),
        ("-param-get", Form::Fixed(&["uuid", "param-name"], &["param-key"])),
        ("-param-set", Form::Fields(&["uuid"])),
        ("-param-add", Form::Fields(&["uuid", "param-name"])),
        ("-param-remove", Form::Fixed(&["uuid", "param-name", "param-key"], &[])),
        ("-param-clear", Form::Fixed(&["uuid", "param-name"], &[])),
    ];
    let known = forms.iter().find(|(suffix, _)| {
        name.strip_suffix(suffix).is_some_and(|class| CLASSES.contains(&class))
    });
    match (known, name) {
        (Some((_, form)), _) => Ok(*form),
        (None, "event-wait") => Ok(Form::Fields(&["class"])),
        (None, _) => {
            let lists: Vec<String> = CLASSES.iter().map(|class| format!("{class}-list")).collect();
            let names = ACTS.keys().copied().chain(lists.iter().map(String::as_str));
            Err(format!("this library does not know the command {name:?}{}", hint(name, names)))
        }
    }
}

impl Form {
    /// The parameters that it requires.
    pub(crate) fn required(&self) -> &[&'static str] {
        match self {
            Self::List => &[],
            Self::Fields(required) | Self::Fixed(required, _) => required,
            Self::Acts(acts) => &acts.required,
        }
    }

    /// Whether it takes a parameter of this name.
    pub(crate) fn takes(&self, key: &str) -> bool {
        let named = |names: &[&str]| {
            names.iter().any(|name| {
                (*name == key && !name.ends_with(':'))
                    || name.ends_with(':')
                        && key.strip_prefix(name).is_some_and(|rest| !rest.is_empty())
            })
        };
        match self {
            Self::List | Self::Fields(_) => true,
            Self::Fixed(required, optional) => named(required) || named(optional),
            Self::Acts(acts) => acts.selects || named(&acts.required) || named(&acts.optional),
        }
    }

    /// The names of all parameters that it takes, for a hint.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        match self {
            Self::List => vec!["params"],
            Self::Fields(required) => required.to_vec(),
            Self::Fixed(required, optional) => [*required, *optional].concat(),
            Self::Acts(acts) => [acts.required.clone(), acts.optional.clone()].concat(),
        }
    }

    /// Whether `key` selects objects here: neither required nor one of the optional parameters.
    pub(crate) fn selected_by(&self, key: &str) -> bool {
        let Self::Acts(acts) = self else { return false };
        let named = |name: &&str| *name == key || (name.ends_with(':') && key.starts_with(*name));
        acts.selects
            && !["multiple", "minimal"].contains(&key)
            && !acts.required.iter().chain(&acts.optional).any(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_whole() {
        let lines = include_str!("commands.tsv").lines().filter(|line| !line.starts_with('#'));
        assert_eq!(ACTS.len(), lines.count());
        assert!(ACTS["vm-uninstall"].prompts && ACTS["vm-uninstall"].selects);
        assert_eq!(ACTS["vif-create"].required, ["device", "network-uuid", "vm-uuid"]);
    }

    #[test]
    fn commands_that_are_not_there_get_the_nearest_one() {
        assert!(form("vm-strat").unwrap_err().contains("vm-start"));
        assert!(form("vms-list").unwrap_err().contains("vm-list"));
        assert_eq!(form("pif-list"), Ok(Form::List));
        assert!(form("vm-param-get").unwrap().takes("param-key"));
        assert!(!form("vm-param-get").unwrap().takes("param-keys"));
        assert!(form("sr-create").unwrap().takes("device-config:server"));
        assert!(!form("sr-create").unwrap().takes("device-config:"));
    }
}
