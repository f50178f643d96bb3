//! Lists, records and parameters.

use super::answer::{Answer, Failure};
use super::program::Given;
use super::request::{Request, matches};
use super::schema::{self, FieldSchema, Kind};
use super::world::{Content, Object, World};
use super::{printer, request};

/// Which objects of a class a list shows.
type Shown = fn(&Object) -> bool;

/// The class behind a name of commands, and which objects of it are shown.
fn class_of(name: &str) -> Option<(&'static str, Shown)> {
    let any: Shown = |_| true;
    Some(match name {
        "vm" => ("vm", |vm| vm.is("is-a-template", "false")),
        "template" => {
            ("vm", |vm| vm.is("is-a-template", "true") && vm.is("is-a-snapshot", "false"))
        }
        "snapshot" => ("vm", |vm| vm.is("is-a-snapshot", "true")),
        "host" => ("host", any),
        "pool" => ("pool", any),
        "network" => ("network", any),
        "pif" => ("pif", any),
        "vif" => ("vif", any),
        "vbd" => ("vbd", any),
        "vdi" => ("vdi", |vdi| vdi.is("managed", "true")),
        "sr" => ("sr", any),
        "pbd" => ("pbd", any),
        "vlan" => ("vlan", any),
        "bond" => ("bond", any),
        "task" => ("task", any),
        "message" => ("message", any),
        "console" => ("console", any),
        "role" => ("role", any),
        "secret" => ("secret", any),
        "host-crashdump" => ("crashdump", any),
        "patch" => ("patch", any),
        "update" => ("update", any),
        // Classes of which this world never has an object.
        "appliance" | "cluster" | "feature" | "network-sriov" | "pgpu" | "pusb" | "repository"
        | "tunnel" | "vgpu" | "vtpm" => ("none", |_| false),
        _ => return None,
    })
}

/// Fields that a plain list shows, where they are not those of the class.
fn listed(name: &str) -> Option<&'static [&'static str]> {
    match name {
        "template" => Some(&["uuid", "name-label", "name-description"]),
        "snapshot" => Some(&["uuid", "name-label", "name-description", "is-vmss-snapshot"]),
        _ => None,
    }
}

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    const ENDS: &[&str] =
        &["-param-list", "-param-get", "-param-set", "-param-add", "-param-remove", "-param-clear"];
    if request.name == "cd-list" {
        return Some(cd_list(world, request));
    }
    let end = ENDS.iter().find(|end| request.name.ends_with(**end)).copied();
    let name = request.name.strip_suffix(end.unwrap_or("-list"))?;
    let (class, shown) = class_of(name)?;
    Some(request.require_all().and_then(|()| match end {
        None => list(world, request, name, class, shown),
        Some("-param-list") => {
            let object = world.find(class, request.required("uuid")?)?;
            let fields: Vec<&FieldSchema> = schema::fields(class).iter().collect();
            Ok(Answer::text(printer::object(object, &fields, false)))
        }
        Some("-param-get") => get(world, request, class),
        Some("-param-set") => set(world, request, class),
        Some(_) => change(world, request, class),
    }))
}

fn chosen(request: &Request, name: &str, class: &str) -> Vec<&'static FieldSchema> {
    let fields = schema::fields(class).iter();
    match request.get("params") {
        Some("all") => fields.collect(),
        Some(names) => {
            let names: Vec<&str> = names.split(',').collect();
            fields.filter(|field| names.contains(&field.name)).collect()
        }
        None => match listed(name) {
            Some(names) => fields.filter(|field| names.contains(&field.name)).collect(),
            None => fields.filter(|field| field.listed).collect(),
        },
    }
}

