//! Recorded lines of several commands, one after the other in one world.

use super::super::program::respond;
use super::super::world::{Object, World};
use crate::parse::records;
use crate::transcripts::{Transcript, command};

/// Lines that are more than `xe` one after the other, with what else is in them: they need a shell and
/// its programs, whose output is not that of `xe`.
pub(super) const OF_A_SHELL: &[(&str, &str)] = &[
    ("463", "an assignment"),
    ("468", "printf into a file"),
    ("511", "ls"),
    ("515", "random bytes"),
    ("614", "printf in an argument"),
    ("615", "printf in an argument, and od"),
    ("616", "printf in an argument, and od"),
    ("617", "a program in Python"),
    ("632", "a variable"),
    ("633", "variables"),
    ("706", "head and tr, of an archive"),
    ("707", "ls"),
    ("708", "rm"),
    ("735", "a loop in the background"),
    ("760", "a command in an argument"),
    ("765", "a variable"),
];

/// The commands of a line, and whether each is run only where those before it succeeded; nothing for a
/// line that is more than that.
pub(super) fn commands(line: &str) -> Option<Vec<(bool, Vec<String>)>> {
    let mut all = Vec::new();
    for part in line.split("; ") {
        for (index, part) in part.split(" && ").enumerate() {
            all.push((index > 0, command(part)?));
        }
    }
    Some(all)
}

/// What the commands print, and how the last one ends.
pub(super) fn run(
    transcript: &Transcript,
    commands: &[(bool, Vec<String>)],
) -> (i32, String, String) {
    let mut world = world_for(transcript, commands);
    let (mut status, mut stdout, mut stderr) = (0, String::new(), String::new());
    for (only_after_success, words) in commands {
        if *only_after_success && status != 0 {
            continue;
        }
        let answer = respond(&mut world, words, None);
        status = answer.status;
        stdout.push_str(&String::from_utf8_lossy(&answer.stdout));
        stderr.push_str(&answer.stderr);
    }
    (status, stdout, stderr)
}

fn world_for(transcript: &Transcript, commands: &[(bool, Vec<String>)]) -> World {
    let mut world = World::small();
    let words = || commands.iter().flat_map(|(_, words)| words.iter().skip(1));
    let pairs = || words().filter_map(|word| word.split_once('='));
    let uuid = pairs().find(|(key, _)| *key == "uuid").map_or("", |(_, uuid)| uuid);
    let name = pairs().find(|(key, _)| *key == "name-label").map_or("", |(_, name)| name);
    let is_template = commands.iter().any(|(_, words)| words[0].starts_with("template-"));
    if world.object("pool", uuid).is_none() {
        let vm = Object::with_uuid("vm", uuid).with("name-label", name);
        world.add(vm.with("is-a-template", if is_template { "true" } else { "false" }));
    }
    // What `vm-param-get` is to print.
    let asked =
        pairs().filter(|(key, value)| *key == "param-name" && value.starts_with("allowed-"));
    let lines: Vec<&str> = transcript.stdout.lines().collect();
    for ((_, field), line) in asked.zip(lines) {
        world.object_mut("vm", uuid).unwrap().set(field, line);
    }
    // Disks that a list shows, and who has them.
    if let Some((_, sr)) = pairs().find(|(key, _)| *key == "sr-uuid") {
        world.objects.retain(|object| object.class != "vdi");
        for (index, record) in records(&transcript.stdout).enumerate() {
            let record = record.unwrap();
            let fields = record.fields.iter();
            let new = Object::new("vdi").with("sr-uuid", sr);
            let disk = fields.fold(new, |disk, field| disk.with(field.name, field.value));
            let vbd = match record.get("vbd-uuids") {
                Some("") | None => Object::new("vbd").with("vm-uuid", uuid),
                Some(vbd) => Object::with_uuid("vbd", vbd).with("vm-uuid", "another"),
            };
            let vbd = vbd.with("vdi-uuid", disk.uuid()).with("type", "Disk");
            world.add(vbd.with("userdevice", index.to_string()));
            world.add(disk);
        }
    }
    world
}
