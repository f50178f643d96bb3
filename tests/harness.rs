//! The test target of a stranger's crate, run by cargo's own runners.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(1800);

/// `cargo WORDS` for the outside crate, without a lab.
fn cargo(words: &[&str]) -> Command {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let outside = workspace.join("tests/outside-crate");
    // Once: a test beside this one would read a file that is being written.
    static LOCK_FILE: Once = Once::new();
    LOCK_FILE.call_once(|| {
        std::fs::copy(workspace.join("Cargo.lock"), outside.join("Cargo.lock"))
            .expect("the workspace has a lock file");
    });
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), PathBuf::from);
    let mut command = Command::new(env!("CARGO"));
    command
        .args(words)
        .current_dir(&outside)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true")
        .env("XENRT_LAB", "none")
        // What a runner around this test says to its own tests.
        .env_remove("NEXTEST")
        .env_remove("NEXTEST_PROFILE")
        .stdin(Stdio::null());
    command
}

/// Runs it to its end. What it prints is short, but for the errors of a crate that does not build.
fn output(mut command: Command) -> (Output, String) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo can be started");
    let started = Instant::now();
    while child.try_wait().expect("the child can be waited for").is_none() {
        if started.elapsed() > DEADLINE {
            child.kill().expect("the child can be killed");
            panic!("it did not end within {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().expect("the output can be read");
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let text = text.concat();
    (output, text)
}

const TEST: [&str; 5] = ["test", "--quiet", "--test", "harness", "--"];

#[test]
fn cargo_test_lists_filters_and_runs_test_cases() {
    let run = |more: &[&str]| output(cargo(&[&TEST, more].concat()));

    let (listed, text) = run(&["--list"]);
    assert!(listed.status.success(), "{text}");
    for id in ["stranger.fails: test", "stranger.passes: test", "stranger.skips: test"] {
        assert!(text.contains(id), "{text}");
    }

    let (good, text) = run(&["--skip", "stranger.fails"]);
    assert!(good.status.success(), "{text}");
    assert!(text.contains("2 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out"), "{text}");
    assert!(text.contains("stranger.skips is skipped: there is nothing to see here"), "{text}");

    let (bad, text) = run(&[]);
    assert_eq!(bad.status.code(), Some(101), "{text}");
    assert!(text.contains("2 passed; 1 failed"), "{text}");
    assert!(text.contains("three packets are lost"), "{text}");
    let evidence = text.split_once("evidence: ").expect("the evidence is named").1;
    let evidence = Path::new(evidence.lines().next().unwrap_or_default());
    assert!(evidence.join("journal.jsonl").is_file(), "{}", evidence.display());

    let mut filtered = cargo(&TEST);
    filtered.env("XENRT_FILTER", "tag(good) - id(skips)");
    let (filtered, text) = output(filtered);
    assert!(filtered.status.success(), "{text}");
    assert!(text.contains("1 passed; 0 failed"), "{text}");

    let mut wrong = cargo(&TEST);
    wrong.env("XENRT_FILTER", "tga(good)");
    let (wrong, text) = output(wrong);
    assert!(!wrong.status.success());
    assert!(text.contains("there is no predicate \"tga\""), "{text}");
}

#[test]
fn nextest_lists_filters_and_runs_test_cases() {
    let nextest = Command::new(env!("CARGO")).args(["nextest", "--version"]).output();
    if !nextest.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: cargo-nextest is not installed (cargo install cargo-nextest)");
        return;
    }
    let run = |more: &[&str]| {
        output(cargo(&[&["nextest", "run", "--test", "harness", "--no-fail-fast"], more].concat()))
    };
    let (good, text) = run(&["-E", "test(passes) | test(skips)"]);
    assert!(good.status.success(), "{text}");
    assert!(text.contains("2 tests run: 2 passed"), "{text}");
    let (bad, text) = run(&[]);
    assert_eq!(bad.status.code(), Some(100), "{text}");
    assert!(text.contains("3 tests run: 2 passed, 1 failed"), "{text}");
    assert!(text.contains("three packets are lost"), "{text}");
}

#[test]
fn tests_of_one_lab_wait_for_one_another() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let lab = folder.path().join("lab.toml");
    // Nobody listens there, so a test that has the lab fails at once.
    let text = "[[host]]\nname = \"a\"\naddress = \"127.0.0.1\"\nport = 1\ntoolstack = \"xl\"\n";
    std::fs::write(&lab, text).expect("the lab file can be written");
    let held = File::open(&lab).expect("the lab file can be opened");
    held.lock().expect("the lab file can be locked");
    let errors = folder.path().join("errors");
    let mut command = cargo(&[&TEST as &[_], &["stranger.passes"]].concat());
    command.env("XENRT_LAB", &lab).stdout(Stdio::null());
    command.stderr(File::create(&errors).expect("a file can be made"));
    let mut child = command.spawn().expect("cargo can be started");
    let started = Instant::now();
    let said = || std::fs::read_to_string(&errors).unwrap_or_default();
    while !said().contains("waiting for the lab") {
        assert!(child.try_wait().expect("it can be waited for").is_none(), "{}", said());
        assert!(started.elapsed() < DEADLINE, "{}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(held);
    let status = child.wait().expect("it can be waited for");
    assert_eq!(status.code(), Some(101), "{}", said());
}
