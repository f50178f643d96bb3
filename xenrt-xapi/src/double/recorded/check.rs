//! The comparison itself.

use super::super::program::respond;
use super::besides;
use super::sequences::{OF_A_SHELL, commands, run};
use super::worlds::{is_uuid, world_for};
use crate::transcripts::{Transcript, all};

/// Identities that were just made differ; everything else must not.
fn without_new_identities(text: &str) -> String {
    let line = |line: &str| if is_uuid(line) { "UUID".to_owned() } else { line.to_owned() };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Where the recorded command looked for files.
const FILES: &str = "/tmp/";

/// How the double answers the command, where that is not what was recorded.
fn difference(transcript: &Transcript, words: &[String]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let own = format!("{}/", folder.path().display());
    let mut world = world_for(transcript, words);
    besides::files(&mut world, transcript, folder.path());
    let words: Vec<String> = words.iter().map(|word| word.replace(FILES, &own)).collect();
    let answer = respond(&mut world, &words, besides::typed(transcript));
    let stdout = String::from_utf8_lossy(&answer.stdout).replace(&own, FILES);
    let stderr = answer.stderr.replace(&own, FILES);
    let name = words.first().map_or("", String::as_str);
    let (got, want) = if name.ends_with("-list") || name.ends_with("-param-get") {
        (stdout, transcript.stdout.clone())
    } else {
        (without_new_identities(&stdout), without_new_identities(&transcript.stdout))
    };
    if got == want && stderr == transcript.stderr && answer.status == transcript.status {
        return None;
    }
    Some(format!(
        "{} {words:?}\n--- got {}\n{}{stderr}\n--- want {}\n{}{}",
        transcript.name,
        answer.status,
        got.chars().take(600).collect::<String>(),
        transcript.status,
        want.chars().take(600).collect::<String>(),
        transcript.stderr
    ))
}

#[test]
fn lines_of_several_commands_do_what_was_recorded() {
    let Some(transcripts) = all() else { return };
    let mut compared = 0;
    for transcript in transcripts.iter().filter(|own| own.words.is_none()) {
        let left_out = OF_A_SHELL.iter().find(|(own, _)| transcript.name.starts_with(own));
        let Some(commands) = commands(&transcript.line) else {
            assert!(left_out.is_some(), "{} is compared by nobody", transcript.name);
            continue;
        };
        assert!(left_out.is_none(), "{} can be compared", transcript.name);
        let want = (transcript.status, transcript.stdout.clone(), transcript.stderr.clone());
        assert_eq!(run(transcript, &commands), want, "{}", transcript.name);
        compared += 1;
    }
    assert_eq!(compared, 8);
}

#[test]
fn the_double_prints_what_was_recorded() {
    let Some(transcripts) = all() else { return };
    let single = transcripts.iter().filter_map(|own| Some((own, own.words.as_ref()?)));
    let differences: Vec<Option<String>> =
        single.map(|(transcript, words)| difference(transcript, words)).collect();
    let wrong: Vec<String> = differences.iter().flatten().cloned().collect();
    let (all, wrong_count) = (differences.len(), wrong.len());
    assert!(
        wrong.is_empty(),
        "{wrong_count} of {all} are not the same:\n{}",
        wrong.join("\n=====\n")
    );
    assert!(all > 270, "only {all} were compared");
}