fn list(
    world: &mut World,
    request: &Request,
    name: &str,
    class: &str,
    shown: Shown,
) -> Result<Answer, Failure> {
    let filters: Vec<(&str, &str)> =
        request.filters().into_iter().filter(|(key, _)| !key.starts_with("database:")).collect();
    if let Some((kind, uuid)) = request.params.iter().find_map(|(key, value)| {
        Some((key.strip_prefix("database:")?.strip_suffix("-uuid")?, value))
    }) {
        world.find(kind, uuid)?;
    }
    let mut found = Vec::new();
    for object in world.all(class).filter(|object| shown(object)) {
        let mut all = true;
        for (key, value) in &filters {
            all &= matches(object, key, value)?;
        }
        if all {
            found.push(object.clone());
        }
    }
    if found.is_empty() && class != "none" {
        let nobody = Object::new(class);
        for (key, value) in &filters {
            matches(&nobody, key, value)?;
        }
    } else if class == "none"
        && let Some((key, _)) = filters.first()
    {
        return Err(Failure::Client(format!("Unknown field '{key}'")));
    }
    let fields = chosen(request, name, class);
    if fields.iter().any(|field| field.name == "networks") {
        let seen: Vec<String> = found.iter().map(Object::uuid).collect();
        super::life::looked_at_addresses(world, &seen);
    }
    if request.flag("minimal")? {
        let first = |object: &Object| {
            fields.first().map_or(String::new(), |field| printer::value(object, field, true))
        };
        return Ok(Answer::text(printer::minimal(&found.iter().map(first).collect::<Vec<_>>())));
    }
    let records = found.iter().map(|object| printer::object(object, &fields, true));
    Ok(Answer::text(records.collect::<String>()))
}

fn cd_list(world: &World, request: &Request) -> Result<Answer, Failure> {
    let iso = |sr: &str| world.object("sr", sr).is_some_and(|sr| sr.is("content-type", "iso"));
    let fields: Vec<&FieldSchema> = match request.get("params") {
        Some(_) => chosen(request, "vdi", "vdi"),
        None => ["uuid", "name-label"].iter().filter_map(|n| schema::field("vdi", n)).collect(),
    };
    let cds = world.all("vdi").filter(|vdi| iso(&vdi.text("sr-uuid")));
    if request.flag("minimal")? {
        let first = |cd: &Object| {
            fields.first().map_or(String::new(), |field| printer::value(cd, field, true))
        };
        return Ok(Answer::text(printer::minimal(&cds.map(first).collect::<Vec<_>>())));
    }
    let records: String = cds.map(|cd| printer::object(cd, &fields, true)).collect();
    Ok(Answer::text(records))
}

fn get(world: &World, request: &Request, class: &str) -> Result<Answer, Failure> {
    let object = world.find(class, request.required("uuid")?)?;
    let name = request.required("param-name")?;
    let Some(field) = schema::field(class, name) else {
        return Err(Failure::Text(format!(
            "Error code: Missing parameter\nError parameters: {name}\n"
        )));
    };
    match request.get("param-key") {
        Some(key) if printer::has_members(field.kind) => match object.key(name, key) {
            Some(value) => Ok(Answer::line(value)),
            None => Err(Failure::Client(format!("Key {key} not found in map"))),
        },
        _ => Ok(Answer::line(object.text(name))),
    }
}

fn set(world: &mut World, request: &Request, class: &str) -> Result<Answer, Failure> {
    let uuid = request.required("uuid")?.to_owned();
    world.find(class, &uuid)?;
    for (key, value) in request.params.iter().filter(|(key, _)| key != "uuid" && key != "minimal") {
        let (name, sub) = match key.split_once(':') {
            Some((name, sub)) => (name, Some(sub)),
            None => (key.as_str(), None),
        };
        let unknown = || Failure::Client(format!("Unknown field '{key}'"));
        let field = schema::field(class, name).ok_or_else(unknown)?;
        if !field.writable() {
            return Err(Failure::Client(format!("Field '{name}' is read-only.")));
        }
        let object = world.find_mut(class, &uuid)?;
        match (field.kind, sub) {
            (Kind::Map, Some(sub)) => object.set_key(name, sub, value),
            (Kind::Single, None) => {
                check(object, name, value)?;
                object.set(name, value.as_str());
            }
            _ => return Err(unknown()),
        }
        if name == "name-label" {
            rename_everywhere(world, class, &uuid, value);
        }
    }
    Ok(Answer::nothing())
}

/// Names are shown on other objects too.
fn rename_everywhere(world: &mut World, class: &str, uuid: &str, name: &str) {
    let (reference, shown) = (format!("{class}-uuid"), format!("{class}-name-label"));
    for object in &mut world.objects {
        let refers = schema::field(&object.class, &shown).is_some()
            && schema::field(&object.class, &reference).is_some()
            && object.is(&reference, uuid);
        if refers {
            object.set(&shown, name);
        }
    }
}

