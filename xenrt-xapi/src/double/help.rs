//! `xe help`.

use super::answer::{Answer, Failure};
use super::client::USAGE;
use super::program::Given;
use super::request::Request;
use super::schema::{self, Kind};
use super::world::World;
use crate::xe::vocabulary::{self, Form};

/// Commands that `xe help` names without being asked for all.
const COMMON: &[&str] = &[
    "cd-list",
    "diagnostic-vm-status",
    "network-list",
    "snapshot-clone",
    "snapshot-copy",
    "snapshot-disk-list",
    "snapshot-export-to-template",
    "snapshot-reset-powerstate",
    "snapshot-revert",
    "snapshot-uninstall",
    "sr-list",
    "template-export",
    "template-uninstall",
    "vm-cd-add",
    "vm-cd-eject",
    "vm-cd-insert",
    "vm-cd-list",
    "vm-cd-remove",
    "vm-checkpoint",
    "vm-clone",
    "vm-compute-maximum-memory",
    "vm-copy",
    "vm-disk-add",
    "vm-disk-list",
    "vm-disk-remove",
    "vm-export",
    "vm-import",
    "vm-install",
    "vm-list",
    "vm-migrate",
    "vm-pause",
    "vm-reboot",
    "vm-reset-powerstate",
    "vm-restart-device-models",
    "vm-resume",
    "vm-shutdown",
    "vm-snapshot",
    "vm-snapshot-with-quiesce",
    "vm-start",
    "vm-suspend",
    "vm-uninstall",
    "vm-unpause",
    "vm-vif-list",
];

/// How long a line of their names is at most.
const WIDTH: usize = 76;

/// What stands before the name of a command that the pool has a description of.
pub(super) const DESCRIPTION: &str = "help ";

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    (request.name == "help").then(|| {
        if request.params.is_empty() {
            return Ok(Answer::text(common()));
        }
        let about = request.params.iter().map(|(name, _)| command(world, name));
        Ok::<_, Failure>(Answer::text(about.collect::<String>()))
    })
}

/// The usage, and the commands that are used most.
fn common() -> String {
    // The server knows less of the client's own arguments than the client does.
    let own = ["--minimal ", "--trace "];
    let usage = USAGE.split("A full list").next().unwrap_or_default();
    let known = usage.lines().filter(|line| !own.iter().any(|own| line.contains(own)));
    let mut text: String = known.map(|line| format!("{line}\n")).collect();
    text.push_str(
        "To get help on a specific command:\n  xe help <command>\n\n\
         To get a full listing of commands:\n  xe help --all\n\n\
         Common command list\n-------------------\n\n",
    );
    let mut line = String::new();
    for name in COMMON {
        if line.is_empty() {
            line = format!("    {name}");
        } else if line.len() + ", ".len() + name.len() > WIDTH {
            text.push_str(&format!("{line}\n"));
            line = format!("    {name}");
        } else {
            line.push_str(&format!(", {name}"));
        }
    }
    text + &line + "\n"
}

/// What there is to say of one command.
fn command(world: &World, name: &str) -> String {
    let Ok(form) = vocabulary::form(name) else { return format!("Unknown command '{name}'\n") };
    let optional: Vec<String> = match form {
        Form::Acts(acts) => acts.optional.iter().map(|name| (*name).to_owned()).collect(),
        Form::Fixed(_, optional) => optional.iter().map(|name| (*name).to_owned()).collect(),
        Form::List => filters(name),
        Form::Fields(_) => Vec::new(),
    };
    let pool = world.only("pool").ok();
    let described = pool.and_then(|pool| pool.hidden(&format!("{DESCRIPTION}{name}")));
    format!(
        "command name            : {name}\n        reqd params     : {}\n        \
         optional params : {}\n        description     : {}\n\n\n",
        form.required().join(", "),
        optional.join(", "),
        described.unwrap_or("Not described in this world.")
    )
}

/// What a list takes: the fields of its class, and the members of those that are sets.
fn filters(list: &str) -> Vec<String> {
    let class = list.strip_suffix("-list").unwrap_or(list);
    let class = if ["snapshot", "template"].contains(&class) { "vm" } else { class };
    let fields = || schema::fields(class).iter();
    let sets = fields().filter(|field| matches!(field.kind, Kind::Set | Kind::Tags));
    ["params", "database:"]
        .iter()
        .map(|name| (*name).to_owned())
        .chain(fields().map(|field| field.name.to_owned()))
        .chain(sets.map(|field| format!("{}:contains", field.name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the real one lists them for the classes that it is known of.
    #[test]
    fn a_list_takes_its_fields_and_the_members_of_its_sets() {
        let of = |list| filters(list).join(", ");
        assert_eq!(
            of("message-list"),
            "params, database:, uuid, name, priority, class, obj-uuid, timestamp, body"
        );
        assert_eq!(
            of("patch-list"),
            "params, database:, uuid, name-label, name-description, size, hosts, \
             after-apply-guidance, update, hosts:contains, after-apply-guidance:contains"
        );
    }
}
