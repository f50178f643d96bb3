//! For each recorded command, a world in which the recorded answer is the right one: from the records,
//! references and parameters that the answer names.

use super::super::life;
use super::super::schema;
use super::super::world::{Object, World};
use super::{besides, drives};
use crate::parse::{minimal, records, single};
use crate::transcripts::Transcript;

/// The host of the recorded world.
pub(super) const HOST: &str = "9d0c7a4e-1111-4c1e-8000-000000000001";

pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.parse::<uuid::Uuid>().is_ok()
}

/// The class that a command or a parameter is about.
fn class_of(name: &str) -> &'static str {
    let classes = [
        "network", "host", "pool", "task", "bond", "vlan", "pbd", "pif", "vif", "vbd", "vdi", "sr",
        "message", "console", "role",
    ];
    classes.into_iter().find(|class| name.starts_with(class)).unwrap_or("vm")
}

/// The world in which the answer of `transcript` is right.
pub(super) fn world_for(transcript: &Transcript, words: &[String]) -> World {
    let mut world = World::small();
    let name = words.first().map_or("", String::as_str);
    let pairs: Vec<(&str, &str)> = words.iter().filter_map(|word| word.split_once('=')).collect();
    let get = |key: &str| pairs.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
    let class = class_of(name);
    if let Some(world) = drives::world_for(transcript, name) {
        return world;
    }
    // What an object measures is no list of objects.
    let measured = name.ends_with("-data-source-list");
    let listing = name.ends_with("-list") && !measured && transcript.status == 0;
    if listing {
        world.objects.retain(|object| object.class == "host" && class != "host");
    }
    let in_list = name.ends_with("-param-list");
    if (listing || in_list) && !words.iter().any(|word| word == "--minimal") {
        for record in records(&transcript.stdout).flatten() {
            let mut object = kind_of_vm(Object::new(class), name);
            for (key, value) in &pairs {
                fulfil(&mut object, key, value);
            }
            for field in record.fields.iter().filter(|field| field.value != "<expensive field>") {
                object.set(field.name, field.value);
            }
            if name == "cd-list" {
                object.class = "vdi".into();
                object = object.with("sr-uuid", "iso");
                if world.object("sr", "iso").is_none() {
                    world.add(Object::with_uuid("sr", "iso").with("content-type", "iso"));
                }
            }
            world.objects.retain(|old| old.class != object.class || old.uuid() != object.uuid());
            world.add(object);
        }
        return world;
    }
    if listing {
        let shown = get("params").map(|names| {
            let names: Vec<&str> = names.split(',').collect();
            schema::fields(class).iter().find(|field| names.contains(&field.name)).map(|f| f.name)
        });
        let shown = shown.flatten().unwrap_or("uuid");
        for value in minimal(&transcript.stdout).unwrap() {
            let mut object = kind_of_vm(Object::new(class), name);
            for (key, value) in &pairs {
                fulfil(&mut object, key, value);
            }
            object.set(shown, value);
            world.add(object);
        }
        return world;
    }
    for (key, value) in &pairs {
        for uuid in value.split(',').filter(|uuid| is_uuid(uuid)) {
            let class =
                if *key == "uuid" || *key == "snapshot-uuid" { class } else { class_of(key) };
            let class = if *key == "template-uuid" { "vm" } else { class };
            // An identity that is refused is not there.
            let gone = transcript.stderr.starts_with("The uuid you supplied was invalid")
                && transcript.stderr.contains(&format!("uuid: {value}"))
                || transcript.stderr.contains("No matching")
                || uuid.starts_with("deadbeef");
            if gone || world.object(class, uuid).is_some() {
                continue;
            }
            let mut object = Object::with_uuid(class, uuid);
            if class == "vm" && name.starts_with("snapshot-") {
                object = object.with("is-a-template", "true").with("is-a-snapshot", "true");
            } else if *key == "template-uuid" {
                object = object.with("is-a-template", "true");
            }
            if class == "vm" {
                object = object.with("memory-dynamic-max", "1073741824");
            }
            if class == "sr" {
                object = object.with("physical-size", "2000000000000");
            }
            world.add(object);
        }
    }
    prepare(&mut world, transcript, name, &pairs);
    besides::prepare(&mut world, transcript, name);
    world
}