fn check(object: &Object, name: &str, value: &str) -> Result<(), Failure> {
    let number = name.starts_with("VCPUs-") || name.starts_with("memory-");
    if object.class != "vm" || !number {
        return Ok(());
    }
    let wrong =
        || Failure::Client(format!("Failed to parse parameter '{name}': expecting an integer"));
    let number: u64 = value.parse().map_err(|_| wrong())?;
    let invalid = || {
        let rule = "VCPU values must satisfy: 0 < VCPUs_at_startup ≤ VCPUs_max";
        Failure::api("INVALID_VALUE", [rule, value])
    };
    match name {
        "VCPUs-at-startup" if number == 0 || number > object.number("VCPUs-max") => Err(invalid()),
        "VCPUs-max" if number < object.number("VCPUs-at-startup") => Err(invalid()),
        "VCPUs-max" | "memory-static-max" | "memory-static-min"
            if !object.is("power-state", "halted") =>
        {
            Err(super::life::bad_state(object, "halted"))
        }
        _ => Ok(()),
    }
}

fn change(world: &mut World, request: &Request, class: &str) -> Result<Answer, Failure> {
    let uuid = request.required("uuid")?;
    let name = request.required("param-name")?;
    let unknown = || Failure::Client(format!("Unknown field '{name}'"));
    let field = schema::field(class, name).ok_or_else(unknown)?;
    let object = world.find_mut(class, uuid)?;
    let key = request.get("param-key");
    let content = object.content(name);
    let changed = match (request.name.rsplit('-').next(), content, key) {
        (Some("clear"), Content::Set(_), _) => Content::Set(Vec::new()),
        (Some("clear"), Content::Map(_), _) => Content::Map(Vec::new()),
        (Some("clear"), _, _) => Content::Text(String::new()),
        (Some("add"), Content::Set(mut members), Some(key)) => {
            if !members.iter().any(|member| member == key) {
                members.insert(0, key.to_owned());
            }
            Content::Set(members)
        }
        (Some("add"), Content::Map(pairs), _) => {
            let given = request.params.iter().filter(|(key, _)| {
                !["uuid", "param-name", "param-key", "minimal"].contains(&key.as_str())
            });
            let mut all = pairs;
            for (key, value) in given {
                if all.iter().any(|(own, _)| own == key) {
                    let values = [
                        class.to_uppercase(),
                        name.replace('-', "_"),
                        object.reference(),
                        key.clone(),
                    ];
                    return Err(Failure::api("MAP_DUPLICATE_KEY", values));
                }
                all.insert(0, (key.clone(), value.clone()));
            }
            Content::Map(all)
        }
        (Some("remove"), Content::Set(mut members), Some(key)) => {
            members.retain(|member| member != key);
            Content::Set(members)
        }
        (Some("remove"), Content::Map(mut pairs), Some(key)) => {
            pairs.retain(|(own, _)| own != key);
            Content::Map(pairs)
        }
        _ => return Err(Failure::Client(format!("Field '{}' is no set or map", field.name))),
    };
    object.put(name, changed);
    Ok(Answer::nothing())
}

/// Whether what an `event-wait` waits for holds.
pub(super) fn event_holds(world: &World, request: &Request) -> Result<bool, Failure> {
    const CLASSES: [&str; 9] = ["vm", "vdi", "sr", "host", "network", "vif", "pif", "vbd", "pbd"];
    request.require_all()?;
    let class = request.required("class")?;
    if !CLASSES.contains(&class) && !["pool", "task", "role", "secret"].contains(&class) {
        return Err(Failure::Client(format!(
            "Cli listening for class '{class}' not currently implemented"
        )));
    }
    let fields: Vec<&(String, String)> =
        request.params.iter().filter(|(key, _)| key != "class" && key != "minimal").collect();
    for object in world.all(class) {
        let mut all = true;
        for (key, value) in &fields {
            all &= match value.strip_prefix("/=/") {
                Some(other) => !request::matches(object, key, other)?,
                None => request::matches(object, key, value)?,
            };
        }
        if all {
            return Ok(true);
        }
    }
    Ok(false)
}
