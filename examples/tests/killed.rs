//! `hfx745` is killed in the middle of its test, with no chance to clean up: nothing of it stays.
//!
//! It runs on a real Xen host of the virtual lab.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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

#[test]
fn a_killed_run_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().display().to_string();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let child = Command::new(example("hfx745"))
        .args(["--out", "run"])
        .current_dir(folder.path())
        .env(MARK, &mark)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut program = Killed(child);
    let journal = folder.path().join("run/journal.jsonl");
    within(Duration::from_secs(900), "the guest is up and sends", || {
        if let Some(status) = program.0.try_wait().unwrap() {
            panic!("it ended by itself, {status}: {}", read(&folder.path().join("log")));
        }
        let told = read(&journal);
        if told.contains("Start iperf in dom0") { Ok(()) } else { Err(last_line(&told)) }
    });
    let qemu = marked(&mark).into_iter().filter(|(_, line)| line.contains("qemu-system")).count();
    assert_eq!(qemu, 1, "{:?}", marked(&mark));
    program.kill();

    // The machine dies with its owner; the connections to it follow.
    within(Duration::from_secs(60), "all that it started ends", || match marked(&mark) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });

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

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().to_owned()
}