/// Makes an object of the kind that a list shows.
fn kind_of_vm(object: Object, list: &str) -> Object {
    match list {
        "snapshot-list" => object.with("is-a-template", "true").with("is-a-snapshot", "true"),
        "template-list" => object.with("is-a-template", "true"),
        _ => object,
    }
}

/// Gives an object what a filter asks for.
fn fulfil(object: &mut Object, key: &str, value: &str) {
    match key.split_once(':') {
        Some((field, "contains")) => object.set(field, value),
        Some((field, sub)) => object.set_key(field, sub, value),
        None => object.set(key, value),
    }
}

/// The state that a command needs, or that its error tells of.
fn prepare(world: &mut World, transcript: &Transcript, name: &str, pairs: &[(&str, &str)]) {
    let get = |key: &str| pairs.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
    let told = |key: &str| {
        let prefix = format!("{key}: ");
        transcript.stderr.lines().find_map(|line| line.strip_prefix(prefix.as_str()))
    };
    let uuid = get("uuid").unwrap_or_default().to_owned();
    // `UUID (name)` names objects.
    for (key, class) in [("vm", "vm"), ("vdi", "vdi"), ("sr", "sr"), ("uuid", "vm")] {
        let named = told(key).and_then(|text| text.split_once(" ("));
        if let Some((uuid, name)) = named
            && let Some(object) = world.object_mut(class, uuid)
        {
            object.set("name-label", name.trim_end_matches(')'));
        }
    }
    let state = match (told("actual"), name) {
        (Some(state), _) => Some(state),
        _ if transcript.stderr.contains("lacks the feature") => Some("running"),
        (
            _,
            "vm-shutdown" | "vm-reboot" | "vm-pause" | "vm-suspend" | "vm-migrate"
            | "vm-checkpoint",
        ) => Some("running"),
        (_, "vm-unpause") => Some("paused"),
        (_, "vm-resume") => Some("suspended"),
        (_, "vbd-unplug" | "vif-unplug") => None,
        _ => None,
    };
    let host = HOST;
    if let Some(state) = state {
        let vms: Vec<String> = match world.object("vm", &uuid) {
            Some(_) => vec![uuid.clone()],
            None => Vec::new(),
        };
        for vm in vms {
            if ["running", "paused"].contains(&state) {
                life::begin(world, &vm, host, state);
            } else if let Some(vm) = world.object_mut("vm", &vm) {
                vm.set("power-state", state);
            }
        }
    }
    if transcript.stderr.contains("lacks the feature") {
        world.remove_agent(&uuid);
    }
    life::tidy(world);
    if let Some(field) = get("param-name")
        && name.ends_with("-param-get")
        && transcript.status == 0
        && let Some(object) = world.object_mut(class_of(name), &uuid)
    {
        let printed = transcript.stdout.strip_suffix('\n').unwrap_or(&transcript.stdout);
        match get("param-key") {
            Some(key) => object.set_key(field, key, single(&transcript.stdout).text().unwrap()),
            None => object.set(field, printed),
        }
    }
    match transcript.name.split('-').next().unwrap_or_default() {
        "065" | "066" => {
            let network = get("network-uuid").unwrap_or_default();
            let pif = Object::with_uuid("pif", told("connected PIF").unwrap());
            world.add(pif.with("network-uuid", network).with("host-uuid", host));
        }
        "078" => {
            for pif in world.objects.iter_mut().filter(|object| object.class == "pif") {
                if pif.is("network-uuid", &uuid) {
                    pif.set("uuid", told("pifs").unwrap());
                }
            }
        }
        "124" => {
            world.add(Object::new("vdi").with("sr-uuid", uuid.as_str()));
        }
        "230" => {
            let vm = world.object_mut("vm", &uuid).unwrap();
            vm.set_key("other-config", "newk", "newv");
        }
        "249" | "264" => {
            let class = if name == "vif-create" { "vif" } else { "vbd" };
            let (vm, device) = (get("vm-uuid").unwrap(), get("device").unwrap());
            let device_object = Object::new(class).with("vm-uuid", vm);
            world.add(device_object.with("device", device).with("userdevice", device));
        }
        "258" | "259" | "260" => {
            let empty = if transcript.name.starts_with("258") { "false" } else { "true" };
            let vbd =
                told("vbd").map_or_else(|| Object::new("vbd"), |u| Object::with_uuid("vbd", u));
            world.add(vbd.with("vm-uuid", uuid.as_str()).with("type", "CD").with("empty", empty));
        }
        "271" => {
            world.add(Object::new("vbd").with("vm-uuid", uuid.as_str()).with("userdevice", "6"));
        }
        "281" => {
            let vbd = Object::new("vbd").with("vdi-uuid", uuid.as_str());
            world.add(vbd.with("currently-attached", "true"));
        }
        // The management interface of that host was eth0 (641).
        "058" | "060" => world.object_mut("pif", &uuid).unwrap().set("management", "false"),
        "282" => world.object_mut("vbd", &uuid).unwrap().set("currently-attached", "true"),
        "289" => world.object_mut("vif", &uuid).unwrap().set("currently-attached", "true"),
        "299" => {
            let vm = world.add(Object::new("vm"));
            let snapshot = get("snapshot-uuid").unwrap();
            world.object_mut("vm", snapshot).unwrap().set("snapshot-of", vm);
        }
        "307" | "347" | "634" | "723" | "724" => {
            add_disks(world, transcript);
        }
        "327" | "328" | "329" | "703" | "702" | "704" | "705" => {
            several(world, transcript, pairs);
        }
        "337" | "332" => {}
        "339" => {
            life::begin(world, &uuid, host, "running");
        }
        _ => {}
    }
    if !name.ends_with("-param-get") {
        life::tidy(world);
    }
}

