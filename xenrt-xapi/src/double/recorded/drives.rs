//! Worlds for answers with records of several classes.

use super::super::life;
use super::super::world::{Object, World};
use super::worlds::HOST;
use crate::parse::{minimal, records};
use crate::transcripts::Transcript;

/// The world of a list of drives, or of the status of a VM.
pub(super) fn world_for(transcript: &Transcript, name: &str) -> Option<World> {
    let kind = match name {
        "vm-disk-list" => "Disk",
        "vm-cd-list" => "CD",
        "diagnostic-vm-status" => return Some(status(transcript)),
        _ => return None,
    };
    let words = transcript.words.as_deref().unwrap_or_default();
    let vm = words.iter().find_map(|word| word.split_once('=')).map(|(_, uuid)| uuid).unwrap();
    let mut world = World::small();
    world.objects.retain(|object| ["host", "pool"].contains(&object.class.as_str()));
    world.add(Object::with_uuid("vm", vm));
    let own = |vbd: Object, vdi: &Object| {
        vbd.with("vm-uuid", vm).with("type", kind).with("vdi-uuid", vdi.uuid())
    };
    if words.iter().any(|word| word == "--minimal") {
        // The last one is printed first: VDI, VBD, VDI, VBD.
        let uuids = minimal(&transcript.stdout).unwrap();
        for pair in uuids.rchunks(2) {
            let [vdi, vbd] = pair else { panic!("{uuids:?}") };
            let vdi = Object::with_uuid("vdi", vdi.as_str());
            world.add(own(Object::with_uuid("vbd", vbd.as_str()), &vdi));
            world.add(vdi);
        }
        return Some(world);
    }
    let objects: Vec<Object> = blocks(&transcript.stdout)
        .map(|(heading, block)| {
            let class = if heading.ends_with("VBD:") { "vbd" } else { "vdi" };
            recorded(class, block)
        })
        .collect();
    for pair in objects.chunks(2) {
        let [vbd, vdi] = pair else { panic!("{objects:?}") };
        world.add(own(vbd.clone(), vdi));
        world.add(vdi.clone());
    }
    Some(world)
}

/// Records, each with the line before it.
fn blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_inclusive("\n\n\n").filter_map(|block| {
        let (heading, record) = block.split_once('\n')?;
        // The record of a VM has none.
        Some(if heading.starts_with("uuid ") { ("", block) } else { (heading, record) })
    })
}

fn recorded(class: &str, block: &str) -> Object {
    let record = records(block).next().unwrap().unwrap();
    let fields = record.fields.iter();
    fields.fold(Object::new(class), |object, field| object.with(field.name, field.value))
}

/// A VM that runs with disks on a storage that is the host's own.
fn status(transcript: &Transcript) -> World {
    let mut world = World::small();
    world.objects.retain(|object| ["host", "pool"].contains(&object.class.as_str()));
    let mut blocks = blocks(&transcript.stdout);
    let vm = recorded("vm", blocks.next().unwrap().1);
    let uuid = world.add(vm.clone());
    let sr = transcript.stdout.rsplit_once("non-shared SR: ").unwrap().1;
    let (sr, name) = sr.split_once(" (").unwrap();
    let (name, _) = name.split_once(')').unwrap();
    world.add(Object::with_uuid("sr", sr).with("name-label", name));
    for (_, block) in blocks.take_while(|(_, block)| block.starts_with("uuid ")) {
        let vbd = recorded("vbd", block).with("vm-uuid", uuid.as_str());
        world.add(Object::with_uuid("vdi", vbd.text("vdi-uuid")).with("sr-uuid", sr));
        world.add(vbd);
    }
    life::begin(&mut world, &uuid, HOST, "running");
    world
}
