//! Runs are killed in the middle, with no chance to clean up: nothing of them stays, and they can be
//! gone on with.
//!
//! They run on real Xen hosts of the virtual lab.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Inherited by all that the program starts, whoever its parent becomes.
const MARK: &str = "XENRT_KILLED_TEST";

fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "xenrt-examples", "--example", name])
        .status()
        .unwrap();
    assert!(build.success() && program.exists());
    program
}

/// The processes with `MARK=mark` in their environment: their ids and command lines.
fn marked(mark: &str) -> Vec<(u32, String)> {
    let wanted = format!("{MARK}={mark}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let found = processes.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // Others come and go meanwhile, and zombies have no environment.
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let is_marked = environment.split(|byte| *byte == 0).any(|own| own == wanted.as_bytes());
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        is_marked.then(|| (pid, String::from_utf8_lossy(&line).replace('\0', " ")))
    });
    found.collect()
}

#[track_caller]
fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    while let Err(seen) = holds() {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}; last seen: {seen}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The program, killed whatever the test does.
struct Killed(Child);

impl Killed {
    fn kill(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a program of the examples with everything that it starts marked.
fn start(program: &Path, words: &[&str], folder: &Path) -> Killed {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let child = Command::new(program)
        .args(words)
        .current_dir(folder)
        .env(MARK, folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    Killed(child)
}

/// Waits until the journal says so.
#[track_caller]
fn wait_for(program: &mut Killed, folder: &Path, what: &str, holds: impl Fn(&str) -> bool) {
    let journal = folder.join("run/journal.jsonl");
    within(Duration::from_secs(900), what, || {
        if let Some(status) = program.0.try_wait().unwrap() {
            panic!("it ended by itself, {status}: {}", read(&folder.join("log")));
        }
        let told = read(&journal);
        if holds(&told) { Ok(()) } else { Err(last_line(&told)) }
    });
}

/// The machine dies with its owner; the connections to it follow.
#[track_caller]
fn nothing_is_left(mark: &str) {
    within(Duration::from_secs(60), "all that it started ends", || match marked(mark) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

#[test]
fn a_killed_run_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().display().to_string();
    let mut program = start(&example("hfx745"), &["--out", "run"], folder.path());
    wait_for(&mut program, folder.path(), "the guest is up and sends", |told| {
        told.contains("Start iperf in dom0")
    });
    let qemu = marked(&mark).into_iter().filter(|(_, line)| line.contains("qemu-system")).count();
    assert_eq!(qemu, 1, "{:?}", marked(&mark));
    program.kill();
    nothing_is_left(&mark);

    // Whoever opens the lab next removes the files.
    let status = Command::new(example("lab")).arg("status").output().unwrap();
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.success(), "{said}");
    let group = format!("{}-", program.0.id());
    assert!(!said.contains(&group), "{said}");
    let runs = std::fs::read_dir(xenrt_lab::default_cache_dir().join("run")).unwrap();
    let left: Vec<_> = runs.flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(&group)), "{left:?}");
}

/// Six tests beside a guest. Each takes long enough to be killed in.
const SIX_TESTS: &str = "<xenrt>
  <prepare><host id=\"0\"><vm name=\"bystander\"><distro>tiny</distro></vm></host></prepare>
  <testsequence group=\"Six\">
    <for iter=\"N\" values=\"1,2,3,4,5,6\">
      <testcase id=\"selftest.passes\" name=\"number ${N}\"><arg>seconds=3</arg></testcase>
    </for>
  </testsequence>
</xenrt>
";

/// How often the journal tells of an event of a test, by the number of the test.
fn told_of(journal: &str, event: &str) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for line in journal.lines() {
        // The last line of a killed run may break off.
        let Ok(told) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if let (Some(test), true) = (told["test"].as_u64(), told["what"]["event"] == event) {
            *counts.entry(test).or_default() += 1;
        }
    }
    counts
}

#[test]
fn a_run_that_is_killed_three_times_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mark = folder.display().to_string();
    std::fs::write(folder.join("six.seq"), SIX_TESTS).unwrap();
    let program = example("sequence");
    let resume = ["resume", "run"];
    // In the middle of a test, of a later one, and of the preparation.
    let mut run = start(&program, &["run", "six.seq", "--out", "run"], folder);
    wait_for(&mut run, folder, "the second test runs", |told| {
        told_of(told, "test_started").contains_key(&1)
    });
    run.kill();
    nothing_is_left(&mark);
    let mut run = start(&program, &resume, folder);
    wait_for(&mut run, folder, "the fourth test runs", |told| {
        told_of(told, "test_started").contains_key(&3)
    });
    run.kill();
    nothing_is_left(&mark);
    let mut run = start(&program, &resume, folder);
    let prepares = |told: &str| told.matches("\"event\":\"prepare_started\"").count();
    let before = prepares(&read(&folder.join("run/journal.jsonl")));
    wait_for(&mut run, folder, "the hosts are prepared again", |told| prepares(told) > before);
    run.kill();
    nothing_is_left(&mark);

    let status = start(&program, &resume, folder).0.wait().unwrap();
    let log = || read(&folder.join("log"));
    assert!(status.success(), "{status}: {}", log());
    let journal = read(&folder.join("run/journal.jsonl"));
    let once = (0..6).map(|test| (test, 1)).collect::<BTreeMap<u64, usize>>();
    assert_eq!(told_of(&journal, "test_finished"), once, "{}", log());
    assert_eq!(journal.matches("\"outcome\":{\"kind\":\"passed\"").count(), 6, "{journal}");
    // Two were killed while they ran, and ran again.
    let begun: usize = told_of(&journal, "test_started").values().sum();
    assert_eq!(begun, 8, "{}", log());
    nothing_is_left(&mark);
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().to_owned()
}
