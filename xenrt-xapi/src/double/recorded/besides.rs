//! What a recorded answer tells besides objects: texts of help, files, what goes wrong, questions.

use std::path::Path;

use super::super::diagnostics::{OF_PROCESS, THREAD};
use super::super::help::DESCRIPTION;
use super::super::program::respond;
use super::super::rules::{Effect, Rule};
use super::super::world::{Object, World};
use super::worlds::HOST;
use crate::transcripts::Transcript;

/// The rest of what the answer of `transcript` needs.
pub(super) fn prepare(world: &mut World, transcript: &Transcript, name: &str) {
    let line_with = |text: &str, prefix: &str| {
        text.lines().find_map(|line| line.trim_start().strip_prefix(prefix)).map(str::to_owned)
    };
    if let Some(described) = line_with(&transcript.stdout, "description     : ") {
        let command = &transcript.words.as_deref().unwrap_or_default()[1];
        world.note_of_pool(&format!("{DESCRIPTION}{command}"), &described);
    }
    let hide = |world: &mut World, key: &str, value: &str| world.hide("host", HOST, key, value);
    match number(transcript) {
        // The folder is not there; the driver of that storage was a stand-in.
        "090" | "091" => {
            let code = line_with(&transcript.stderr, "Error code: ").unwrap();
            let values = line_with(&transcript.stderr, "Error parameters: ").unwrap();
            let values = values.split(", ").map(str::to_owned).collect();
            world.rules.push(Rule::once(name, Effect::Fails(code, values)));
        }
        "740" => world.rules.push(Rule::once(name, Effect::Refused)),
        "604" => world.rules.push(Rule::once(name, Effect::NoServer)),
        "462" => {
            let thread = transcript.stderr.split_once("Thread ").unwrap().1;
            hide(world, THREAD, thread.split(' ').next().unwrap());
        }
        "518" => {
            for (key, value) in transcript.stdout.lines().filter_map(|line| line.split_once(": ")) {
                hide(world, &format!("{OF_PROCESS}{}", key.trim()), value);
            }
        }
        "474" => {
            let sr = world.only("pool").unwrap().text("default-SR");
            world.objects.retain(|object| object.class != "vdi");
            let listed = transcript.stdout.lines().filter_map(|line| line.strip_prefix("VDI: "));
            for (uuid, name) in listed.filter_map(|line| line.strip_suffix(')')?.split_once(" (")) {
                let disk = Object::with_uuid("vdi", uuid).with("name-label", name);
                world.add(disk.with("sr-uuid", sr.as_str()));
            }
        }
        _ => {}
    }
}

/// The files of dom0 that were there.
pub(super) fn files(world: &mut World, transcript: &Transcript, folder: &Path) {
    let file = folder.join("x.xva");
    match number(transcript) {
        "512" => std::fs::write(file, "somebody's").unwrap(),
        // What is to be imported is an export of the same VM.
        "513" => {
            let vm = transcript.stderr.split_once("vm: ").unwrap().1;
            let (uuid, name) = vm.split_once(" (").unwrap();
            let name = name.split_once(')').unwrap().0;
            world.add(Object::with_uuid("vm", uuid).with("name-label", name));
            let filename = format!("filename={}", file.display());
            let words = ["vm-export".to_owned(), format!("uuid={uuid}"), filename];
            let answer = respond(world, &words, None);
            assert_eq!(answer.status, 0, "{}", answer.stderr);
        }
        _ => {}
    }
}

/// What a person typed.
pub(super) fn typed(transcript: &Transcript) -> Option<&'static str> {
    match number(transcript) {
        "723" => Some("no"),
        "724" => Some("YES"),
        _ => None,
    }
}

fn number(transcript: &Transcript) -> &str {
    transcript.name.split('-').next().unwrap_or_default()
}
