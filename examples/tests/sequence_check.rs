//! What `sequence check` and `sequence plan` say of right and wrong files, and their exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program `sequence`, which cargo builds beside its tests; built here where only the tests
/// were.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/sequence");
    if !program.exists() {
        let build = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "xenrt-examples", "--example", "sequence"])
            .status()
            .unwrap();
        assert!(build.success());
    }
    program
}

fn sequence(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code().unwrap(), said.concat())
}

#[test]
fn every_problem_is_told_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("deep")).unwrap();
    std::fs::write(folder.join("lib.seq"), "<xenrt><variables><A>a</A></variables></xenrt>")
        .unwrap();
    let right = "<xenrt><include filename='lib.seq'/><testsequence><for iter='I' values='1,2'>\
                 <testcase id='x.y' name='${A}${I}${GIVEN}'/></for></testsequence></xenrt>";
    std::fs::write(folder.join("right.seq"), right).unwrap();
    let wrong = "<xenrt>\n <testsequence>\n  <serial grup='a'/><x/>\n </testsequence>\n</xenrt>";
    std::fs::write(folder.join("deep/wrong.seq"), wrong).unwrap();

    let (code, said) = sequence(folder, &["check", ".", "-D", "GIVEN=!"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("3 files, 2 ok, 1 failed"), "{said}");
    assert!(said.contains("wrong.seq:3:11: unknown attribute `grup` of <serial>"), "{said}");
    assert!(said.contains("wrong.seq:3:21: unknown element <x> in <testsequence>"), "{said}");
    // The line itself, and a mark below it.
    assert!(said.contains("<serial grup='a'/>") && said.contains("unknown"), "{said}");

    let (code, said) = sequence(folder, &["check", "deep", "right.seq", "--compat"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("2 files, 2 ok, 0 failed"), "{said}");
    assert!(said.contains("warning: no variable \"GIVEN\" is defined"), "{said}");

    let (code, said) = sequence(folder, &["check", "right.seq"]);
    assert_eq!(code, 1, "{said}");

    let (code, said) = sequence(folder, &["plan", "right.seq", "-D", "GIVEN=!"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("x.y as a1!") && said.contains("x.y as a2!"), "{said}");
    assert!(said.contains("no test is called \"x.y\""), "{said}");

    let (code, said) = sequence(folder, &["check", "nowhere.seq"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("cannot read the sequence file"), "{said}");
}

/// The host of the lab file has another image than simulated hosts have: all pass, and it is told.
#[test]
fn one_sequence_in_two_places_is_held_against_itself() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(
        folder.join("lab.toml"),
        "[[host]]\nname = \"rack1\"\naddress = \"192.0.2.1\"\ntoolstack = \"sim\"\n\
         [host.guest_network]\nnetwork = \"xenbr0\"\n\
         [[host.images]]\nname = \"tiny\"\nkinds = [\"pvh\"]\nmemory_mib = 96\n",
    )
    .unwrap();
    let text = "<xenrt><prepare><host/></prepare><testsequence>\
                <testcase id='lifecycle.reboot'><arg>loops=1</arg></testcase>\
                </testsequence></xenrt>";
    std::fs::write(folder.join("one.seq"), text).unwrap();
    let run = |on: &str, out: &str| {
        let words = ["run", "one.seq", "--lab", "lab.toml", "--on", on, "--out", out];
        sequence(folder, &words)
    };
    let (code, said) = run("rack1,sim", "two");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("\ndifferences:\n"), "{said}");
    assert!(said.contains("only on rack1: guest ") && said.contains(", 96 MiB, "), "{said}");
    let comparison = std::fs::read_to_string(folder.join("two/comparison.json")).unwrap();
    let comparison: serde_json::Value = serde_json::from_str(&comparison).unwrap();
    assert_eq!(comparison["tests"][0]["results"][1]["verdict"], "passed");
    // Each place has a run of its own, which can be shown again.
    let (code, said) = sequence(folder, &["replay", "two/rack1"]);
    assert!(code == 0 && said.contains("1 passed"), "{said}");

    let (code, said) = run("sim", "one");
    assert!(code == 0 && !said.contains("difference"), "{said}");
    let (code, said) = run("rack2", "none");
    assert!(code == 2 && said.contains("there is no place \"rack2\""), "{said}");
}