/// A VM with the disks that an answer lists.
fn add_disks(world: &mut World, transcript: &Transcript) {
    let mut vm = String::new();
    let mut disks = Vec::new();
    for line in transcript.stdout.lines() {
        let named = |prefix: &str| {
            line.strip_prefix(prefix)?.trim_end().strip_suffix(')')?.split_once(" (")
        };
        if let Some((uuid, name)) = named("VM : ") {
            vm = uuid.to_owned();
            if world.object("vm", uuid).is_none() {
                world.add(Object::with_uuid("vm", uuid));
            }
            world.object_mut("vm", uuid).unwrap().set("name-label", name);
        } else if let Some((uuid, name)) = named("VDI: ") {
            world.add(Object::with_uuid("vdi", uuid).with("name-label", name));
            disks.push(uuid.to_owned());
        }
    }
    // The last one is listed first.
    for disk in disks.into_iter().rev() {
        let vbd = Object::new("vbd").with("vm-uuid", vm.as_str()).with("vdi-uuid", disk);
        // What `vm-uninstall` listed were disks that the VM owned: those of templates and snapshots do.
        world.add(vbd.with("type", "Disk").with("other-config", "owner: "));
    }
}

/// Two VMs of one name.
fn several(world: &mut World, transcript: &Transcript, pairs: &[(&str, &str)]) {
    let (_, name) = pairs.iter().find(|(key, _)| ["vm", "name-label"].contains(key)).unwrap();
    let failed = transcript.stdout.lines().filter_map(|line| {
        line.strip_prefix("operation failed on ")?.split_once(": ").map(|(uuid, _)| uuid)
    });
    let mut uuids: Vec<String> = failed.map(str::to_owned).collect();
    while uuids.len() < 2 {
        uuids.push(Object::new("vm").uuid());
    }
    for uuid in uuids {
        world.add(Object::with_uuid("vm", uuid.as_str()).with("name-label", *name));
        let running = transcript.stdout.contains("actual: running")
            || transcript.words.as_ref().is_some_and(|words| words[0] == "vm-shutdown");
        if running {
            life::begin(world, &uuid, HOST, "running");
        }
    }
}
